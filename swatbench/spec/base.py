"""The base of every value that crosses a file, and the types of numbers that several of them hold."""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
"""A name that may be a folder's."""
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
BatchSize = Annotated[int, Field(ge=1, le=65_536)]


class Spec(BaseModel):
    """A frozen value with strict types; an unknown key is an error, a field's docstring its description."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )


class GrownSpec(Spec):
    """A value that has gained fields since records were first written.

    A dump leaves them out while they are null, so cells that do not use them keep their digests.
    """

    _gained: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_null_gains(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        absent = {name for name in self._gained if getattr(self, name) is None}
        return {name: value for name, value in handler(self).items() if name not in absent}

"""The base of every value that crosses a file, and the types of numbers that several of them hold."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

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

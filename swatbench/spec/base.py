"""The base of every value that crosses a file: frozen, strict, and closed to unknown keys."""

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """A frozen value with strict types; an unknown key is an error, a field's docstring its description."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )

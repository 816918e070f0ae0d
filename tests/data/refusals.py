"""What a test expects of a dataset that must not be trained on."""

import pytest

from swatbench.data.sources import load_dataset
from swatbench.errors import DataError


def refused(data):
    """What the refusal says; it must also say where, and what to do."""
    with pytest.raises(DataError) as caught:
        load_dataset(data)
    assert caught.value.where
    assert caught.value.fix
    return caught.value.what

"""The tables agree with each other and with what is built from them."""

import math
from functools import partial
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

import keras_resnets
from keras_resnets import create
from keras_resnets.architecture.variants import VARIANTS


@pytest.mark.parametrize("row", VARIANTS.values(), ids=VARIANTS)
def test_parameters_are_counted_again(row):
    build = getattr(keras_resnets, row.constructor) if row.constructor else partial(create, row.key)
    model = build(weights=None)
    assert sum(math.prod(v.shape) for v in model.trainable_variables) == row.parameters
    assert model.input_shape == (None, row.input.size, row.input.size, row.input.channels)
    assert model.output_shape == (None, row.classes)
    assert model.name == row.key and "counted by" in row.source


def test_every_public_name_works_and_says_what_it_is():
    for name in keras_resnets.__all__:
        assert ">>> " in getattr(keras_resnets, name).__doc__, name
    assert {row.constructor for row in VARIANTS.values() if row.constructor} <= set(keras_resnets.__all__)
    assert set(keras_resnets.__all__) <= set(dir(keras_resnets))
    with pytest.raises(AttributeError, match="no attribute 'ResNet51'"):
        keras_resnets.ResNet51  # noqa: B018


def test_pages_have_the_tables_that_are_made_from_these():
    place = Path(__file__).parent.parent / "docs/tables.py"
    tables = SourceFileLoader("tables", str(place)).load_module()
    for path, make in tables.PAGES.items():
        text = path.read_text(encoding="utf-8")
        assert text == tables.placed(text, make()), f"run python {place.name}"

"""The weights that come with the package: whole, small, and as good as their cards say."""

from pathlib import Path

import numpy as np
import pytest

from keras_resnets import create, evaluate, preset_of
from keras_resnets.models import labels_of, origin_of
from keras_resnets.weights import sources
from keras_resnets.weights.catalog import default_weight, own

CARDS = sources.SHIPPED / "README.md"


@pytest.mark.parametrize("weight", own.WEIGHTS, ids=lambda weight: weight.name)
def test_a_shipped_file_is_whole_small_and_has_a_card(weight):
    [file] = weight.files
    path = sources.SHIPPED / file.name
    assert path.stat().st_size == file.size <= 700_000
    assert sources.sha256(path) == file.hash.removeprefix("sha256:")
    card = CARDS.read_text(encoding="utf-8").partition(f"## {weight.name}")[2].partition("\n## ")[0]
    for word in ("keras-resnets train", "seed", "minutes", "cores", f"{weight.top1:.2f} %", "licence"):
        assert word.lower() in card.lower(), word
    assert sources.resolve(weight) == path  # nothing is fetched


def test_every_shipped_file_is_in_the_catalogue():
    files = {path.name for path in Path(sources.SHIPPED).iterdir()} - {CARDS.name}
    assert files == {weight.files[0].name for weight in own.WEIGHTS}


@pytest.mark.parametrize("weight", own.WEIGHTS, ids=lambda weight: weight.name)
def test_they_are_there_without_a_network(weight):
    model = create("resnet20", weights=weight.data)
    assert origin_of(model).weight == weight.name == default_weight("resnet20", weight.data).name
    assert preset_of(model).size == 32 and len({label.name for label in labels_of(model)}) == 10
    assert all(np.isfinite(array).all() for array in model.get_weights())


def test_the_default_of_resnet20_knows_cifars_classes():
    assert [label.name for label in labels_of(create("resnet20"))][3] == "cat"


@pytest.mark.real
@pytest.mark.parametrize("weight", own.WEIGHTS, ids=lambda weight: weight.name)
def test_they_are_as_good_as_their_cards_say(weight):
    from keras_resnets import datasets

    try:
        _, test = datasets.load(weight.data)
    except sources.SourceError as error:
        pytest.skip(f"the data cannot be had here: {error}")
    result = evaluate(create("resnet20", weights=weight.data), test, batch_size=100)
    assert result.images == 10_000
    assert 100 * result.top1 == pytest.approx(weight.top1, abs=0.02)
    assert 100 * result.top5 == pytest.approx(weight.top5, abs=0.02)

"""The classifier alone, on features."""

import numpy as np
import pytest

from keras_resnets import create
from keras_resnets.progress import bars
from keras_resnets.training.features import train_head
from keras_resnets.training.loop import TrainingError
from keras_resnets.training.recipe import Recipe, changed

from ..conftest import as_numpy

RECIPE = Recipe("test", head_epochs=1, head_learning_rate=1e-12)


@pytest.fixture
def model():
    """Whatever it sees, its answer is a little for the first class."""
    model = create("resnet20", weights=None, classes=2)
    kernel, _ = model.get_layer("predictions").get_weights()
    model.get_layer("predictions").set_weights([0 * kernel, np.array([0.5, 0])])
    return model


@pytest.fixture
def features(chance):
    """Of 12 pictures of the first class and 4 of the second."""
    return chance.normal(size=(16, 64)).astype("float32"), np.repeat([0, 1], [12, 4])


def trained(model, features, **fields):
    with bars(shown=False) as progress:
        return train_head(model, features, features, changed(RECIPE, **fields), progress)


@pytest.mark.parametrize("weighs", [False, True])
def test_rare_classes_weigh_as_much_where_that_is_asked(model, features, weighs):
    losses = np.log(1 + np.exp([-0.5, 0.5]))
    shares = [1 / 2, 1 / 2] if weighs else [12 / 16, 4 / 16]
    state = trained(model, features, class_weights=weighs)
    assert state.rows[0]["loss"] == pytest.approx(losses @ shares, rel=1e-4)


def test_a_classifier_that_gets_no_better_ends(model, features):
    state = trained(model, features, head_epochs=50, patience=3)
    best = state.rows.index(state.chosen) + 1
    assert len(state.rows) == best + 3 < 50


def test_a_loss_that_is_not_finite_leaves_the_network_as_it_was(model, features):
    before = [as_numpy(variable).copy() for variable in model.get_layer("predictions").weights]
    with pytest.raises(
        TrainingError, match="the classifier's loss is .*; lower head_learning_rate. The network is as"
    ):
        trained(model, features, head_learning_rate=1e38, batch_size=4)
    for value, variable in zip(before, model.get_layer("predictions").weights, strict=True):
        np.testing.assert_array_equal(value, as_numpy(variable))

"""Recipes: plain data, checked at the door."""

import dataclasses

import numpy as np
import pytest

from keras_resnets.training.recipe import Recipe, changed, parsed
from keras_resnets.training.recipes import RECIPES, auto, full, head, modern, paper, resolve


def test_the_papers_numbers():
    """He et al., arXiv:1512.03385, sections 3.4 and 4.2."""
    large, small = paper(), paper(32)
    for recipe in (large, small):
        assert (recipe.optimizer, recipe.learning_rate, recipe.momentum) == ("sgd", 0.1, 0.9)
        assert (recipe.weight_decay, recipe.decay_all, recipe.drop_path) == (1e-4, True, 0)
        assert (
            recipe.pixel_mean
            and recipe.initializer == "he_normal"
            and recipe.batch_norm == "batch"
            and recipe.unfrozen == "conv1"
        )
    assert (large.batch_size, large.iterations, large.schedule) == (256, 600_000, "plateau")
    assert (small.batch_size, small.iterations, small.schedule) == (128, 64_000, "steps")
    assert [share * 64_000 for share in small.steps] == [32_000, 48_000]
    assert (large.augmentation, small.augmentation) == ("paper", "pad")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (
            "batch_norm",
            "forzen",
            "batch_norm must be one of frozen, batch, recalibrate. Received: batch_norm='forzen'",
        ),
        ("augmentation", "mirror", "augmentation must be one of none, flip, pad, crop, paper"),
        ("learning_rate", 0, "learning_rate must be positive. Received: learning_rate=0"),
        ("label_smoothing", 1, r"label_smoothing must be in \\[0, 1\\). Received: label_smoothing=1"),
        ("mixup", -1, "mixup must be 0 or more"),
        ("epochs", 0, "epochs must be at least 1. Received: epochs=0"),
        ("patience", 0, "patience must be at least 1"),
        ("steps", (0.5, 1), "steps must be shares between 0 and 1"),
        ("steps", 0.5, "steps must be numbers, as 0.5,0.75. Received: steps=0.5"),
        ("steps", ("half",), "steps must be shares between 0 and 1"),
        ("epochs", 2.0, "epochs must be a whole number. Received: epochs=2.0"),
        ("head_epochs", "5", "head_epochs must be a whole number. Received: head_epochs='5'"),
        ("batch_size", True, "batch_size must be a whole number. Received: batch_size=True"),
        ("mixup", "much", "mixup must be a number"),
        ("learning_rate", float("nan"), "learning_rate must be positive. Received: learning_rate=nan"),
        ("nesterov", 1, r"nesterov must be yes or no \\(True or False\\). Received: nesterov=1"),
        ("unfrozen", 3, "unfrozen must be a name"),
        ("keep", "first", "keep must be one of best, last"),
        ("lr", 1, "a recipe has no field lr; it has .*learning_rate"),
    ],
)
def test_a_wrong_field_is_named(field, value, message):
    with pytest.raises(ValueError, match=message.replace("\\\\", "\\")):
        changed(modern(), **{field: value})


def test_numbers_of_numpy_become_pythons():
    recipe = changed(modern(), epochs=np.int64(3), learning_rate=np.float32(0.5))
    assert (type(recipe.epochs), type(recipe.learning_rate)) == (int, float)
    assert (recipe.epochs, recipe.learning_rate) == (3, 0.5)


def test_epochs_of_a_classifier_are_its_own():
    assert changed(head(), epochs=3).head_epochs == 3
    assert changed(head(), epochs=3, head_epochs=4).head_epochs == 4
    assert changed(head(), epochs=3, unfrozen="last").head_epochs == head().head_epochs
    assert changed(modern(), epochs=3).head_epochs == 0


def test_epochs_take_the_place_of_iterations():
    assert changed(paper(32), epochs=5).iterations is None
    assert changed(paper(32), epochs=5, iterations=9).iterations == 9


def test_a_plateau_has_no_warmup():
    with pytest.raises(ValueError, match="schedule='plateau' goes without a warmup. Received: warmup=1.0"):
        changed(paper(), warmup=1.0)


def test_the_mean_of_each_pixel_is_for_networks_that_know_no_other():
    """A classifier would be trained on pictures of one mean and saved with another."""
    with pytest.raises(ValueError, match="pixel_mean .* goes with head_epochs=0. Received: head_epochs=30"):
        changed(full(), pixel_mean=True)
    assert changed(full(), pixel_mean=True, head_epochs=0).pixel_mean


def test_a_recipe_that_trains_nothing_is_refused():
    with pytest.raises(ValueError, match="trains nothing"):
        Recipe("empty")


def test_every_field_can_be_set_from_the_command_line():
    texts = {str: "x", int: "3", float: "0.5", bool: "yes"}
    for field in dataclasses.fields(Recipe):
        kind = getattr(field.type, "__args__", (field.type,))[0]  # of `int | None` the first
        if field.name == "steps":
            assert parsed({"steps": "0.25,0.5"}) == {"steps": (0.25, 0.5)}
        else:
            assert type(parsed({field.name: texts[kind]})[field.name]) is kind
    assert parsed({"patience": "none"}) == {"patience": None}
    with pytest.raises(ValueError, match="epochs must be a whole number. Received: epochs=many"):
        parsed({"epochs": "many"})


def test_names_are_resolved_by_the_size_of_the_pictures():
    assert resolve("modern", 100, "resnet20", {}).augmentation == "pad"
    assert resolve("modern", 100, "resnet18", {"epochs": 3}) == changed(modern(224), epochs=3)
    assert resolve("auto", 100, "resnet18", {}) == auto(100)
    assert resolve(paper(), 100, "resnet18", {}) == paper()
    with pytest.raises(ValueError, match="recipe must be auto, head, last, full, paper, modern or a Recipe"):
        resolve("best", 100, "resnet20", {})
    assert set(RECIPES) == {"head", "last", "full", "paper", "modern"}


def test_auto_goes_by_the_size_of_the_data():
    assert auto(99) == changed(full(), epochs=40) and auto(100) == full()
    assert auto(40_000) == full() and auto(40_000, 32) == full(32)

"""Which variables a training changes, how fast and how far they are pulled to zero."""

import contextlib

import keras

from ..architecture.names import Address
from ..weights.loading import HEAD
from .recipes import Recipe


def check_stage(model: keras.Model, stage: str) -> None:
    places = _places(model)
    if stage not in places:
        raise ValueError(f"unfrozen must be one of {', '.join(places)}. Received: unfrozen={stage!r}")


@contextlib.contextmanager
def frozen_as(model: keras.Model, recipe: Recipe):
    """A network with those layers trainable that the recipe trains; afterwards as it was."""
    places = _places(model)
    first = places[recipe.unfrozen]
    before = [(layer, layer.trainable) for layer in model.layers if layer.weights]
    for layer, _ in before:
        norm = isinstance(layer, keras.layers.BatchNormalization)
        # Keras: a batch norm that is not trainable keeps to its moving statistics in training, too.
        layer.trainable = (
            layer.trainable
            and places[_stage(layer)] >= first
            and not (norm and recipe.batch_norm == "frozen")
        )
    try:
        yield
    finally:
        for layer, trainable in before:
            layer.trainable = trainable


def terms(model: keras.Model, recipe: Recipe) -> dict[str, tuple[float, float]]:
    """By a trainable variable's path a factor of the learning rate, and its weight decay."""
    places = _places(model)
    last = max(places[stage] for stage in places if stage not in _AT_THE_END)
    return {
        variable.path: (
            recipe.stage_decay ** max(0, last - places[_stage(layer)]),
            recipe.weight_decay if variable.name == "kernel" or recipe.decay_all else 0.0,
        )
        for layer in model.layers
        for variable in layer.trainable_variables
    }


_AT_THE_END = ("post", HEAD)


def _stage(layer: keras.layers.Layer) -> str:
    address = Address.parse(layer.name)
    return address.stage if address else layer.name


def _places(model: keras.Model) -> dict[str, int]:
    """The stages that have weights, in their order."""
    stages = dict.fromkeys(_stage(layer) for layer in model.layers if layer.weights)
    return {stage: number for number, stage in enumerate(stages)}

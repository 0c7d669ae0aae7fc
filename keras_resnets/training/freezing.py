"""Which variables a training changes, how fast and how far they are pulled to zero."""

import contextlib

import keras

from ..architecture.names import Address
from ..weights.loading import HEAD
from .recipe import Recipe


def first_trained(model: keras.Model, recipe: Recipe) -> int:
    """The number of the first stage that a recipe trains.

    Raises:
        ValueError: The network has no such stage.
    """
    places = _places(model)
    if recipe.unfrozen == "last":
        return _last(places)
    if recipe.unfrozen not in places:
        allowed = ", ".join(("last", *places))
        raise ValueError(f"unfrozen must be one of {allowed}. Received: unfrozen={recipe.unfrozen!r}")
    return places[recipe.unfrozen]


def check_trains(model: keras.Model, recipe: Recipe) -> None:
    """Refuse, before any work, a recipe that changes nothing in a network.

    Raises:
        ValueError: No such stage; frozen layers are all there is to train; or weights in another dtype.
    """
    if model.get_layer(HEAD).weights[0].dtype != "float32":
        raise ValueError(
            f"weights are trained in float32; build the network with dtype='mixed_bfloat16'. "
            f"Received: {model.name!r} with {model.get_layer(HEAD).weights[0].dtype} weights"
        )
    if recipe.head_epochs and not model.get_layer(HEAD).trainable_weights:
        raise ValueError(f"the classifier of {model.name!r} is frozen; set its trainable, or head_epochs=0")
    if recipe.unfrozen:
        first_trained(model, recipe)
        with frozen_as(model, recipe):
            if not model.trainable_weights:
                raise ValueError(f"every layer of {model.name!r} from {recipe.unfrozen} on is frozen")


@contextlib.contextmanager
def frozen_as(model: keras.Model, recipe: Recipe):
    """A network with those layers trainable that the recipe trains; afterwards as it was."""
    places, first = _places(model), first_trained(model, recipe)
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
    last = _last(places)
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


def _last(places: dict[str, int]) -> int:
    return max(number for stage, number in places.items() if stage not in _AT_THE_END)

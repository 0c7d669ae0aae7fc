"""The network that is to be trained: by name or as it is given, with an output for each class."""

import keras

from ..bundle import rebuilt
from ..inspection import check_answers_pictures
from ..models import create
from ..registry import variant, weight_named
from ..weights.loading import HEAD
from .freezing import check_trains
from .recipe import Recipe


def named(name: str, pretrained: bool) -> tuple[str, str | None]:
    """The architecture that a name means, and its weights.

    Raises:
        ValueError: There is none of this name, or it has no weights.
    """
    if pretrained and "." in name:
        return weight_named(name).key, name
    row = variant(name)
    if pretrained and row.weights is None:
        raise ValueError(
            f"no weights are published for {name}, so there is nothing to fine-tune; train() begins "
            "from nothing, list_models() tells which have weights"
        )
    return row.key, "default" if pretrained else None


def to_train(network, weights: str | None, classes: int, size: int | None, recipe: Recipe) -> keras.Model:
    """A network of an architecture, or the one that is given, with the recipe's drop path.

    Args:
        network: The architecture's key, or a network.
        weights: The architecture's, as `named` gives them; None begins from random ones.
        size: Side of the pictures; None is the architecture's own, and a given network's.

    Raises:
        ValueError: It has another number of outputs, or the recipe trains nothing in it.
    """
    if isinstance(network, str):
        options = {"input_shape": _shape(size)} if size else {}
        options |= {"classes": classes, "new_head": weights is not None}
        options |= {"kernel_initializer": recipe.initializer, "drop_path_rate": recipe.drop_path}
        model = create(network, weights=weights, **options)
    else:
        model = rebuilt(network, drop_path_rate=recipe.drop_path) if recipe.drop_path else network
    check_answers_pictures(model)
    units = model.get_layer(HEAD).units
    if units != classes:
        raise ValueError(
            f"the data has {classes} classes, the model's classifier {units} outputs; "
            f"build it with classes={classes}, new_head=True"
        )
    check_trains(model, recipe)
    return model


def _shape(size: int) -> tuple[int, int, int]:
    return (size, size, 3) if keras.config.image_data_format() == "channels_last" else (3, size, size)

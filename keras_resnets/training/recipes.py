"""Recipes, and how one is chosen: functions of the size of the data.

>>> from keras_resnets import recipes
>>> recipes.auto(pictures=300, size=224) == recipes.full(224)
True
"""

from ..inspection import input_size
from ..models import preset_of
from ..registry import variant
from .recipe import Recipe, changed


def head(size: int = 224) -> Recipe:
    """The classifier alone, on the features of a network that stays as it is.

    Source: Donahue et al., DeCAF, arXiv:1310.1531.

    Args:
        size: Side of the pictures; nothing depends on it here.

    Example:

    >>> head().head_epochs, head().unfrozen
    (30, None)
    """
    return Recipe("head", head_epochs=30, class_weights=True)


def last(size: int = 224) -> Recipe:
    """The classifier first, then the last stage with it.

    Args:
        size: Side of the pictures, as for `full`.

    Example:

    >>> last().unfrozen, last().epochs
    ('last', 10)
    """
    return changed(full(size), name="last", unfrozen="last")


def full(size: int = 224) -> Recipe:
    """The classifier first, then the whole network at a small rate, its batch norms as they were.

    Source: discriminative rates: Howard and Ruder, arXiv:1801.06146, section 3.2.

    Args:
        size: Side of the pictures: small ones are shifted, larger ones cropped.

    Example:

    >>> full(64).augmentation, full(224).augmentation
    ('pad', 'crop')
    """
    return Recipe(
        "full",
        head_epochs=30,
        unfrozen="conv1",
        epochs=10,
        learning_rate=0.001,  # ten times as much undoes in an epoch what the classifier has learned
        nesterov=True,
        stage_decay=0.7,
        warmup=1.0,
        weight_decay=1e-4,
        augmentation="crop" if size > 64 else "pad",
        class_weights=True,
    )


FEW = 100  # pictures, below which an epoch has four steps at most


def auto(pictures: int, size: int = 224) -> Recipe:
    """A recipe for a pretrained network, from the data: `full`, for more epochs where these are of few steps.

    Source: a rule of the data's size, as in Kolesnikov et al., Big Transfer, arXiv:1912.11370, section 3.3.
    Measured in docs/training.md, "The recipe that is chosen".

    Args:
        pictures: How many are trained on.
        size: Side of the pictures.

    Example:

    >>> auto(50).epochs, auto(160).epochs
    (40, 10)
    """
    recipe = full(size)
    return changed(recipe, epochs=4 * recipe.epochs) if pictures < FEW else recipe


def paper(size: int = 224) -> Recipe:
    """He et al.'s training from nothing.

    Source: He et al., arXiv:1512.03385, section 3.4 (ImageNet) and, for small pictures, 4.2 (CIFAR-10).
    Kernels begin as in He et al., arXiv:1502.01852; weight decay is of all weights, as in Caffe's layers,
    which they used.

    Args:
        size: Side of the pictures: up to 64 pixels they are taken for CIFAR-10's.

    Example:

    >>> paper(32).iterations, paper().augmentation
    (64000, 'paper')
    """
    common = Recipe(
        "paper",
        unfrozen="conv1",
        learning_rate=0.1,
        weight_decay=1e-4,
        decay_all=True,
        batch_norm="batch",
        pixel_mean=True,
        initializer="he_normal",
    )
    if size <= 64:
        return changed(
            common,
            iterations=64_000,
            batch_size=128,
            schedule="steps",
            steps=(0.5, 0.75),
            augmentation="pad",
            keep="last",
        )
    return changed(common, iterations=600_000, batch_size=256, schedule="plateau", augmentation="paper")


def modern(size: int = 32) -> Recipe:
    """A short training from nothing, for a small host: one cosine with a warm-up, Nesterov's momentum, decay
    of the kernels alone, and the average of the last weights.

    Source: Loshchilov and Hutter, SGDR, arXiv:1608.03983; Goyal et al., arXiv:1706.02677, section 2.2
    (warm-up); He et al., Bag of Tricks, arXiv:1812.01187.

    Args:
        size: Side of the pictures: small ones are shifted, larger ones cropped.

    Example:

    >>> modern().augmentation, modern(224).augmentation
    ('pad', 'crop')
    """
    return Recipe(
        "modern",
        unfrozen="conv1",
        epochs=30,
        batch_size=128,
        learning_rate=0.1,
        nesterov=True,
        warmup=2.0,
        weight_decay=5e-4,
        batch_norm="batch",
        augmentation="pad" if size <= 64 else "crop",
        ema=0.998,
        keep="last",
    )


RECIPES = {recipe.__name__: recipe for recipe in (head, last, full, paper, modern)}


def resolve(recipe: "str | Recipe", pictures: int, model, fields: dict) -> Recipe:
    """The recipe that is meant.

    Args:
        recipe: One, or a name of `RECIPES`, or ``"auto"``.
        pictures: How many are trained on.
        model: A key or a network, or the side of its pictures.
        fields: Other values of some fields.
    """
    if isinstance(recipe, Recipe):
        return changed(recipe, **fields)
    if recipe == "auto":
        return changed(auto(pictures, _side(model)), **fields)
    if recipe not in RECIPES:
        names = ", ".join(("auto", *RECIPES))
        raise ValueError(f"recipe must be {names} or a Recipe. Received: recipe={recipe!r}")
    return changed(RECIPES[recipe](_side(model)), **fields)


def _side(model) -> int:
    """Of the pictures that a network takes."""
    if isinstance(model, int):
        return model
    if isinstance(model, str):
        return variant(model).input.size
    return input_size(model, preset_of(model))[0]

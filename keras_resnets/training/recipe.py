"""How a network is trained, as plain data."""

import dataclasses
import types

import numpy as np

from ..architecture.style import is_number, is_whole_number
from ..images.augmentation import AUGMENTATIONS

BATCH_NORM = ("frozen", "batch", "recalibrate")
OPTIMIZERS = ("sgd", "adamw")
SCHEDULES = ("constant", "steps", "cosine", "plateau")

_YES = {"yes": True, "true": True, "no": False, "false": False}
# The type of a field -> which values are taken, what an error calls them, how text is read.
KINDS = {
    int: (is_whole_number, "a whole number", int),
    float: (is_number, "a number", float),
    bool: (
        lambda value: isinstance(value, bool),
        "yes or no (True or False)",
        lambda text: _YES[text.lower()],
    ),
    str: (lambda value: isinstance(value, str), "a name", str),
    tuple[float, ...]: (
        lambda value: isinstance(value, tuple | list),
        "numbers, as 0.5,0.75",
        lambda text: tuple(map(float, filter(None, text.split(",")))),
    ),
}


def _kind(field_type) -> tuple[tuple, bool]:
    """The row of a field's type, and whether None is a value, too."""
    optional = isinstance(field_type, types.UnionType)
    return KINDS[field_type.__args__[0] if optional else field_type], optional


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A training in two parts: first the classifier alone, on features that the network computed once; then
    the network from one stage on.

    Attributes:
        name: What it is called.
        head_epochs: Passes of the classifier over the features; 0 leaves this part out.
        head_learning_rate: Of Adam, in this part, which falls along a cosine. Of the other fields
            ``batch_size``, ``class_weights``, ``label_smoothing``, ``keep`` and ``patience`` are heeded, too.
        unfrozen: The first stage that is trained in the second part, and all after it: ``"conv1"`` is the
            whole network, ``"last"`` the last one; None leaves the second part out.
        epochs: Passes over the pictures in the second part.
        iterations: Steps of the second part in place of ``epochs``, where given.
        batch_size: Pictures in a step, in both parts.
        optimizer: ``"sgd"`` (weight decay in the gradient, as in the paper) or ``"adamw"``.
        learning_rate: The highest, of the last stage and the classifier.
        momentum, nesterov: Of ``"sgd"``.
        stage_decay: Each stage before the last learns this many times as fast as the one after it.
        warmup: Epochs in which the rate rises from nothing, a fifth of the training at most.
        schedule: ``"constant"``, ``"steps"`` (a tenth at each share of the training in ``steps``),
            ``"cosine"`` (down to nothing), ``"plateau"`` (a tenth after 5 epochs without a better
            validation loss).
        steps: Shares of the training.
        weight_decay: Of kernels; of norms and biases too where ``decay_all``.
        decay_all: Whether norms and biases decay as well.
        batch_norm: ``"frozen"``: statistics and scales stay as they were; ``"batch"``: both learn as in a
            training from nothing; ``"recalibrate"``: as that, and after each epoch the statistics are
            computed anew over the training pictures.
        augmentation: A name in `AUGMENTATIONS`: ``"none"``, ``"flip"``, ``"pad"``, ``"crop"``, ``"paper"``.
        label_smoothing: Share of each target that is spread over all classes.
        mixup, cutmix: Parameter of the beta distribution of shares; 0 switches it off.
        drop_path: Share of pictures whose branch the last block leaves out (stochastic depth).
        class_weights: Whether rare classes weigh as much as frequent ones.
        ema: Decay of the moving average of the weights that is evaluated and kept; 0 keeps the weights.
        patience: Epochs without a better validation after which a part ends; None goes on to its end.
        keep: ``"best"`` keeps the best epoch by validation; ``"last"`` the last one.
        whole: Whether pictures are taken whole, without the margin that the preset cuts off: small ones lose
            much by it.
        pixel_mean: Whether the training pictures' mean, a value for every pixel, is subtracted in place of
            the preset's, for networks that know no other: without ``head_epochs``.
        initializer: Of kernels, where a network begins from random weights: a name of Keras'; None is the
            architecture's own.
        precision: ``"float32"`` or ``"bfloat16"`` (computations; variables are float32 always).

    Raises:
        ValueError: A value that is not allowed.

    Example:

    >>> from keras_resnets import Recipe
    >>> Recipe("mine", unfrozen="conv1", epochs=3, optimizer="adamw", learning_rate=1e-4).schedule
    'cosine'
    """

    name: str
    head_epochs: int = 0
    head_learning_rate: float = 1e-3
    unfrozen: str | None = None
    epochs: int = 1
    iterations: int | None = None
    batch_size: int = 32
    optimizer: str = "sgd"
    learning_rate: float = 0.01
    momentum: float = 0.9
    nesterov: bool = False
    stage_decay: float = 1.0
    warmup: float = 0.0
    schedule: str = "cosine"
    steps: tuple[float, ...] = ()
    weight_decay: float = 0.0
    decay_all: bool = False
    batch_norm: str = "frozen"
    augmentation: str = "none"
    label_smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    drop_path: float = 0.0
    class_weights: bool = False
    ema: float = 0.0
    patience: int | None = None
    keep: str = "best"
    whole: bool = False
    pixel_mean: bool = False
    initializer: str | None = None
    precision: str = "float32"

    def __post_init__(self):
        for field in dataclasses.fields(self):
            (taken, said, _), optional = _kind(field.type)
            value = getattr(self, field.name)
            if isinstance(value, np.generic):
                value = value.item()
                object.__setattr__(self, field.name, value)  # else no JSON could keep it
            self._check(field.name, taken(value) or (optional and value is None), said)
        for field, allowed in (
            ("batch_norm", BATCH_NORM),
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("augmentation", tuple(AUGMENTATIONS)),
            ("keep", ("best", "last")),
            ("precision", ("float32", "bfloat16")),
        ):
            self._check(field, getattr(self, field) in allowed, f"one of {', '.join(allowed)}")
        for field in ("head_learning_rate", "learning_rate", "stage_decay"):
            self._check(field, getattr(self, field) > 0, "positive")
        for field in ("momentum", "label_smoothing", "drop_path", "ema"):
            self._check(field, 0 <= getattr(self, field) < 1, "in [0, 1)")
        for field in ("warmup", "weight_decay", "mixup", "cutmix", "head_epochs"):
            self._check(field, getattr(self, field) >= 0, "0 or more")
        for field in ("epochs", "batch_size", "iterations", "patience"):
            value = getattr(self, field)
            self._check(field, value is None or value >= 1, "at least 1")
        if self.schedule == "plateau" and self.warmup:
            raise ValueError(f"schedule='plateau' goes without a warmup. Received: warmup={self.warmup}")
        if self.pixel_mean and self.head_epochs:
            raise ValueError(
                "pixel_mean is for networks that know no other mean, and goes with head_epochs=0. "
                f"Received: head_epochs={self.head_epochs}"
            )
        shares = all(is_number(share) and 0 < share < 1 for share in self.steps)
        self._check("steps", shares, "shares between 0 and 1")
        if not self.head_epochs and not self.unfrozen:
            raise ValueError("a recipe without head_epochs and without unfrozen trains nothing")

    def _check(self, field: str, holds: bool, allowed: str) -> None:
        if not holds:
            raise ValueError(f"{field} must be {allowed}. Received: {field}={getattr(self, field)!r}")


def changed(recipe: Recipe, **fields) -> Recipe:
    """A recipe with other values of some fields; ``epochs`` take the place of ``iterations``, and where only
    the classifier trains they are its own.

    Raises:
        ValueError: No such field, or a value that is not allowed.
    """
    known = {field.name for field in dataclasses.fields(Recipe)}
    if unknown := [name for name in fields if name not in known]:
        raise ValueError(
            f"a recipe has no field {', '.join(unknown)}; it has {', '.join(sorted(known - {'name'}))}"
        )
    if "epochs" in fields:
        if not fields.get("unfrozen", recipe.unfrozen):
            fields = {"head_epochs": fields["epochs"], **fields}
        fields = {"iterations": None, **fields}
    return dataclasses.replace(recipe, **fields)


def parsed(settings: dict[str, str]) -> dict:
    """Fields of a recipe from text, as the command line has them.

    >>> parsed({"epochs": "5", "nesterov": "yes", "unfrozen": "none", "steps": "0.5,0.75"})
    {'epochs': 5, 'nesterov': True, 'unfrozen': None, 'steps': (0.5, 0.75)}
    """
    kinds = {field.name: field.type for field in dataclasses.fields(Recipe)}
    return {name: _value(name, kinds.get(name, str), text) for name, text in settings.items()}


def _value(name: str, field_type, text: str):
    (_, said, read), optional = _kind(field_type)
    if optional and text.lower() == "none":
        return None
    try:
        return read(text)
    except (KeyError, ValueError):
        raise ValueError(f"{name} must be {said}. Received: {name}={text}") from None

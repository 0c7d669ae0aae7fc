"""Residual networks for Keras: build them, load their weights, use them.

>>> from keras_resnets import ResNet50
>>> ResNet50(weights=None).output_shape
(None, 1000)

Names are imported when they are first used, so that ``keras-resnets --help`` needs no TensorFlow.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .architecture.blocks import basic_block as basic_block
    from .architecture.blocks import block1 as block1
    from .architecture.blocks import block2 as block2
    from .architecture.blocks import block3 as block3
    from .architecture.stacks import basic_stack as basic_stack
    from .architecture.stacks import stack1 as stack1
    from .architecture.stacks import stack2 as stack2
    from .architecture.stacks import stack3 as stack3
    from .bundle import Bundle as Bundle
    from .evaluation import evaluate as evaluate
    from .images.labels import decode_predictions as decode_predictions
    from .models import ResNet as ResNet
    from .models import ResNet50 as ResNet50
    from .models import ResNet50V2 as ResNet50V2
    from .models import ResNet101 as ResNet101
    from .models import ResNet101V2 as ResNet101V2
    from .models import ResNet152 as ResNet152
    from .models import ResNet152V2 as ResNet152V2
    from .models import ResNeXt50 as ResNeXt50
    from .models import ResNeXt101 as ResNeXt101
    from .models import create as create
    from .models import describe as describe
    from .models import list_models as list_models
    from .models import load_weights as load_weights
    from .models import preprocess as preprocess
    from .models import preset_of as preset_of
    from .models import save_weights as save_weights
    from .predictor import Prediction as Prediction
    from .predictor import Predictor as Predictor
    from .serving import export as export
    from .training import Run as Run
    from .training import fine_tune as fine_tune
    from .weights.loading import LoadReport as LoadReport

_PLACES = {
    "architecture.blocks": ("basic_block", "block1", "block2", "block3"),
    "architecture.stacks": ("basic_stack", "stack1", "stack2", "stack3"),
    "models": (
        "ResNet50",
        "ResNet101",
        "ResNet152",
        "ResNet50V2",
        "ResNet101V2",
        "ResNet152V2",
        "ResNeXt50",
        "ResNeXt101",
        "ResNet",
        "create",
        "describe",
        "list_models",
        "load_weights",
        "save_weights",
        "preprocess",
        "preset_of",
    ),
    "weights.loading": ("LoadReport",),
    "images.labels": ("decode_predictions",),
    "bundle": ("Bundle",),
    "predictor": ("Prediction", "Predictor"),
    "evaluation": ("evaluate",),
    "training": ("Run", "fine_tune"),
    "serving": ("export",),
}
_MODULE_OF = {name: module for module, names in _PLACES.items() for name in names}
_FACES = ("resnet", "resnet_v2", "resnext")

__all__ = sorted([*_MODULE_OF, *_FACES])  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str):
    if name in _FACES:
        return import_module(f"{__name__}.{name}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value  # the next look-up does not come here
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

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
    from .architecture.folding import fold as fold
    from .architecture.stacks import basic_stack as basic_stack
    from .architecture.stacks import stack1 as stack1
    from .architecture.stacks import stack2 as stack2
    from .architecture.stacks import stack3 as stack3
    from .bundle import Bundle as Bundle
    from .evaluation import evaluate as evaluate
    from .explanation import grad_cam as grad_cam
    from .explanation import overlay as overlay
    from .extraction import Features as Features
    from .extraction import extract_features as extract_features
    from .files import Inspection as Inspection
    from .files import convert as convert
    from .files import from_weights as from_weights
    from .files import inspect_weights as inspect_weights
    from .files import save_weights as save_weights
    from .images.dataset import Samples as Samples
    from .images.labels import decode_predictions as decode_predictions
    from .inspection import feature_info as feature_info
    from .matlab import adapt as adapt
    from .matlab import network_depth as network_depth
    from .matlab import residual_network as residual_network
    from .models import ResNet as ResNet
    from .models import accelerate as accelerate
    from .models import create as create
    from .models import load_weights as load_weights
    from .models import preprocess as preprocess
    from .models import preset_of as preset_of
    from .predictor import Prediction as Prediction
    from .predictor import Predictor as Predictor
    from .registry import describe as describe
    from .registry import list_models as list_models
    from .serving import export as export
    from .training import recipes as recipes
    from .training.fine_tuning import Run as Run
    from .training.fine_tuning import fine_tune as fine_tune
    from .training.fine_tuning import train as train
    from .training.loop import TrainingError as TrainingError
    from .training.recipe import Recipe as Recipe
    from .verification import verify as verify
    from .weights.formats import WeightsError as WeightsError
    from .weights.loading import LoadReport as LoadReport
    from .weights.sources import SourceError as SourceError
    from .zoo import BiT_R50x1 as BiT_R50x1
    from .zoo import BiT_R101x1 as BiT_R101x1
    from .zoo import PreResNet164 as PreResNet164
    from .zoo import PreResNet1001 as PreResNet1001
    from .zoo import ResNet18 as ResNet18
    from .zoo import ResNet18D as ResNet18D
    from .zoo import ResNet20 as ResNet20
    from .zoo import ResNet32 as ResNet32
    from .zoo import ResNet34 as ResNet34
    from .zoo import ResNet34D as ResNet34D
    from .zoo import ResNet44 as ResNet44
    from .zoo import ResNet50 as ResNet50
    from .zoo import ResNet50D as ResNet50D
    from .zoo import ResNet50V1_5 as ResNet50V1_5
    from .zoo import ResNet50V2 as ResNet50V2
    from .zoo import ResNet56 as ResNet56
    from .zoo import ResNet101 as ResNet101
    from .zoo import ResNet101D as ResNet101D
    from .zoo import ResNet101V1_5 as ResNet101V1_5
    from .zoo import ResNet101V2 as ResNet101V2
    from .zoo import ResNet110 as ResNet110
    from .zoo import ResNet152 as ResNet152
    from .zoo import ResNet152D as ResNet152D
    from .zoo import ResNet152V1_5 as ResNet152V1_5
    from .zoo import ResNet152V2 as ResNet152V2
    from .zoo import ResNet200V1_5 as ResNet200V1_5
    from .zoo import ResNet1202 as ResNet1202
    from .zoo import ResNetV2_18 as ResNetV2_18
    from .zoo import ResNetV2_34 as ResNetV2_34
    from .zoo import ResNetV2_50 as ResNetV2_50
    from .zoo import ResNetV2_101 as ResNetV2_101
    from .zoo import ResNetV2_152 as ResNetV2_152
    from .zoo import ResNeXt50 as ResNeXt50
    from .zoo import ResNeXt50_32x4d as ResNeXt50_32x4d
    from .zoo import ResNeXt101 as ResNeXt101
    from .zoo import ResNeXt101_32x4d as ResNeXt101_32x4d
    from .zoo import ResNeXt101_32x8d as ResNeXt101_32x8d
    from .zoo import ResNeXt101_64x4d as ResNeXt101_64x4d
    from .zoo import SEResNet50 as SEResNet50
    from .zoo import SEResNeXt50_32x4d as SEResNeXt50_32x4d
    from .zoo import SEResNeXt101_32x4d as SEResNeXt101_32x4d
    from .zoo import WideResNet28_10 as WideResNet28_10
    from .zoo import WideResNet40_4 as WideResNet40_4
    from .zoo import WideResNet50_2 as WideResNet50_2
    from .zoo import WideResNet101_2 as WideResNet101_2

_PLACES = {
    "architecture.blocks": ("basic_block", "block1", "block2", "block3"),
    "architecture.folding": ("fold",),
    "architecture.stacks": ("basic_stack", "stack1", "stack2", "stack3"),
    "zoo": (
        "ResNet50",
        "ResNet101",
        "ResNet152",
        "ResNet50V2",
        "ResNet101V2",
        "ResNet152V2",
        "ResNeXt50",
        "ResNeXt101",
        "ResNet18",
        "ResNet34",
        "ResNet50V1_5",
        "ResNet101V1_5",
        "ResNet152V1_5",
        "ResNet200V1_5",
        "ResNeXt50_32x4d",
        "ResNeXt101_32x4d",
        "ResNeXt101_32x8d",
        "ResNeXt101_64x4d",
        "WideResNet50_2",
        "WideResNet101_2",
        "ResNet18D",
        "ResNet34D",
        "ResNet50D",
        "ResNet101D",
        "ResNet152D",
        "SEResNet50",
        "SEResNeXt50_32x4d",
        "SEResNeXt101_32x4d",
        "ResNetV2_18",
        "ResNetV2_34",
        "ResNetV2_50",
        "ResNetV2_101",
        "ResNetV2_152",
        "BiT_R50x1",
        "BiT_R101x1",
        "ResNet20",
        "ResNet32",
        "ResNet44",
        "ResNet56",
        "ResNet110",
        "ResNet1202",
        "PreResNet164",
        "PreResNet1001",
        "WideResNet28_10",
        "WideResNet40_4",
    ),
    "models": (
        "ResNet",
        "accelerate",
        "create",
        "load_weights",
        "preprocess",
        "preset_of",
    ),
    "files": ("Inspection", "convert", "from_weights", "inspect_weights", "save_weights"),
    "inspection": ("feature_info",),
    "matlab": ("adapt", "network_depth", "residual_network"),
    "registry": ("describe", "list_models"),
    "weights.formats": ("WeightsError",),
    "weights.loading": ("LoadReport",),
    "weights.sources": ("SourceError",),
    "images.dataset": ("Samples",),
    "images.labels": ("decode_predictions",),
    "bundle": ("Bundle",),
    "predictor": ("Prediction", "Predictor"),
    "evaluation": ("evaluate",),
    "explanation": ("grad_cam", "overlay"),
    "extraction": ("Features", "extract_features"),
    "verification": ("verify",),
    "training.fine_tuning": ("Run", "fine_tune", "train"),
    "training.loop": ("TrainingError",),
    "training.recipe": ("Recipe",),
    "serving": ("export",),
}
_MODULE_OF = {name: module for module, names in _PLACES.items() for name in names}
_MODULES = {name: name for name in ("resnet", "resnet_v2", "resnext", "datasets")}
_MODULES["recipes"] = "training.recipes"

__all__ = sorted([*_MODULE_OF, *_MODULES])  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str):
    if name in _MODULES:
        return import_module(f"{__name__}.{_MODULES[name]}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value  # the next look-up does not come here
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

"""Publishers' own key lists, stored with the command that made them: recognised, and written back.

The lists in ``keys/`` come from the models that the publishers' libraries build (``keys/make.py``); none was made
from our mapping.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from keras_resnets.architecture.variants import VARIANTS
from keras_resnets.identification import expected, identify
from keras_resnets.weights import formats
from keras_resnets.weights.formats import Contents
from keras_resnets.weights.publishers import NETWORKS, to_torch, torch_name

KEYS = {
    path.stem: json.loads(path.read_text())["models"] for path in Path(__file__).parent.glob("keys/*.json")
}

HUGGING_FACE = {
    "microsoft/resnet-18": "resnet18",
    "microsoft/resnet-34": "resnet34",
    "microsoft/resnet-50": "resnet50_v1_5",
    "microsoft/resnet-101": "resnet101_v1_5",
    "microsoft/resnet-152": "resnet152_v1_5",
}
BIT = {"resnetv2_50x1_bit": "bit_r50x1", "resnetv2_101x1_bit": "bit_r101x1"}
FOREIGN = [
    *[("torchvision", name, key) for key, name in NETWORKS["torchvision"].items()],
    *[("timm", name, key) for key, name in NETWORKS["timm"].items() if name in KEYS["timm"]],
    *[("transformers", name, key) for name, key in HUGGING_FACE.items() if name in KEYS["transformers"]],
    *[("bit", name, key) for name, key in BIT.items()],
]


def contents_of(keys, separator="."):
    """A file with these names and shapes; its arrays share one zero."""
    arrays = {key: np.broadcast_to(np.float32(0), shape) for key, shape in keys.items()}
    return Contents(Path("foreign"), "key list", formats.grouped(arrays))


@pytest.mark.parametrize(("publisher", "name", "key"), FOREIGN, ids=lambda value: str(value))
def test_a_publisher_s_names_are_recognised(publisher, name, key):
    identity = identify(contents_of(KEYS[publisher][name]))
    assert (identity.key, identity.also, identity.fits) == (key, (), True), identity
    assert (identity.classes, identity.channels) == (1000, 3)


@pytest.mark.parametrize(("library", "key"), [(lib, key) for lib, keys in NETWORKS.items() for key in keys])
def test_our_layers_are_written_in_the_library_s_names(library, key):
    theirs = KEYS[library].get(NETWORKS[library][key]) or KEYS["torchvision"][NETWORKS[library][key]]
    row = VARIANTS[key]
    ours = {}
    for layer, shapes in expected(key, row.shortcut).items():
        arrays = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}
        written = to_torch(arrays, as_convolution=layer == "predictions" and row.preact)
        name = torch_name(layer, pooled=row.shortcut == "D", preact=row.preact)
        ours |= {f"{name}.{variable}": list(array.shape) for variable, array in written.items()}
    assert ours == {name: list(shape) for name, shape in theirs.items()}

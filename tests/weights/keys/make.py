"""The names and shapes of networks that other libraries build, for tests without them. One file a library:

    python -m tests.weights.keys.make torchvision
    python -m tests.weights.keys.make timm
    python -m tests.weights.keys.make transformers
    python -m tests.weights.keys.make bit
    python -m tests.weights.keys.make onnx
    python -m tests.weights.keys.make akamaster resnet20-12fca82f.th

No weights are fetched: the first four build networks with random ones (``bit`` with timm), the last reads a
file of akamaster/pytorch_resnet_cifar10.
"""

import json
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from unittest import mock

from benchmarks.peers import declare_operators
from keras_resnets.weights.publishers import NETWORKS

HERE = Path(__file__).parent


def shapes(arrays) -> dict[str, list[int]]:
    return {name: list(array.shape) for name, array in arrays.items()}


def of_torchvision() -> Iterator[tuple[str, dict]]:
    declare_operators()
    from torchvision import models

    for name in NETWORKS["torchvision"].values():
        yield name, shapes(models.get_model(name, weights=None).state_dict())


def of_timm() -> Iterator[tuple[str, dict]]:
    """Those that torchvision does not have; the others have the same names in both."""
    declare_operators()
    import timm

    for name in NETWORKS["timm"].values():
        if name not in NETWORKS["torchvision"].values():
            yield name, shapes(timm.create_model(name).state_dict())


def of_transformers() -> Iterator[tuple[str, dict]]:
    """With the configurations of those models on the hub; microsoft/resnet-50's is the library's default."""
    declare_operators()
    from transformers import ResNetConfig, ResNetForImageClassification

    basic = {"hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"}
    options = {
        "microsoft/resnet-18": {"depths": [2, 2, 2, 2], **basic},
        "microsoft/resnet-34": {"depths": [3, 4, 6, 3], **basic},
        "microsoft/resnet-50": {},
        "microsoft/resnet-101": {"depths": [3, 4, 23, 3]},
        "microsoft/resnet-152": {"depths": [3, 8, 36, 3]},
    }
    for name, chosen in options.items():
        model = ResNetForImageClassification(ResNetConfig(num_labels=1000, **chosen))
        yield name, shapes(model.state_dict())


def of_bit() -> Iterator[tuple[str, dict]]:
    """What timm's own reader of Google's files asks for: each array it gets holds a number of its own, and
    the parameter that has this number afterwards says the shape."""
    declare_operators()
    import numpy as np
    import timm

    # Two arrays are looked at before they are copied; the others may be single numbers.
    looked_at = {
        "resnet/root_block/standardized_conv2d/kernel": (7, 7, 3, 64),
        "resnet/head/conv2d/kernel": (1, 1, 2048, 1000),
    }

    class Asked(dict):
        def __missing__(self, name):
            self[name] = np.full(looked_at.get(name, ()), len(self) + 1, "float32")
            return self[name]

    for name in ("resnetv2_50x1_bit", "resnetv2_101x1_bit"):
        model, asked = timm.create_model(name, num_classes=1000), Asked()
        with mock.patch("timm.models.resnetv2._load_npz_checkpoint", return_value=asked):
            model.load_pretrained("no file")
        by_number = {array.flatten()[0].item(): array.shape for array in model.parameters()}
        order = {4: (2, 3, 1, 0), 1: (0,)}  # (out, in, height, width), which the reader had turned
        found = {}
        for key, number in asked.items():
            shape = by_number[number.flat[0].item()]
            found[key] = [shape[axis] for axis in order[len(shape)]]
        assert len(found) == len(by_number)
        yield name, found


def of_akamaster(*files: str) -> Iterator[tuple[str, dict]]:
    import torch

    for file in files:
        stored = torch.load(file, map_location="cpu", weights_only=True)
        yield Path(file).name, shapes(stored["state_dict"])


def of_onnx() -> Iterator[tuple[str, dict]]:
    """torchvision's resnet18 as both of PyTorch's exporters write it: nodes with weights, and their arrays."""
    declare_operators()
    import tempfile

    import onnx
    import torch
    from torchvision import models

    for dynamo in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            path, images = f"{folder}/a.onnx", torch.zeros(1, 3, 64, 64)
            network = models.resnet18(weights=None).eval()
            for name, array in network.state_dict().items():
                if name.endswith("running_mean"):
                    array.normal_()  # exporters share arrays that are equal
            torch.onnx.export(network, (images,), path, dynamo=dynamo)
            graph = onnx.load(path).graph
        arrays = {array.name: list(array.dims) for array in graph.initializer if len(array.dims)}
        nodes = [
            [node.op_type, node.name, list(node.input), list(node.output)]
            for node in graph.node
            if node.op_type in ("Conv", "Gemm", "Identity")
        ]
        yield f"resnet18, dynamo={dynamo}", {"nodes": nodes, "arrays": arrays}


LIBRARIES = {
    "onnx": (of_onnx, ("torch", "torchvision", "onnx")),
    "torchvision": (of_torchvision, ("torch", "torchvision")),
    "timm": (of_timm, ("torch", "timm")),
    "transformers": (of_transformers, ("torch", "transformers")),
    "bit": (of_bit, ("torch", "timm")),
    "akamaster": (of_akamaster, ("torch",)),
}


def main(library: str, *files: str) -> None:
    build, versions = LIBRARIES[library]
    names = " ".join(Path(file).name for file in files)
    found = {
        "command": f"python -m tests.weights.keys.make {library} {names}".strip(),
        "versions": {name: version(name) for name in versions},
        "models": dict(build(*files)),
    }
    (HERE / f"{library}.json").write_text(json.dumps(found, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Are these the networks of torchvision and timm? Copy their arrays in, compare every stage and the logits.

    make parity                         # all, in an environment of its own; writes docs/parity.md
    python benchmarks/parity.py resnet18 resnetv2_50

A peer is built with random weights, its norms' statistics made random too; our network gets its arrays
through the mapping that loads published files; both see the same pictures. Printed is, for each stage and the
logits, the largest difference relative to the largest value, then the same for our arrays gone back. None may
exceed 1e-5.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import torch
from peers import declare_operators
from safetensors.torch import load_file

declare_operators()
import timm
import torchvision

from keras_resnets import create, save_weights
from keras_resnets.weights import formats, loading
from keras_resnets.weights.publishers import NETWORKS

TOLERANCE = 1e-5


class Pair(NamedTuple):
    key: str
    library: str
    name: str
    output_stride: int = 32
    size: int = 64


_DILATED = (
    "resnet18", "resnet50_v1_5", "resnext50_32x4d", "resnet18_d", "resnet50_d", "se_resnet50", "resnetv2_18",
    "resnetv2_50", "bit_r50x1",
)  # fmt: skip
_ODD = ("resnet18", "resnet50_d", "resnetv2_50")  # an odd side meets every padding

PAIRS = [
    *[Pair(key, "torchvision", name) for key, name in NETWORKS["torchvision"].items()],
    *[
        Pair(key, "timm", name)
        for key, name in NETWORKS["timm"].items()
        if key not in NETWORKS["torchvision"]
    ],
    *[Pair(key, "timm", NETWORKS["timm"][key], stride) for stride in (16, 8) for key in _DILATED],
    *[Pair(key, "timm", NETWORKS["timm"][key], size=71) for key in _ODD],
]


def build_peer(pair: Pair) -> torch.nn.Module:
    if pair.library == "torchvision":
        peer = getattr(torchvision.models, pair.name)(weights=None)
    else:
        options = {} if pair.output_stride == 32 else {"output_stride": pair.output_stride}
        peer = timm.create_model(pair.name, pretrained=False, zero_init_last=False, **options)
    generator = torch.Generator().manual_seed(0)
    for name, tensor in peer.state_dict().items():
        if name.endswith("running_mean"):
            tensor.normal_(0, 0.1, generator=generator)
        elif name.endswith("bias"):
            tensor.normal_(0.5, 0.1, generator=generator)
        elif name.endswith("running_var") or (name.endswith("weight") and tensor.ndim == 1):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif name.endswith("weight") and tensor.ndim == 4:
            # Kernels of a size that keeps activations at theirs, whatever the library's own initialisation.
            tensor.normal_(0, (1 / tensor[0].numel()) ** 0.5, generator=generator)
    return peer.eval()


def peer_outputs(peer: torch.nn.Module, images: np.ndarray) -> list[np.ndarray]:
    """The end of each stage, then the logits, channels last."""
    stages = [getattr(peer, f"layer{n}") for n in range(1, 5)] if hasattr(peer, "layer1") else peer.stages
    seen = []
    hooks = [stage.register_forward_hook(lambda *call: seen.append(call[-1])) for stage in stages]
    with torch.no_grad():
        logits = peer(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    for hook in hooks:
        hook.remove()
    return [tensor.numpy().transpose(0, 2, 3, 1) for tensor in seen] + [logits.numpy()]


def our_outputs(model: keras.Model, images: np.ndarray) -> list[np.ndarray]:
    ends = {}
    for layer in model.layers:
        if layer.name.endswith("_out") and "_se_" not in layer.name:
            ends[layer.name.split("_")[0]] = layer.output
    outputs = keras.Model(model.input, [*ends.values(), model.output])(images)
    return [keras.ops.convert_to_numpy(output) for output in outputs]


def compare(pair: Pair) -> list[float]:
    """The relative difference at each stage and of the logits, and of the logits when our arrays go there."""
    peer = build_peer(pair)
    arrays = {key: tensor.numpy() for key, tensor in peer.state_dict().items()}
    model = create(
        pair.key,
        weights=None,
        input_shape=(pair.size, pair.size, 3),
        classifier_activation=None,
        output_stride=pair.output_stride,
    )
    contents = formats.Contents(Path(pair.name), pair.library, formats.grouped(arrays))
    loading.load(model, contents)
    images = np.random.default_rng(0).normal(0, 1, (2, pair.size, pair.size, 3)).astype("float32")
    differences = []
    for ours, theirs in zip(our_outputs(model, images), peer_outputs(peer, images), strict=True):
        assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
        differences.append(float(np.abs(ours - theirs).max() / np.abs(theirs).max()))
    differences.append(back(pair, peer, model, images))
    keras.backend.clear_session()
    return differences


def back(pair: Pair, peer: torch.nn.Module, model: keras.Model, images: np.ndarray) -> float:
    """Write our network, its arrays changed, in the peer's names, and load it there with ``strict=True``."""
    for variable in model.trainable_variables:
        variable.assign(1.01 * variable)
    with tempfile.TemporaryDirectory() as folder:
        save_weights(model, f"{folder}/ours.safetensors", names=pair.library)
        peer.load_state_dict(load_file(f"{folder}/ours.safetensors"), strict=True)
    ours, theirs = our_outputs(model, images)[-1], peer_outputs(peer, images)[-1]
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def main(keys: list[str]) -> int:
    pairs = [pair for pair in PAIRS if not keys or pair.key in keys]
    columns = [
        "network",
        "peer",
        "size",
        "output stride",
        "conv2",
        "conv3",
        "conv4",
        "conv5",
        "logits",
        "back",
    ]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    print(*columns, sep=", ")
    worst = 0.0
    for pair in pairs:
        differences = compare(pair)
        worst = max(worst, *differences)
        row = [pair.key, f"{pair.library} {pair.name}", str(pair.size), str(pair.output_stride)]
        row += [f"{difference:.1e}" for difference in differences]
        lines.append("| " + " | ".join(row) + " |")
        print(*row, sep=", ", flush=True)
    print(f"{len(pairs)} networks, largest relative difference {worst:.1e}, allowed {TOLERANCE:.0e}")
    if not keys:
        peers = ", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision", "timm", "keras"))
        page = Path(__file__).parents[1] / "docs" / "parity.md"
        page.parent.mkdir(exist_ok=True)
        how = (
            f"Made by `make parity` ({peers}, {keras.backend.backend()} backend).\n\n"
            "Random arrays of the peer in both networks, float32, two pictures: the largest difference at\n"
            "the end of each stage and of the logits, relative to the largest value. Back: our arrays,\n"
            "changed and written in the peer's names, loaded there with `strict=True`."
        )
        title = "# The same networks as torchvision's and timm's"
        page.write_text("\n\n".join([title, how, "\n".join(lines)]) + "\n", encoding="utf-8")
    return worst > TOLERANCE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

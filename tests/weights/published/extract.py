"""What publishers say of their weights, read from themselves, for `test_catalog`. One file a publisher:

    python -m tests.weights.published.extract torchvision
    python -m tests.weights.published.extract timm results/results-imagenet.csv
    python -m tests.weights.published.extract bit README.md big-transfer.mdx
    python -m tests.weights.published.extract akamaster README.md

timm and torchvision must be installed. The files named are timm's ``results/results-imagenet.csv`` and
``hfdocs/source/models/big-transfer.mdx``, and the READMEs of google-research/big_transfer and
akamaster/pytorch_resnet_cifar10.
"""

import csv
import hashlib
import json
import re
import sys
from importlib.metadata import version
from pathlib import Path

from benchmarks.peers import declare_operators
from keras_resnets.weights.publishers import NETWORKS

HERE = Path(__file__).parent
_MOVED = "/huggingface/pytorch-image-models/"


def from_torchvision() -> dict:
    declare_operators()
    from torchvision import models

    tags = {"IMAGENET1K_V1": "tv_in1k", "IMAGENET1K_V2": "tv2_in1k"}
    found = {}
    for key, name in NETWORKS["torchvision"].items():
        for weight in models.get_model_weights(name):
            steps, metrics = weight.transforms(), weight.meta["_metrics"]["ImageNet-1K"]
            found[f"{key}.{tags[weight.name]}"] = {
                "address": weight.url,
                "parameters": weight.meta["num_params"],
                "classes": len(weight.meta["categories"]),
                "size": steps.crop_size[0],
                "resize": steps.resize_size[0],
                "interpolation": steps.interpolation.value,
                "mean": steps.mean,
                "std": steps.std,
                "top1": metrics["acc@1"],
                "top5": metrics["acc@5"],
            }
    return found


def from_timm(results: str) -> dict:
    """Every tag that was tested on ImageNet at the size of its own configuration; torchvision's are left to it."""
    declare_operators()
    import timm
    from timm.models import get_arch_pretrained_cfgs

    with Path(results).open(encoding="utf-8", newline="") as file:
        tested = {(row["model"], int(row["img_size"])): row for row in csv.DictReader(file)}
    found = {}
    for key, name in NETWORKS["timm"].items():
        parameters = sum(array.numel() for array in timm.create_model(name).parameters())
        for number, (full_name, made) in enumerate(get_arch_pretrained_cfgs(name).items()):
            row = tested.get((full_name, made.input_size[-1]))
            tag = full_name.partition(".")[2]
            if row is None or tag in ("tv_in1k", "tv2_in1k"):
                continue
            assert float(row["crop_pct"]) == made.crop_pct and row["interpolation"] == made.interpolation
            assert made.crop_mode == "center" and abs(float(row["param_count"]) * 1e6 - parameters) < 1e4
            found[f"{key}.{tag}"] = {
                # The repository moved; GitHub answers to both names.
                "address": made.url.replace("/rwightman/pytorch-image-models/", _MOVED),
                "hub": made.hf_hub_id,
                "licence": made.license,
                "default": number == 0,
                "parameters": parameters,
                "classes": made.num_classes,
                "size": made.input_size[-1],
                "crop": made.crop_pct,
                "interpolation": made.interpolation,
                "mean": made.mean,
                "std": made.std,
                "top1": float(row["top1"]),
                "top5": float(row["top5"]),
            }
    return found


def from_bit(*texts: str) -> dict:
    """Addresses only; timm has the rest."""
    text = "".join(Path(name).read_text(encoding="utf-8") for name in texts)
    pattern = r"https://storage\.googleapis\.com/bit_models/[\w/-]*?R(\d+)x1[\w-]*\.npz"
    tags = {"-ILSVRC2012.npz": "goog_in21k_ft_in1k", "_224.npz": "goog_distilled_in1k"}
    found = {}
    for match in re.finditer(pattern, text):
        for ending, tag in tags.items():
            if match[0].endswith(ending):
                found[f"bit_r{match[1]}x1.{tag}"] = {"address": match[0]}
    return found


def from_akamaster(readme: str) -> dict:
    text = Path(readme).read_text(encoding="utf-8")
    rows = re.findall(r"\|\[ResNet(\d+)\]\((\S+)\).*\*\*([\d.]+)%\*\*\|", text)
    return {
        f"resnet{depth}.akamaster_cifar10": {"address": address, "error": float(error)}
        for depth, address, error in rows
    }


PUBLISHERS = {
    "torchvision": (from_torchvision, ("torch", "torchvision")),
    "timm": (from_timm, ("torch", "timm")),
    "bit": (from_bit, ()),
    "akamaster": (from_akamaster, ()),
}


def main(publisher: str, *files: str) -> None:
    read, libraries = PUBLISHERS[publisher]
    names = " ".join(Path(file).name for file in files)
    found = {
        "command": f"python -m tests.weights.published.extract {publisher} {names}".strip(),
        "versions": {name: version(name) for name in libraries},
        "sha256": {Path(file).name: hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files},
        "weights": read(*files),
    }
    # A line a training: a change of the publisher's is seen as one.
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in found["weights"].items())
    head = json.dumps({name: value for name, value in found.items() if name != "weights"})[:-1]
    text = f'{head},\n"weights": {{\n{lines}\n}}}}\n'
    assert json.loads(text) == json.loads(json.dumps(found))
    (HERE / f"{publisher}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])

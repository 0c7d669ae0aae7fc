"""How long a training step takes: forward, backward, an update with momentum; ours, Keras', torchvision's.

    python benchmarks/training.py                        # 224 x 224, batches of 16; writes docs/benchmarks
    KERAS_BACKEND=jax python benchmarks/training.py --rounds 15

Random pictures, the same in every step. Keras' models are compiled with Keras' defaults and stepped by
`train_on_batch`; torchvision's takes the same NumPy arrays, in channels_last.
"""

import click
import numpy as np
from machine import python_with
from networks import build, compared, pictures, torchvision_network
from reporting import report
from worker import Case

NOTES = """\
GFLOP/s counts what the network's definition asks for, three times the forward pass; how much of the host that
is, `limit` says. Torchvision's resnet50 has its stride in the 3x3 (v1.5) and so 6 % more to compute a picture
than Keras' ResNet50; ours of that kind is there too. Stock layers: `keras.Model.from_config` of our
configuration, what Keras makes of the same network; one round, because of the minutes it takes on a CPU."""


def keras_step(library: str, network: str, dtype: str, batch: int, size: int):
    import keras

    model = build(library, network, size, dtype)
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    model.compile(optimizer, loss="sparse_categorical_crossentropy")
    images, labels = pictures(batch, size), _labels(batch)
    return lambda: model.train_on_batch(images, labels)  # gives a number, so it waits for it


def torch_step(network: str, dtype: str, batch: int, size: int):
    import torch

    model, device = torchvision_network(network)
    optimizer = torch.optim.SGD(model.train().parameters(), lr=0.01, momentum=0.9)
    images, labels = pictures(batch, size), _labels(batch)

    def step():
        seen = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)  # channels_last in memory
        truth = torch.from_numpy(labels).to(device)
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=dtype != "float32"):
            loss = torch.nn.functional.cross_entropy(model(seen), truth)
        loss.backward()
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()
        return loss

    return step


def _labels(batch: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 1000, batch)


def contestants(network: str, **common) -> dict[str, Case]:
    cases = {
        "keras_resnets": _case("keras_resnets", network, common),
        "keras_resnets, accelerate()": _case("accelerated", network, common),
    }
    twin = "ResNet50V1_5" if network == "ResNet50" else network  # what torchvision calls by this name
    if network == "ResNet50":
        cases["keras_resnets, v1.5"] = _case("keras_resnets", twin, common)
        cases["keras.applications"] = _case("keras", network, common)
    if python := python_with("torch", "torchvision"):
        torch = Case(torch_step, {"network": twin} | common, python)
        # OpenMP's threads spin while they wait, which costs the most where other work shares the cores.
        cases["torchvision"] = torch
        cases["torchvision, OMP_WAIT_POLICY=passive"] = torch._replace(
            environment={"OMP_WAIT_POLICY": "passive"}
        )
    return cases


def _case(library: str, network: str, common: dict) -> Case:
    return Case(keras_step, {"library": library, "network": network} | common)


@click.command()
@click.option("--rounds", default=7, show_default=True)
@click.option("--batch", default=16, show_default=True)
@click.option("--quick", is_flag=True, help="Tiny pictures, two rounds: does it run?")
def main(rounds, batch, quick):
    """Measure training steps; write docs/benchmarks/training.md and .json."""
    rounds, warm, batch, size = (2, 1, 2, 32) if quick else (rounds, 2, batch, 224)
    tables = {}
    for network in ("ResNet50", "ResNeXt50", "ResNet18"):
        for dtype in ("float32", "mixed_bfloat16"):
            cases = contestants(network, dtype=dtype, batch=batch, size=size)
            peers = [name for name in ("keras.applications", "torchvision") if name in cases]
            reference = (*peers, "keras_resnets")[0]
            heading = f"{network}, {dtype}, batches of {batch}"
            tables[heading] = compared(cases, reference, rounds, warm, training=True)
    # One round of few pictures: on TensorFlow's CPU a step takes minutes.
    common = {"dtype": "float32", "batch": 2, "size": size}
    names = {"keras_resnets": "keras_resnets", "stock layers": "stock"}
    cases = {name: _case(library, "ResNeXt50", common) for name, library in names.items()}
    rows = compared(cases, "stock layers", rounds=1, warm=1, training=True)
    tables["ResNeXt50 in Keras' stock layers, float32, batches of 2"] = rows
    report("training", "How long a training step takes", tables, NOTES, quick)


if __name__ == "__main__":
    main()

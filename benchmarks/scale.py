"""More processes on one host: pictures to Parquet shards by Ray's actors, a training shared by workers.

    python benchmarks/scale.py               # ResNet50, 2,000 photographs of noise; ResNet-20, 6,400 pictures
    python benchmarks/scale.py --quick       # does it run?

Each case is `predict_files` in a process of its own, with a new run, or `keras-resnets train`, in turn with
the others.
"""

import importlib.util
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from measuring import interleaved
from networks import build, randomise
from PIL import Image
from pipeline import make_photographs
from reporting import report
from worker import ran

ACTORS = WORKERS = (1, 2, 4)
EPOCHS = (1, 4)  # of two trainings: what the longer one takes more is the training
NOTES = """\
Start-up is all before the first picture: imports, building the network, the list of pictures, the export with
its checks, and with Ray its own processes and an actor's TensorFlow. Pictures a second are counted from there
to the end of the last shard. In the model is the time a worker waits for the signature `image_bytes`,
which decodes and resizes as well; outside is what is left: reading, writing, sharing out. Actors take turns
on cores, so with more actors than cores each waits for the others inside its model.

Bytes a picture are those of the shards alone; the list of pictures and the model lie beside them.

A training's pictures a second are of the epochs that a longer one has more, 1 and 4, each with a small
validation; all else is what is left of the shorter one: imports, reading the pictures, tracing, and in the
end the report. Workers of one host share its cores, so what more of them lose is the price of sharing: norms
and gradients are added up over all of them at every step. On several hosts each has cores of its own."""


def once(
    folder: str, out: str, size: int, shard: int, runner: str, workers: int | None, began: float
) -> dict:
    """One run, as its own process sees it."""
    from keras_resnets.scale import predict_files

    model, shards = randomise(build("keras_resnets", "ResNet50", size)), []
    options = {"runner": runner, "workers": workers, "shard_size": shard, "done": shards.append}
    summary = predict_files(model, [folder], out, **options)
    first = min(each["began"] for each in shards)
    last = max(each["began"] + each["seconds"] for each in shards)
    return {
        "pictures": summary.pictures,
        "start-up": first - began,
        "seconds": last - first,
        "asking": sum(each["asking"] for each in shards),
        "bytes": sum(path.stat().st_size for path in Path(out).glob("*.parquet")),
    }


def inside(function, arguments: dict):
    """What a function of this file gives in a process of its own."""
    said = ran([sys.executable, __file__, "--inside", function.__name__, json.dumps(arguments)])
    return json.loads(said.splitlines()[-1])


def outside(arguments: dict, kept: list[dict]):
    """A case for `interleaved`: the seconds from the first picture to the last."""

    def run() -> float:
        with tempfile.TemporaryDirectory() as place:
            kept.append(inside(once, arguments | {"out": f"{place}/out", "began": time.time()}))
        return kept[-1]["seconds"]

    return run


def cases(common: dict) -> dict[str, dict]:
    found = {"tf.data, 1 process": {"runner": "local", "workers": None}}
    if importlib.util.find_spec("ray"):
        found |= {f"Ray, actors: {number}": {"runner": "ray", "workers": number} for number in ACTORS}
    else:
        click.echo("left out: Ray: pip install 'keras-resnets[ray]'", err=True)
    return {name: common | case for name, case in found.items()}


def row(name: str, workers: int, runs: list[dict]) -> dict:
    middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    rates = [run["pictures"] / run["seconds"] for run in runs]
    return {
        "case": name,
        "pictures/s": statistics.median(rates),
        "least to most": f"{min(rates):.4g} to {max(rates):.4g}",
        "start-up s": middle["start-up"],
        "share outside the model": statistics.median(1 - r["asking"] / r["seconds"] / workers for r in runs),
        "bytes a picture": middle["bytes"] / middle["pictures"],
        "seconds": [run["seconds"] for run in runs],
    }


def parts(folder: str, size: int) -> list[dict]:
    """Milliseconds that one process needs for a picture, whose file the system has in memory."""
    import tensorflow as tf

    from keras_resnets import export

    paths = sorted(Path(folder).iterdir())[:320]
    start = time.perf_counter()
    files = [path.read_bytes() for path in paths]
    reading = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as place:
        export(randomise(build("keras_resnets", "ResNet50", size)), f"{place}/resnet50")
        signatures = tf.saved_model.load(f"{place}/resnet50/1").signatures
    ready = tf.zeros((32, size, size, 3), tf.uint8)

    def seconds(asked) -> float:
        """All files, after one batch that does not count: it has TensorFlow's own start in it."""
        asked(0)
        start = time.perf_counter()
        for first in range(0, len(files), 32):
            asked(first)
        return time.perf_counter() - start

    whole = seconds(lambda i: signatures["image_bytes"](image_bytes=tf.constant(files[i : i + 32])))
    model = seconds(lambda i: signatures["serving_default"](images=ready[: len(files[i : i + 32])]))
    found = {"reading": reading, "decoding and resizing": whole - model, "network": model}
    return [{"ms a picture": 1e3 * taken / len(files), "part": name} for name, taken in found.items()]


def make_pictures(folder: Path, number: int) -> None:
    """Noise of 32 by 32 pixels in two classes, for training and for testing."""
    chance = np.random.default_rng(0)
    for part, count in (("train", number), ("test", 64)):
        for name in ("one", "other"):
            (folder / part / name).mkdir(parents=True)
            for i in range(count // 2):
                noise = Image.fromarray(chance.integers(0, 256, (32, 32, 3), "uint8"))
                noise.save(folder / part / name / f"{i}.bmp")


def trained(folder: str, workers: int, epochs: int):
    """A case for `interleaved`: the seconds of a whole training."""

    def run() -> float:
        with tempfile.TemporaryDirectory() as place:
            data = ["--dataset", f"{folder}/train", "--test", f"{folder}/test", "--out", f"{place}/out"]
            recipe = ["--model", "resnet20", "--epochs", f"{epochs}", "--set", "batch_size=128"]
            command = [sys.executable, "-m", "keras_resnets", "train", *data, *recipe, "--set", "ema=0"]
            command += ["--workers", str(workers)] if workers > 1 else []
            start = time.perf_counter()
            ran(command)
            return time.perf_counter() - start

    return run


def training_name(workers: int, epochs: int) -> str:
    return f"training, workers: {workers}, epochs: {epochs}"


def training_rows(seconds: dict[str, list[float]], number: int) -> list[dict]:
    found, (short, long) = [], EPOCHS
    for workers in WORKERS:
        names = [training_name(workers, epochs) for epochs in EPOCHS]
        if not all(name in seconds for name in names):
            continue  # one failed, and that was said
        pairs = zip(*(seconds[name] for name in names), strict=True)
        each = [((all_of - one) / (long - short), one) for one, all_of in pairs]
        rates = [number / epoch for epoch, _ in each]
        found.append(
            {
                "workers": workers,
                "pictures/s": statistics.median(rates),
                "least to most": f"{min(rates):.4g} to {max(rates):.4g}",
                "all else s": statistics.median(one - short * epoch for epoch, one in each),
                "seconds": [list(pair) for pair in each],
            }
        )
    return found


@click.command()
@click.option("--number", default=2000, show_default=True, help="Photographs to make.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--quick", is_flag=True, help="A few tiny pictures, one round: does it run?")
@click.option("--inside", "asked", nargs=2, hidden=True)
def main(number, rounds, quick, asked):
    """Measure runs; write docs/benchmarks/scale.md and .json."""
    if asked:
        function, arguments = asked
        print(json.dumps(globals()[function](**json.loads(arguments))))
        return
    rounds, number, size, shard = (1, 40, 32, 5) if quick else (rounds, number, 224, 100)
    with tempfile.TemporaryDirectory() as folder:
        make_photographs(Path(folder), number)
        every = cases({"folder": folder, "size": size, "shard": shard})
        kept = {name: [] for name in every}
        interleaved({name: outside(case, kept[name]) for name, case in every.items()}, rounds, warm=0)
        needed = inside(parts, {"folder": folder, "size": size})
    rows = [row(name, every[name]["workers"] or 1, runs) for name, runs in kept.items() if runs]
    small = 256 if quick else 6400
    with tempfile.TemporaryDirectory() as folder:
        make_pictures(Path(folder), small)
        trainings = {training_name(w, e): trained(folder, w, e) for w in WORKERS for e in EPOCHS}
        seconds = interleaved(trainings, rounds, warm=0)
    tables = {
        f"{number} JPEGs to Parquet shards, ResNet50": rows,
        "What a picture needs": needed,
        f"Training ResNet-20, {small} pictures, batches of 128": training_rows(seconds, small),
    }
    report("scale", "More processes on one host", tables, NOTES, quick)


if __name__ == "__main__":
    main()

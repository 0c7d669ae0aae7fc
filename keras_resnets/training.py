"""A folder of pictures to a model of one's own: the pretrained network reads, a new classifier learns.

The network stays as it is, its batch norms too, so every picture passes through it once; the classifier then
trains on what the network said, in seconds.
"""

import dataclasses
import functools
import os
from pathlib import Path

import keras
import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from .bundle import Bundle, check_can_be_saved
from .images.dataset import Samples, scan, split
from .images.labels import numbered
from .inspection import (
    before_classifier,
    check_answers_pictures,
    gives_logits,
    in_layout_of,
    normalization_of,
)
from .matlab import adapt
from .models import create, preset_of
from .predictor import inputs_of, outputs_of, runner
from .progress import bars
from .weights.loading import HEAD

_BATCH = 32  # pictures that the network reads at once


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
    for name, value in {"epochs": epochs, "batch_size": batch_size}.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1. Received: {name}={value}")
    if not 0 < validation < 1:
        raise ValueError(f"validation must be between 0 and 1. Received: validation={validation}")
    if not learning_rate > 0:
        raise ValueError(f"learning_rate must be positive. Received: learning_rate={learning_rate}")
    if out is not None and Path(out).exists():
        raise FileExistsError(f"{out} exists; choose another name or remove it")
    samples = data if isinstance(data, Samples) else scan(data)
    classes = samples.classes
    if len(classes) < 2:
        raise ValueError(f"at least 2 classes are needed. Received: {len(classes)} ({', '.join(classes)})")
    train, held_out = split(samples, validation, seed)

    keras.utils.set_random_seed(seed)
    model = model_or_name
    if isinstance(model, str):
        model = create(model, classes=len(classes), new_head=True)
    _check_outputs(model, len(classes))
    if out is not None:
        check_can_be_saved(model, Path(out))

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with bars(*columns, "{task.fields[note]}") as progress:
        # One network for both parts: it is compiled at its first batch.
        if normalization_of(model):
            _adapt(model, train, progress)
        backbone = keras.Model(model.input, before_classifier(model))
        preset = preset_of(model)
        run = runner(backbone, preset, _BATCH)
        reading = functools.partial(
            _features, run, backbone, preset=preset, classes=classes, progress=progress
        )
        x, y, bad = reading(train, title="reading training pictures")
        x_held, y_held, bad_held = reading(held_out, title="reading validation pictures")
        for part, features, errors in (("training", x, bad), ("validation", x_held, bad_held)):
            if not len(features):
                raise ValueError(f"no picture for {part} could be read: {errors[0]}")
        head = model.get_layer(HEAD)
        history = _train(head, (x, y), (x_held, y_held), epochs, batch_size, learning_rate, progress)

    metrics = {
        **max(history, key=_goodness),
        "training pictures": len(x),
        "validation pictures": len(x_held),
        "unreadable": bad + bad_held,
    }
    recipe = {
        "epochs": epochs,
        "validation": validation,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "seed": seed,
    }
    notes = {"recipe": recipe, "metrics": metrics}
    bundle = Bundle(model, preset_of(model), numbered(classes), notes, history)
    if out is not None:
        bundle.save(out)
    return Run(bundle, history, metrics)


def _check_outputs(model: keras.Model, classes: int) -> None:
    check_answers_pictures(model)
    units = model.get_layer(HEAD).units
    if units != classes:
        raise ValueError(
            f"the data has {classes} classes, the model's classifier {units} outputs; "
            f"build it with classes={classes}, new_head=True"
        )


def _adapt(model: keras.Model, samples: Samples, progress: Progress) -> None:
    """The network's own normalisation learns from the training pictures."""
    task = progress.add_task("adapting the normalisation", total=len(samples.paths), note="")

    def batches():
        for batch, images in inputs_of(samples.paths, model, preset_of(model), _BATCH):
            progress.update(task, advance=len(batch.sources))
            if len(images):
                yield in_layout_of(model, images)

    adapt(model, batches())


def _features(run, backbone: keras.Model, samples: Samples, preset, classes, progress: Progress, title: str):
    """What the network says of each picture before its classifier.

    Returns:
        float32 (N, F), class numbers (N,), and one line for each picture that could not be read.
    """
    task = progress.add_task(title, total=len(samples.paths), note="")
    rows, errors = [], []
    for batch, outputs in outputs_of(run, backbone, samples.paths, preset, _BATCH):
        rows.append(outputs)
        errors += batch.errors
        progress.update(task, advance=len(batch.sources))
    readable = zip(samples.labels, errors, strict=True)
    targets = np.array([classes.index(label) for label, error in readable if not error], "int32")
    return np.concatenate(rows), targets, [error for error in errors if error]


def _goodness(row: dict) -> tuple[float, float]:
    """Which of two epochs is better: by validation accuracy, then by validation loss."""
    return row["val_accuracy"], -row["val_loss"]


def _train(
    head, training, validation, epochs, batch_size, learning_rate, progress: Progress
) -> tuple[dict, ...]:
    """Train the classifier alone; it keeps its weights of the best epoch."""
    classifier = keras.Sequential([keras.Input(training[0].shape[1:]), head])
    classifier.compile(
        keras.optimizers.Adam(learning_rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=gives_logits(classifier)),
        metrics=["accuracy"],
    )
    log = _Log(progress, epochs)
    classifier.fit(
        *training,
        validation_data=validation,
        epochs=epochs,
        batch_size=batch_size,
        callbacks=[log],
        verbose=0,
    )
    classifier.set_weights(log.best_weights)
    return tuple(log.rows)


class _Log(keras.callbacks.Callback):
    """Epochs on the progress bar, their numbers in ``rows``, and the weights of the best."""

    def __init__(self, progress: Progress, epochs: int):
        super().__init__()
        self._progress, self.rows, self.best_weights = progress, [], None
        self._task = progress.add_task("training the classifier", total=epochs, note="")

    def on_epoch_end(self, epoch, logs=None):
        row = {"epoch": epoch + 1, **{name: float(value) for name, value in logs.items()}}
        if not self.rows or _goodness(row) > max(map(_goodness, self.rows)):
            self.best_weights = self.model.get_weights()
        self.rows.append(row)
        note = f"accuracy {logs['accuracy']:.3f}, validation {logs['val_accuracy']:.3f}"
        self._progress.update(self._task, advance=1, note=note)

"""A frozen network computes each picture once; its classifier trains on what it said."""

import contextlib
import hashlib
import json
import platform
import shutil
import time
import zipfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np
from rich.progress import Progress

from ..disk import written_whole
from ..images.presets import Preset
from ..images.reading import ImageError, identity, read_image
from ..inspection import backbone_of, gives_logits
from ..predictor import inputs_of, outputs_of, runner
from ..weights.loading import HEAD
from ..weights.sources import cache_folder
from . import loop
from .recipe import Recipe

BATCH = 32
SHARD = 1024  # pictures in a file of the cache: what a kill can cost
MANY = 256  # pictures from which another precision is worth its trial
CLOSE = 0.02  # of the features' length: what a precision may change
LENGTH = 45.0  # of features for the classifier: that of 2048, as many as ResNet50 has, of variance one
LEFT = 1e9  # bytes of the disk that the cache leaves to others, the result among them
A_MONTH = 30 * 86_400.0


class Reader:
    """What a network says of pictures before its classifier.

    Computed on TensorFlow with folded batch norms, and in bfloat16 where the processor multiplies it faster
    and the first pictures' features stay the same within 2 %; kept in the cache folder, by network and
    picture. The network is compiled when the first features are not there.

    Args:
        model: A network with a classifier.
        preset: What it expects of pictures.
        sources: The pictures to train on: many are worth the trial of another precision.
    """

    def __init__(self, model: keras.Model, preset: Preset, sources: Sequence):
        self._backbone = backbone = backbone_of(model)
        self._preset, self._first, self._run = preset, sources[:BATCH], None
        self._precision = "bfloat16" if len(sources) >= MANY and _multiplies_bfloat16() else "float32"
        layers = [layer.get_config() for layer in backbone.layers]
        told = version("keras-resnets"), preset, backbone.input_shape, layers, self._precision
        self._name = hashlib.sha256(repr(told).encode())
        for variable in backbone.weights:
            self._name.update(np.ascontiguousarray(keras.ops.convert_to_numpy(variable)))

    def read(self, sources: Sequence, advance: Callable[[int], object]):
        """Compute features, or take them from the cache.

        Args:
            sources: Pictures, as `read_image` takes them.
            advance: Called with the number of pictures that were read since it was called last.

        Returns:
            float32 (N, F) of the readable pictures, and for each source None or why it cannot be read.
        """
        rows, errors = [], []
        for start in range(0, len(sources), SHARD):
            features, why = self._shard(sources[start : start + SHARD], advance)
            rows.append(features)
            errors += why
        return np.concatenate(rows), errors

    def _shard(self, sources: Sequence, advance) -> tuple[np.ndarray, list[str | None]]:
        name = self._name.copy()
        for source in sources:
            name.update(identity(source, dated=True))
        path = cache_folder() / "features" / f"{name.hexdigest()}.npz"
        found = _kept(path)
        if found and not _can_be_read(sources, found[1]):
            advance(len(sources))
            return found
        if self._run is None:
            self._run = self._compiled()
        rows, errors = [], []
        for batch, outputs in outputs_of(self._run, self._backbone, sources, self._preset, BATCH):
            rows.append(outputs)
            errors += batch.errors
            advance(len(batch.sources))
        features = np.concatenate(rows)
        _keep(path, features, errors)
        return features, errors

    def _compiled(self):
        exact = runner(self._backbone, self._preset, BATCH)
        if self._precision == "float32":
            return exact
        images = next(images for _, images in inputs_of(self._first, self._backbone, self._preset, BATCH))
        if not len(images):
            return exact
        whole = np.resize(images, (BATCH, *images.shape[1:]))
        fast = runner(self._backbone, self._preset, BATCH, precision="bfloat16")
        ours, theirs = exact(whole), fast(whole)
        return fast if np.linalg.norm(ours - theirs) <= CLOSE * np.linalg.norm(ours) else exact


def _multiplies_bfloat16() -> bool:
    """Whether TensorFlow's processor has instructions for it: elsewhere it is slower than float32."""
    if keras.backend.backend() != "tensorflow" or platform.machine() not in ("x86_64", "AMD64"):
        return False
    with contextlib.suppress(OSError):
        return "bf16" in Path("/proc/cpuinfo").read_text()
    return False


def _can_be_read(sources: Sequence, errors: list[str | None]) -> bool:
    """Whether a picture that could not be read can be now: a disk was away, a permission missing."""
    for source in (source for source, error in zip(sources, errors, strict=True) if error):
        with contextlib.suppress(ImageError):
            read_image(source)
            return True
    return False


def _kept(path: Path) -> tuple[np.ndarray, list] | None:
    """What is in the cache; None for nothing, and for what is damaged."""
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            found = arrays["features"], json.loads(arrays["errors"].tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    with contextlib.suppress(OSError):  # a cache that others keep
        path.touch()  # the oldest are removed
    return found


def _keep(path: Path, features: np.ndarray, errors: list) -> None:
    """Without room for it there is no cache, and nothing else is lost."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(path.parent).free > LEFT:
            told = np.frombuffer(json.dumps(errors).encode(), "uint8")
            with written_whole(path) as beside:
                np.savez(beside, features=features, errors=told)
    for old in path.parent.glob("*"):
        with contextlib.suppress(OSError):  # another training may have removed it
            if time.time() - old.stat().st_mtime > A_MONTH:
                shutil.rmtree(old) if old.is_dir() else old.unlink()  # a folder is what a kill left


def class_weights(numbers: np.ndarray, classes: int) -> np.ndarray:
    """A factor of the loss for each class: all classes weigh the same in total, one on the average.

    >>> class_weights(np.array([0, 0, 0, 1]), 2).round(3).tolist()
    [0.667, 2.0]
    """
    counts = np.bincount(numbers, minlength=classes)
    return len(numbers) / (classes * np.maximum(counts, 1))


def train_head(model: keras.Model, training, validation, recipe: Recipe, progress: Progress) -> loop.State:
    """Train the classifier alone, on features and class numbers; it gets the weights that are kept.

    It sees the features centred and at one mean length: one rate suits every network then.
    """
    classes = model.output_shape[-1]
    head = model.get_layer(HEAD)
    # A copy: what happens in its coordinates, a kill or a bad rate too, leaves the model as it is.
    classifier = keras.Sequential(
        [keras.Input(training[0].shape[1:]), type(head).from_config(head.get_config())]
    )
    steps = -(-len(training[0]) // recipe.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(recipe.head_learning_rate, steps * recipe.head_epochs)
    logits, smoothing = gives_logits(classifier), recipe.label_smoothing
    loss = keras.losses.CategoricalCrossentropy(logits, label_smoothing=smoothing)
    classifier.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    (x, numbers), (x_held, numbers_held) = training, validation
    one_hot = np.eye(classes, dtype="float32")
    weights = class_weights(numbers, classes)[numbers] if recipe.class_weights else None
    watch = _Epochs(progress, recipe)
    centre = x.mean(axis=0)
    scale = LENGTH / max(np.sqrt(np.square(x - centre).sum(axis=1).mean()), 1e-6)
    kernel, bias = head.get_weights()
    if _surprise(x @ kernel + bias, numbers) > np.log(classes):  # as a new one: it knows less than nothing
        kernel, bias = np.zeros_like(kernel), np.zeros_like(bias)
    classifier.set_weights([kernel / scale, bias + centre @ kernel])
    try:
        classifier.fit(
            scale * (x - centre),
            one_hot[numbers],
            validation_data=(scale * (x_held - centre), one_hot[numbers_held]),
            epochs=recipe.head_epochs,
            batch_size=recipe.batch_size,
            sample_weight=weights,
            callbacks=[watch],
            verbose=0,
        )
    except KeyboardInterrupt:
        if watch.state.chosen is None:
            raise
        watch.state.stopped = True
    kernel, bias = watch.state.kept
    watch.state.kept = [scale * kernel, bias - scale * centre @ kernel]
    head.set_weights(watch.state.kept)
    return watch.state


def _surprise(logits: np.ndarray, numbers: np.ndarray) -> float:
    """The mean cross-entropy of a classifier, in nats."""
    logits = logits - logits.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(numbers)), numbers]))


class _Epochs(keras.callbacks.Callback):
    """Epochs on the progress bar and in ``state``."""

    def __init__(self, progress: Progress, recipe: Recipe):
        super().__init__()
        self.state = loop.State([], [])
        self._progress, self._recipe = progress, recipe
        self._task = progress.add_task("training the classifier", total=recipe.head_epochs, note="")

    def on_epoch_end(self, epoch, logs=None):
        row = {"epoch": epoch + 1, **{name: float(value) for name, value in logs.items()}}
        if not np.isfinite(row["loss"]):
            raise loop.TrainingError(
                f"the classifier's loss is {row['loss']} in epoch {epoch + 1}; lower head_learning_rate. The "
                "network is as it was, and its features are kept"
            )
        self.state.take(row, self.model.get_weights, self._recipe)
        self._progress.update(self._task, advance=1, note=loop.note(self.state.rows))
        self.model.stop_training = self.state.is_done(self._recipe)

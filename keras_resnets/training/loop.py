"""Epoch after epoch: what is kept, what is written down, and how a training ends."""

import contextlib
import dataclasses
import json
import math
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..disk import written_whole
from ..inspection import gives_logits
from ..progress import bars, say
from . import optimizers
from .epoch import Epoch
from .recalibration import recalibrate
from .recipe import Recipe
from .workers import ALONE, Worker, assign, check_same, needs_strategy


class TrainingError(RuntimeError):
    """A training that cannot go on; the message says why, what was kept and what to do.

    Example:

    >>> import numpy as np
    >>> from keras_resnets import create, train
    >>> data = np.zeros((4, 32, 32, 3), "uint8"), np.array([0, 1, 0, 1])
    >>> model = create("resnet20", weights=None, classes=2)
    >>> train(model, data, data, batch_size=1, learning_rate=1e30, warmup=0)
    Traceback (most recent call last):
    keras_resnets.training.loop.TrainingError: the loss is nan at step 4 of epoch 1...
    """


@dataclasses.dataclass
class State:
    """Where a training stands.

    Attributes:
        rows: One dictionary of numbers an epoch.
        kept: Weights of the epoch that is kept so far, in the order of the network's.
        chosen: Its row, or None before the first.
        begin: How many of the rows are of an earlier part.
        stopped: Whether somebody ended it before its end.
        written: How many of the rows are in the checkpoint.
    """

    rows: list[dict]
    kept: list[np.ndarray]
    chosen: dict | None = None
    begin: int = 0
    stopped: bool = False
    written: int = 0

    def take(self, row: dict, weights: Callable[[], list[np.ndarray]], recipe: Recipe) -> None:
        """An epoch has ended: keep its weights, or not."""
        if recipe.keep == "last" or self.chosen is None or goodness(row) > goodness(self.chosen):
            self.kept, self.chosen = weights(), row
        self.rows.append(row)

    def is_done(self, recipe: Recipe) -> bool:
        """Whether this part has waited long enough for a better epoch."""
        if recipe.patience is None or len(self.rows) == self.begin:
            return False
        best = max(range(len(self.rows)), key=lambda number: goodness(self.rows[number]))
        return len(self.rows) - max(best + 1, self.begin) >= recipe.patience


def goodness(row: dict) -> tuple[float, float]:
    """Which of two epochs is better: by validation accuracy, then by validation loss."""
    return row["val_accuracy"], -row["val_loss"]


def progress_bars(shown: bool = True) -> Progress:
    return bars(
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        "{task.fields[note]}",
        shown=shown,
    )


class _Rate(TextColumn):
    def __init__(self):
        super().__init__("")

    def render(self, task):
        from rich.text import Text

        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


def train(
    network: keras.Model,
    epoch_of: Callable[[int, int | None], Epoch],
    validation,
    recipe: Recipe,
    terms: dict[str, tuple[float, float]],
    progress: Progress,
    state: State,
    checkpoint: Path | None = None,
    worker: Worker = ALONE,
) -> State:
    """Train the trainable variables of a network; in the end it has the weights of the epoch that is kept.

    Args:
        network: Its layers are frozen or not as the recipe wants it.
        epoch_of: The batches of an epoch, by its number and how many there are at most.
        validation: Batches to measure after each epoch.
        terms: As `optimizers.optimizer` takes them.
        state: Where to begin; its rows may be those of an earlier part.
        checkpoint: A file, written after each epoch and gone on from if it is there.
        worker: Of several, one writes the checkpoint; all go on from it.

    Raises:
        TrainingError: The loss is not finite, or the checkpoint cannot be written.
        KeyboardInterrupt: Before the first epoch ended; later the best so far is the result.
    """
    first = epoch_of(0, None)
    steps = len(first)
    total = recipe.iterations or recipe.epochs * steps
    network.compile(
        optimizers.optimizer(recipe, terms, steps, total),
        keras.losses.CategoricalCrossentropy(gives_logits(network), label_smoothing=recipe.label_smoothing),
        metrics=["accuracy"],
    )
    network.optimizer.build(network.trainable_variables)
    if keras.backend.backend() != "tensorflow":
        # Else `fit` makes its metrics from the first batch that it reads, and begins with the next one.
        with _naming_what_is_gone(validation):
            images, targets, *_ = validation[0]
        network.test_on_batch(images, targets)
    if checkpoint and checkpoint.is_file():
        state = _read(checkpoint, network)
    check_same(worker, "checkpoint", len(state.rows))
    fit, measure = _ways(network, worker)
    epochs, done, pictures = math.ceil(total / steps), len(state.rows) - state.begin, len(first.numbers)
    task = progress.add_task("training", total=epochs * pictures, note=note(state.rows))
    progress.update(task, completed=done * pictures)
    try:
        for epoch in range(done, epochs):
            if state.is_done(recipe):
                break
            if recipe.schedule == "plateau":
                losses = [row["val_loss"] for row in state.rows[state.begin :]]
                network.optimizer.learning_rate = optimizers.after_plateaus(recipe, losses)
            batches = epoch_of(epoch, total - epoch * steps)
            with _naming_what_is_gone(batches, validation):
                watch = _Watch(progress, task, batches, state)
                logs = fit(batches, watch)
                _measured(network, batches, lambda: measure(validation), recipe, state, logs)
            if checkpoint and worker.writes:
                _write(checkpoint, network, state)
                state.written = len(state.rows)
            progress.update(task, note=note(state.rows))
            if not progress.console.is_terminal and worker.writes:  # where a bar cannot move, a line an epoch
                say(note(state.rows))
    except KeyboardInterrupt:
        if state.chosen is None:
            raise
        state.stopped = True
    except TrainingError as error:
        kept = f"the checkpoint of epoch {state.written}" if state.written else "no checkpoint"
        raise TrainingError(f"{error}; {kept} is there") from error
    finally:
        # A worker that fails alone must not wait here for others, and nobody asks for its weights.
        if worker.count == 1 or sys.exc_info()[0] is None:
            put(network, state.kept)
    return state


def _ways(network: keras.Model, worker: Worker) -> tuple[Callable, Callable]:
    """How to train on the batches of an epoch, and how to measure: both to the numbers of a row."""
    if needs_strategy(worker):
        from . import strategies

        return strategies.loops(network, worker.replicas)

    def fit(batches, watch):
        history = network.fit(batches, epochs=1, shuffle=False, verbose=0, callbacks=[watch]).history
        return {name: float(values[-1]) for name, values in history.items()}

    def measure(batches):
        return network.evaluate(batches, verbose=0, return_dict=True)

    return fit, measure


def _measured(network, batches: Epoch, measure: Callable[[], dict], recipe: Recipe, state: State, logs):
    """After an epoch: measure, and keep what is to be kept."""
    with _averaged(network, recipe):
        if recipe.batch_norm != "frozen" and (recipe.ema or recipe.batch_norm == "recalibrate"):
            recalibrate(network, batches.whole())  # an average of weights has no statistics of its own
        measured = measure()
        if not math.isfinite(measured["loss"]):
            raise TrainingError(
                _not_finite("validation loss", measured["loss"], f"epoch {len(state.rows) + 1}")
            )
        row = {"epoch": len(state.rows) + 1, **logs}
        row |= {f"val_{name}": float(value) for name, value in measured.items()}
        state.take(row, lambda: weights_of(network), recipe)


@contextlib.contextmanager
def _naming_what_is_gone(*parts: Epoch):
    """What a backend makes of a picture that cannot be read any more does not name it."""
    try:
        yield
    except Exception as error:
        if lost := next(filter(None, (part.lost for part in parts)), None):
            raise TrainingError(f"a picture is gone ({lost})") from error
        raise


def weights_of(network: keras.Model) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(variable).copy() for variable in network.weights]


def put(network: keras.Model, arrays: list[np.ndarray]) -> None:
    for variable, array in zip(network.weights, arrays, strict=True):
        assign(variable, array)


@contextlib.contextmanager
def _averaged(network: keras.Model, recipe: Recipe):
    """The network with the average of its weights, where the recipe has one; afterwards as it was."""
    raw = weights_of(network)
    if recipe.ema:
        network.optimizer.put_average(network.trainable_variables)
    yield
    put(network, raw)


def note(rows: list[dict]) -> str:
    if not rows:
        return ""
    return (
        f"epoch {rows[-1]['epoch']}: loss {rows[-1]['loss']:.3f}, validation {rows[-1]['val_accuracy']:.4f}"
    )


def _not_finite(name: str, value, place: str) -> str:
    return (
        f"the {name} is {float(value)} at {place}. A lower learning_rate, a longer warmup or "
        "precision='float32' may help"
    )


class _Watch(keras.callbacks.Callback):
    """Pictures on the progress bar; a loss that is not finite ends the training."""

    def __init__(self, progress: Progress, task, batches: Epoch, state: State):
        super().__init__()
        self._progress, self._bar, self._batches = progress, task, batches
        self._epoch = len(state.rows) + 1

    def on_train_batch_end(self, batch, logs=None):
        self._progress.advance(self._bar, len(self._batches.groups[batch]))
        seldom = batch % 10 == 9 or batch + 1 == len(self._batches)  # to look is to wait for the step
        if seldom and not math.isfinite(float(logs["loss"])):
            raise TrainingError(_not_finite("loss", logs["loss"], f"step {batch + 1} of epoch {self._epoch}"))


# --- checkpoints ----------------------------------------------------------------------------------


def _arrays(network: keras.Model) -> list:
    """All that an epoch changes: weights, the state of random layers, the optimizer's."""
    return [*network.variables, *network.optimizer.variables]


def size_of(network: keras.Model, recipe: Recipe) -> int:
    """Bytes of a checkpoint: the weights, those that are kept, the optimizer's copies."""
    copies = 3 + (recipe.optimizer == "adamw") + bool(recipe.ema)
    return copies * sum(4 * math.prod(variable.shape) for variable in network.variables)


def _write(path: Path, network: keras.Model, state: State) -> None:
    arrays = {f"v{i}": keras.ops.convert_to_numpy(variable) for i, variable in enumerate(_arrays(network))}
    arrays |= {f"k{i}": array for i, array in enumerate(state.kept)}
    told = json.dumps({"rows": state.rows, "chosen": state.chosen, "begin": state.begin})
    with (
        saying_what_is_full(f"the checkpoint of epoch {len(state.rows)}", path),
        written_whole(path) as beside,
    ):
        np.savez(beside, told=np.frombuffer(told.encode(), "uint8"), **arrays)


@contextlib.contextmanager
def saying_what_is_full(what: str, path: Path):
    """A disk's error, as one that says what is not there and what to do."""
    try:
        yield
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else error
        raise TrainingError(
            f"{what} cannot be written to {path.parent} ({why}); make room, then resume"
        ) from error


def _read(path: Path, network: keras.Model) -> State:
    try:
        with path.open("rb") as opened, np.load(opened) as file:
            told = json.loads(file["told"].tobytes())
            variables = _arrays(network)
            values = [file[f"v{i}"] for i in range(sum(name.startswith("v") for name in file.files))]
            kept = [file[f"k{i}"] for i in range(sum(name.startswith("k") for name in file.files))]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise TrainingError(f"{path} is damaged ({error}); remove its folder to begin anew") from error
    if [value.shape for value in values] != [tuple(variable.shape) for variable in variables]:
        raise TrainingError(f"{path} is of another network or optimizer; remove its folder to begin anew")
    for variable, value in zip(variables, values, strict=True):
        assign(variable, value)
    return State(told["rows"], kept, told["chosen"], told["begin"], written=len(told["rows"]))

"""Epoch after epoch: what is kept, what is written down, and how a training ends."""

import contextlib
import dataclasses
import json
import math
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..inspection import gives_logits
from ..progress import bars, say
from . import optimizers
from .epoch import Epoch
from .recalibration import recalibrate
from .recipes import Recipe


class TrainingError(RuntimeError):
    """A training that cannot go on; the message says why, what was kept and what to do."""


@dataclasses.dataclass
class State:
    """Where a training stands.

    Attributes:
        rows: One dictionary of numbers an epoch.
        kept: Weights of the epoch that is kept so far, in the order of the network's.
        chosen: Its row, or None before the first.
        begin: How many of the rows are of an earlier part.
        stopped: Whether somebody ended it before its end.
    """

    rows: list[dict]
    kept: list[np.ndarray]
    chosen: dict | None = None
    begin: int = 0
    stopped: bool = False


def goodness(row: dict) -> tuple[float, float]:
    """Which of two epochs is better: by validation accuracy, then by validation loss."""
    return row["val_accuracy"], -row["val_loss"]


def progress_bars() -> Progress:
    return bars(
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        "{task.fields[note]}",
    )


class _Rate(TextColumn):
    def __init__(self):
        super().__init__("")

    def render(self, task):
        from rich.text import Text

        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


def train(
    network: keras.Model,
    epoch_of: Callable[[int], Epoch],
    validation,
    recipe: Recipe,
    terms: dict[str, tuple[float, float]],
    progress: Progress,
    state: State,
    checkpoint: Path | None = None,
) -> State:
    """Train the trainable variables of a network; in the end it has the weights of the epoch that is kept.

    Args:
        network: Its layers are frozen or not as the recipe wants it.
        epoch_of: The batches of an epoch, by its number.
        validation: Batches to measure after each epoch.
        terms: As `optimizers.optimizer` takes them.
        state: Where to begin; its rows may be those of an earlier part.
        checkpoint: A file, written after each epoch and gone on from if it is there.

    Raises:
        TrainingError: The loss is not finite, or the checkpoint cannot be written.
        KeyboardInterrupt: Before the first epoch ended; later the best so far is the result.
    """
    steps = len(epoch_of(0))
    total = recipe.iterations or recipe.epochs * steps
    network.compile(
        optimizers.optimizer(recipe, terms, steps, total),
        keras.losses.CategoricalCrossentropy(gives_logits(network), label_smoothing=recipe.label_smoothing),
        metrics=["accuracy"],
    )
    network.optimizer.build(network.trainable_variables)
    if checkpoint and checkpoint.is_file():
        state = _read(checkpoint, network)
    epochs = math.ceil(total / steps)
    done = len(state.rows) - state.begin
    task = progress.add_task("training", total=epochs * len(epoch_of(0).targets), note=note(state.rows))
    progress.update(task, completed=done * len(epoch_of(0).targets))
    try:
        for epoch in range(done, epochs):
            if recipe.schedule == "plateau":
                losses = [row["val_loss"] for row in state.rows[state.begin :]]
                network.optimizer.learning_rate = optimizers.after_plateaus(recipe, losses)
            batches = epoch_of(epoch)
            watch = _Watch(progress, task, batches, len(state.rows) + 1)
            logs = network.fit(batches, epochs=1, shuffle=False, verbose=0, callbacks=[watch]).history
            row = {"epoch": len(state.rows) + 1, **{name: float(values[-1]) for name, values in logs.items()}}
            with _averaged(network, recipe):
                if recipe.batch_norm != "frozen" and (recipe.ema or recipe.batch_norm == "recalibrate"):
                    recalibrate(network, batches)  # an average of weights has no statistics of its own
                measured = network.evaluate(validation, verbose=0, return_dict=True)
                row |= {f"val_{name}": float(value) for name, value in measured.items()}
                state.rows.append(row)
                if recipe.keep == "last" or state.chosen is None or goodness(row) > goodness(state.chosen):
                    state.chosen, state.kept = row, weights_of(network)
            if checkpoint:
                _write(checkpoint, network, state)
            progress.update(task, note=note(state.rows))
            if not progress.console.is_terminal:  # where a bar cannot move, a line an epoch
                say(note(state.rows))
            if _waited(state) >= (recipe.patience or math.inf):
                break
    except KeyboardInterrupt:
        if not state.rows:
            raise
        state.stopped = True
    finally:
        put(network, state.kept)
    return state


def weights_of(network: keras.Model) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(variable).copy() for variable in network.weights]


def put(network: keras.Model, arrays: list[np.ndarray]) -> None:
    for variable, array in zip(network.weights, arrays, strict=True):
        variable.assign(array)


@contextlib.contextmanager
def _averaged(network: keras.Model, recipe: Recipe):
    """The network with the average of its weights, where the recipe has one; afterwards as it was."""
    raw = weights_of(network)
    if recipe.ema:
        network.optimizer.finalize_variable_values(network.trainable_variables)
    yield
    put(network, raw)


def _waited(state: State) -> int:
    return len(state.rows) - state.chosen["epoch"]


def note(rows: list[dict]) -> str:
    if not rows:
        return ""
    return (
        f"epoch {rows[-1]['epoch']}: loss {rows[-1]['loss']:.3f}, validation {rows[-1]['val_accuracy']:.4f}"
    )


class _Watch(keras.callbacks.Callback):
    """Pictures on the progress bar; a loss that is not finite ends the training."""

    def __init__(self, progress: Progress, task, batches: Epoch, epoch: int):
        super().__init__()
        self._progress, self._bar, self._batches, self._epoch = progress, task, batches, epoch

    def on_train_batch_end(self, batch, logs=None):
        self._progress.advance(self._bar, len(self._batches.groups[batch]))
        seldom = batch % 10 == 9 or batch + 1 == len(self._batches)  # to look is to wait for the step
        if seldom and not math.isfinite(float(logs["loss"])):
            raise TrainingError(
                f"the loss is {float(logs['loss'])} at step {batch + 1} of epoch {self._epoch}. A lower "
                "learning_rate, a longer warmup or precision='float32' may help"
            )


# --- checkpoints ----------------------------------------------------------------------------------


def _arrays(network: keras.Model) -> list:
    """All that an epoch changes: weights, the state of random layers, the optimizer's."""
    return [*network.variables, *network.optimizer.variables]


def size_of(network: keras.Model) -> int:
    """Bytes of a checkpoint, at most: weights, those that are kept, momentum, second moment, average."""
    return 5 * sum(4 * math.prod(variable.shape) for variable in network.variables)


def _write(path: Path, network: keras.Model, state: State) -> None:
    arrays = {f"v{i}": keras.ops.convert_to_numpy(variable) for i, variable in enumerate(_arrays(network))}
    arrays |= {f"k{i}": array for i, array in enumerate(state.kept)}
    told = json.dumps({"rows": state.rows, "chosen": state.chosen, "begin": state.begin})
    beside = path.with_suffix(".partial")
    try:
        with beside.open("wb") as file:
            np.savez(file, told=np.frombuffer(told.encode(), "uint8"), **arrays)
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        last = f"the checkpoint of epoch {len(state.rows) - 1} is whole" if path.exists() else "none is there"
        raise TrainingError(
            f"the checkpoint of epoch {len(state.rows)} cannot be written to {path.parent} "
            f"({os.strerror(error.errno) if error.errno else error}); {last}. Make room, then resume"
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
        variable.assign(value)
    return State(told["rows"], kept, told["chosen"], told["begin"])

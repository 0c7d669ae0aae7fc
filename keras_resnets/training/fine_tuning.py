"""From labelled pictures to a bundle: what is asked and what is wrong with it, the training, what is kept."""

import dataclasses
import functools
import numbers
import os
from pathlib import Path

import keras

from .. import reporting
from ..architecture.style import is_whole_number
from ..bundle import Bundle, check_can_be_bundled
from ..disk import is_full
from ..evaluation import Evaluation, evaluate
from ..images.dataset import Samples, check_classes, findings, missing_classes, samples_of, split
from ..images.labels import numbered
from ..models import preset_of
from ..progress import say
from . import recipes, workers
from .job import PARTS, Job
from .loop import progress_bars
from .network import named, to_train
from .place import Place
from .recipe import Recipe


@dataclasses.dataclass(frozen=True)
class Run:
    """The result of `fine_tune` and `train`.

    Attributes:
        bundle: The trained model with its preset and labels.
        history: One dictionary an epoch: epoch, loss, accuracy, val_loss, val_accuracy.
        metrics: Of the epoch that is kept, and how many pictures were used; ``unreadable`` lists those left
            out, ``findings`` what was said of the data.

    Example:

    >>> import numpy as np
    >>> from keras_resnets import train
    >>> images, labels = np.zeros((4, 32, 32, 3), "uint8"), np.array([0, 1, 0, 1])
    >>> run = train("resnet20", (images, labels), (images, labels), epochs=2, batch_size=2)
    >>> len(run.history), run.metrics["training pictures"], run.bundle.model.name
    (2, 4, 'resnet20')
    """

    bundle: Bundle
    history: tuple[dict, ...]
    metrics: dict


def fine_tune(
    model_or_name,
    data,
    recipe: str | Recipe = "auto",
    *,
    validation: float | str | os.PathLike | Samples = 0.25,
    size: int | None = None,
    seed: int = 0,
    out: str | os.PathLike | None = None,
    resume: bool = False,
    on_bad: str = "skip",
    **fields,
) -> Run:
    """Train a pretrained network on one's own classes.

    Sources of the method: Donahue et al., DeCAF, arXiv:1310.1531 (a classifier on a network's features);
    Kolesnikov et al., Big Transfer, arXiv:1912.11370, section 3.3 (the recipe from the size of the data).

    Args:
        model_or_name: A key such as ``"resnet50"`` (its default weights are used), the name of other weights
            such as ``"resnet50_v1_5.tv2_in1k"``, a network of this package whose classifier has as many
            outputs as the data has classes, or a `Bundle` with such a one. The weights of a network that is
            given change; with ``drop_path`` those of a copy.
        data: A folder with a sub-folder a class, a CSV, `Samples`, or a pair of images, uint8 (N, H, W, 3),
            and classes (N,).
        recipe: A `Recipe`, the name of one, or ``"auto"``: chosen from the number of pictures.
        validation: Share of each class that is kept out of training, in (0, 1); or data of its own.
        size: Height and width that the network takes; None is the architecture's own.
        seed: Decides the split, the order and every random draw; Keras' own random state is set by it.
        out: Folder to write the bundle to; it must not exist. Beside it, in ``<out>.training``, the training
            keeps what it needs to go on after it was killed.
        resume: Go on with what ``<out>.training`` holds; the result is the same as without the break.
        on_bad: ``"skip"`` leaves pictures that cannot be read out and lists them; ``"raise"`` refuses.
        fields: Other values of the recipe's fields.

    Raises:
        ValueError: One class only, a class of one picture, a classifier of another size, a field that is
            not allowed.
        FileExistsError: ``out`` exists, or an unfinished training beside it.
        TrainingError: The loss is not finite, or there is no room for a checkpoint or the result.

    Example:

    >>> import numpy as np
    >>> from keras_resnets import fine_tune
    >>> images, labels = np.zeros((8, 32, 32, 3), "uint8"), np.repeat([0, 1], 4)
    >>> images[labels == 1, ::2] = 255  # stripes
    >>> images += np.arange(8, dtype="uint8")[:, None, None, None]
    >>> run = fine_tune("resnet20", (images, labels))  # or a folder with a sub-folder a class
    >>> run.metrics["val_accuracy"]
    1.0
    """
    options = {"size": size, "seed": seed, "out": out, "resume": resume, "on_bad": on_bad}
    return _train(model_or_name, True, data, validation, recipe, fields, **options)


def train(
    model_or_name,
    data,
    test,
    recipe: str | Recipe = "modern",
    *,
    size: int | None = None,
    seed: int = 0,
    out: str | os.PathLike | None = None,
    resume: bool = False,
    on_bad: str = "skip",
    **fields,
) -> Run:
    """Train a network from random weights.

    Args:
        model_or_name: A key; or a network of this package or a `Bundle`, trained from the weights it has.
        data, test: Pictures to train on and to measure on, as `fine_tune` takes them.
        recipe: A `Recipe`, or the name of one: ``"modern"``, ``"paper"``.
        size, seed, out, resume, on_bad, fields: As for `fine_tune`.

    Raises:
        ValueError, FileExistsError, TrainingError: As for `fine_tune`.

    Example:

    >>> import numpy as np
    >>> from keras_resnets import train
    >>> images, labels = np.zeros((4, 32, 32, 3), "uint8"), np.array([0, 1, 0, 1])
    >>> run = train("resnet20", (images, labels), (images, labels), epochs=1, batch_size=2)
    >>> run.history[0]["epoch"], len(run.bundle.labels)
    (1, 2)
    """
    if recipe == "auto":
        raise ValueError("recipe='auto' is for pretrained networks; from nothing: 'modern' or 'paper'")
    options = {"size": size, "seed": seed, "out": out, "resume": resume, "on_bad": on_bad}
    return _train(model_or_name, False, data, test, recipe, fields, **options)


def _train(
    model_or_name, pretrained, data, held_out, recipe, fields, *, size, seed, out, resume, on_bad
) -> Run:
    """Say what is wrong before any work, then train part after part."""
    if on_bad not in ("skip", "raise"):
        raise ValueError(f"on_bad must be 'skip' or 'raise'. Received: on_bad={on_bad!r}")
    if not is_whole_number(seed) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be a whole number in 0..2**32 - 1. Received: seed={seed!r}")
    seed = int(seed)  # Keras takes no number of NumPy
    given = model_or_name.model if isinstance(model_or_name, Bundle) else model_or_name
    if size is not None and not isinstance(given, str):
        raise ValueError(f"size goes with the name of a network; {given.name!r} takes {given.input_shape}")
    network, weights = named(given, pretrained) if isinstance(given, str) else (given, None)
    worker = workers.current()
    place = Place.of(out, resume, worker)
    parts = _parts(data, held_out, seed)
    classes = parts[0].classes
    recipe = recipes.resolve(recipe, len(parts[0].sources), size or network, fields)
    workers.check_can_share(worker, recipe, len(parts[0].sources))
    found = findings(*parts)
    keras.utils.set_random_seed(seed)
    model = to_train(network, weights, len(classes), size, recipe)
    preset = model_or_name.preset if isinstance(model_or_name, Bundle) else preset_of(model)
    bundle = Bundle(model, preset, numbered(classes))
    if place:
        check_can_be_bundled(model)
        place.begin(model, recipe, parts, seed)
        if place.is_done() and worker.count == 1:
            place.tidy()
            say(f"{out} was finished; nothing was left to do")
            bundle = Bundle.load(out)
            return Run(bundle, bundle.history, bundle.notes["metrics"])
    for sentence in found if worker.writes else ():
        say(sentence)
    with progress_bars(worker.writes) as progress:
        job = Job(model, preset, parts, recipe, seed, on_bad, progress, worker)
        state, preset, read = job.done(place and place.checkpoint)
    found = [sentence for sentence in found if sentence not in missing_classes(parts[1], classes)]
    if state.stopped:
        say(f"stopped after epoch {len(state.rows)}; epoch {state.chosen['epoch']} is kept")
    metrics = {
        **state.chosen,
        **{f"{name} pictures": len(part.samples.sources) for name, part in zip(PARTS, read, strict=True)},
        "unreadable": [line for part in read for line in part.unreadable],
        "findings": [*found, *missing_classes(read[1].samples, classes)],
    }
    notes = {"recipe": dataclasses.asdict(recipe), "seed": seed, "metrics": metrics}
    bundle = dataclasses.replace(bundle, preset=preset, notes=notes, history=tuple(state.rows))
    if place and worker.count == 1:  # else it takes a process that is alone: see `cli.training`
        if result := _measured(bundle, parts[1]):
            metrics |= {"top1": result.top1, "top5": result.top5}  # of the answers that the bundle gives
        place.end(bundle, functools.partial(_add_report, bundle=bundle, result=result))
    return Run(bundle, bundle.history, metrics)


def _measured(bundle: Bundle, held_out: Samples) -> Evaluation | None:
    """How good the result is; hours of training are not lost where its pictures are gone by now."""
    try:
        return evaluate(bundle, held_out)
    except ValueError as error:
        say(f"the result is not measured: {error}")
        return None


def _add_report(folder: Path, bundle: Bundle, result: Evaluation | None) -> None:
    """A page on the result; hours of training are not lost for it."""
    if result is None:
        return
    if missing := reporting.missing():
        say(
            f"report.html is left out: it needs {' and '.join(missing)} (pip install 'keras-resnets[report]')"
        )
        return
    unreadable = bundle.notes["metrics"]["unreadable"]
    try:
        reporting.write_report(folder, bundle, result.scores, result.targets, result.sources, unreadable)
    except Exception as error:  # whatever a drawing died of
        if is_full(error):
            raise  # the bundle is not written without its report, where that can be had later
        say(f"report.html could not be written: {type(error).__name__}: {error}")


def _parts(data, held_out, seed: int) -> tuple[Samples, Samples]:
    """Samples to train on, and to validate with."""
    samples = samples_of(data)
    if not isinstance(held_out, numbers.Real):
        return samples, samples_of(held_out)
    if not 0 < held_out < 1:
        raise ValueError(f"validation must be between 0 and 1. Received: validation={held_out}")
    check_classes(samples)  # too few classes are said before too few pictures
    return split(samples, held_out, seed)

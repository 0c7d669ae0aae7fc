"""One training in its two parts: the classifier on features computed once, then the network on pictures."""

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from pathlib import Path

import keras
import numpy as np
from rich.progress import Progress

from ..architecture.accelerating import accelerated
from ..architecture.rewriting import computing_in
from ..images.augmentation import AUGMENTATIONS, middle
from ..images.batches import Pictures, keep, quarter_of_memory
from ..images.dataset import Samples, missing_classes
from ..images.presets import Preset
from ..inspection import in_layout_of, input_size, normalization_of
from ..matlab import adapt
from ..predictor import inputs_of
from ..progress import say
from . import loop
from .epoch import Epoch
from .features import Reader, class_weights, train_head
from .freezing import frozen_as, terms
from .recipe import Recipe
from .workers import Worker, check_same, needs_strategy

LISTED = 20  # unreadable pictures in an error
PARTS = ("training", "validation")


@dataclasses.dataclass(frozen=True)
class Part:
    """Pictures to train on, or to validate with.

    Attributes:
        samples: Those that can be read.
        unreadable: One line for each that cannot.
        pictures: The pictures of ``samples``, where they were read for the network.
    """

    samples: Samples
    unreadable: tuple[str, ...] = ()
    pictures: Pictures | None = None

    def numbers(self, classes: Sequence[str]) -> np.ndarray:
        """The pictures' classes, int32 (N,)."""
        number = {name: i for i, name in enumerate(classes)}
        return np.array([number[label] for label in self.samples.labels], "int32")


@dataclasses.dataclass(frozen=True)
class Job:
    """A training to be done.

    Attributes:
        model: The network; its weights change.
        preset: What it expects of pictures.
        parts: Pictures to train on, pictures to validate with.
        recipe: How.
        seed: Decides every random draw.
        on_bad: ``"skip"`` or ``"raise"``: what becomes of pictures that cannot be read.
        progress: Where the bars are.
        worker: Who takes a share of each batch.
    """

    model: keras.Model
    preset: Preset
    parts: tuple[Samples, Samples]
    recipe: Recipe
    seed: int
    on_bad: str
    progress: Progress
    worker: Worker

    def done(self, checkpoint: Path | None) -> tuple[loop.State, Preset, list[Part]]:
        """Train, or go on where the checkpoint stands.

        Returns:
            How it went, what the network expects of pictures, and what was read of each part.
        """
        preset = self.preset
        if self.recipe.whole:
            preset = dataclasses.replace(preset, name=f"{preset.name}_whole", resize=preset.size)
        parts = self._read(preset) if self.recipe.unfrozen else None
        if (layer := normalization_of(self.model)) and not np.any(keras.ops.convert_to_numpy(layer.mean)):
            self._adapt(preset)  # it knows no pictures yet
        state = loop.State([], [])
        if self.recipe.head_epochs and not (checkpoint and checkpoint.is_file()):
            state, looked_at = self._classifier(preset, listed=parts is not None)
            parts = parts or looked_at
        if self.recipe.unfrozen and not state.stopped:
            state, preset = self._network(preset, state, checkpoint, parts)
        return state, preset, parts

    def _adapt(self, preset: Preset) -> None:
        """The network's own normalisation learns from the training pictures."""
        advance = self._bar(self.parts[0], "adapting the normalisation")

        def batches():
            for batch, images in inputs_of(self.parts[0].sources, self.model, preset, 32):
                advance(len(batch.sources))
                if len(images):
                    yield in_layout_of(self.model, images)

        adapt(self.model, batches())

    def _read(self, preset: Preset) -> list[Part]:
        """Every picture once, kept as far as there is memory."""
        size, read = input_size(self.model, preset), []
        memory = quarter_of_memory() / self.worker.count  # several may be of one machine
        share = memory / sum(len(part.sources) for part in self.parts)
        shrink = AUGMENTATIONS[self.recipe.augmentation].shrink, middle
        for name, samples, function in zip(PARTS, self.parts, shrink, strict=True):
            advance = self._bar(samples, f"reading {name} pictures")
            shrunk = functools.partial(function, size=size, preset=preset)
            pictures, errors = keep(samples.sources, shrunk, share * len(samples.sources), advance)
            read.append(dataclasses.replace(self._readable(samples, errors), pictures=pictures))
        return read

    def _classifier(self, preset: Preset, listed: bool) -> tuple[loop.State, list[Part]]:
        reader = Reader(self.model, preset, self.parts[0].sources)
        data, looked_at = [], []
        for name, samples in zip(PARTS, self.parts, strict=True):
            advance = self._bar(samples, f"features of {name} pictures")
            features, errors = reader.read(samples.sources, advance)
            looked_at.append(self._readable(samples, errors, listed))
            data.append((features, looked_at[-1].numbers(self.parts[0].classes)))
        self._draw_anew()
        return train_head(self.model, *data, self.recipe, self.progress), looked_at

    def _network(self, preset: Preset, state: loop.State, checkpoint: Path | None, parts: list[Part]):
        """From one stage on."""
        recipe, size, classes = self.recipe, input_size(self.model, preset), self.parts[0].classes
        pictures, held_out = (part.pictures for part in parts)
        numbers, right = (part.numbers(classes) for part in parts)
        same = {"recipe": recipe, "seed": self.seed, "list of pictures": (numbers.tobytes(), right.tobytes())}
        for what, value in same.items():
            check_same(self.worker, what, value)
        if recipe.pixel_mean and not normalization_of(self.model):  # which has a mean of its own
            look = functools.partial(middle, size=size, preset=preset)
            fitted = AUGMENTATIONS[recipe.augmentation].shrink is middle
            advance = self._bar(parts[0].samples, "mean of training pictures")
            preset = _with_pixel_mean(preset, pictures if fitted else map(look, pictures), advance)
        epoch = functools.partial(
            Epoch,
            classes=len(classes),
            recipe=recipe,
            preset=preset,
            size=size,
            layout=functools.partial(in_layout_of, self.model),
        )
        weights = class_weights(numbers, len(classes)) if recipe.class_weights else None
        training = functools.partial(
            epoch, pictures, numbers, weights=weights, seed=self.seed, worker=self.worker
        )
        policy = "mixed_bfloat16" if recipe.precision == "bfloat16" else "float32"
        self._draw_anew()
        with frozen_as(self.model, recipe):
            begun = state
            try:
                network = accelerated(self.model, synchronized=needs_strategy(self.worker))
                network = computing_in(network, policy)
                begun = dataclasses.replace(state, kept=loop.weights_of(network), begin=len(state.rows))
                state = loop.train(
                    network,
                    lambda number, steps: training(epoch=number, steps=steps),
                    epoch(held_out, right),
                    recipe,
                    terms(self.model, recipe),
                    self.progress,
                    begun,
                    checkpoint,
                    self.worker,
                )
            except KeyboardInterrupt:  # before the first step, or again as the best weights were put back
                if begun.chosen is None:
                    raise
                if begun is not state:
                    loop.put(network, begun.kept)
                state = dataclasses.replace(begun, stopped=True)
        return state, preset

    def _draw_anew(self) -> None:
        """What was computed before, or taken from a cache, has no say in the random draws to come."""
        keras.utils.set_random_seed(self.seed)

    def _bar(self, samples: Samples, title: str):
        """A bar for pictures that are read, as the function that moves it on."""
        task = self.progress.add_task(title, total=len(samples.sources), note="")
        return functools.partial(self.progress.advance, task)

    def _readable(self, samples: Samples, errors: list[str | None], listed: bool = False) -> Part:
        """Samples without those that cannot be read, which are said unless they are ``listed``.

        Raises:
            ValueError: It is not wanted that any is left out, or too little is left.
        """
        bad = [error for error in errors if error]
        if bad and self.on_bad == "raise":
            some = "; ".join(bad[:LISTED])
            more = f" and {len(bad) - LISTED} more" if len(bad) > LISTED else ""
            raise ValueError(f"{some}{more} cannot be used; on_bad='skip' leaves them out")
        if len(bad) == len(errors):
            raise ValueError(f"no picture could be read: {bad[0]}")
        left = samples.take(number for number, error in enumerate(errors) if not error)
        gone = sorted(set(samples.labels) - set(left.labels))
        if gone and samples is self.parts[0]:
            why = errors[samples.labels.index(gone[0])]
            raise ValueError(
                f"no picture of the class {gone[0]} can be read ({why}); mend them, or leave the class out"
            )
        if self.worker.writes and not listed:
            for line in (*(f"left out: {error}" for error in bad), *missing_classes(left, gone)):
                say(line)
        return Part(left, tuple(bad))


def _with_pixel_mean(preset: Preset, pictures: Iterable[np.ndarray], advance) -> Preset:
    total, count = 0.0, 0
    for count, picture in enumerate(pictures, 1):  # noqa: B007 -- the last is how many
        total = total + picture
        advance(1)
    mean = total / count
    mean = mean if preset.order == "rgb" else mean[..., ::-1]
    return dataclasses.replace(
        preset,
        name=f"{preset.name}_pixel_mean",
        mean=tuple(tuple(tuple(pixel) for pixel in row) for row in mean.round(3).tolist()),
        source=f"{preset.source}; mean of {count} training pictures",
    )

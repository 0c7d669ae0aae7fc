"""One training in its two parts: the classifier on features computed once, then the network on pictures."""

import dataclasses
import functools
from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np
from rich.progress import Progress

from ..architecture.accelerating import accelerated
from ..architecture.rewriting import computing_in
from ..images.augmentation import AUGMENTATIONS, middle
from ..images.batches import keep, quarter_of_memory
from ..images.dataset import Samples
from ..images.presets import Preset
from ..inspection import in_layout_of, input_size, normalization_of
from ..matlab import adapt
from ..predictor import inputs_of
from . import loop
from .epoch import Epoch
from .features import Reader, class_weights, train_head
from .freezing import frozen_as, terms
from .recipes import Recipe
from .workers import Worker, check_same, needs_strategy

LISTED = 20  # unreadable pictures in an error
_TITLES = ("reading training pictures", "reading validation pictures")


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

    def done(self, checkpoint: Path | None) -> tuple[loop.State, Preset, list[list[str]]]:
        """Train, or go on where the checkpoint stands.

        Returns:
            How it went, what the network expects of pictures, and one line for each picture of each part
            that cannot be read.
        """
        preset = self.preset
        if self.recipe.whole:
            preset = dataclasses.replace(preset, name=f"{preset.name}_whole", resize=preset.size)
        if (layer := normalization_of(self.model)) and not np.any(keras.ops.convert_to_numpy(layer.mean)):
            self._adapt(preset)  # it knows no pictures yet
        state, bad = loop.State([], []), [[], []]
        if self.recipe.head_epochs and not (checkpoint and checkpoint.is_file()):
            state, bad = self._classifier(preset)
        if self.recipe.unfrozen and not state.stopped:
            try:
                read = self._pictures(preset)
            except KeyboardInterrupt:
                if state.chosen is None:
                    raise
                state.stopped = True  # the classifier is what there is
            else:
                state, preset = self._network(preset, state, checkpoint, read)
                bad = [unreadable for _, _, unreadable in read]
        return state, preset, bad

    def _adapt(self, preset: Preset) -> None:
        """The network's own normalisation learns from the training pictures."""
        advance = self._bar(self.parts[0], "adapting the normalisation")

        def batches():
            for batch, images in inputs_of(self.parts[0].sources, self.model, preset, 32):
                advance(len(batch.sources))
                if len(images):
                    yield in_layout_of(self.model, images)

        adapt(self.model, batches())

    def _classifier(self, preset: Preset):
        reader = Reader(self.model, preset, self.parts[0].sources)
        data, bad = [], []
        for part, title in zip(self.parts, _TITLES, strict=True):
            features, errors = reader.read(part.sources, self._bar(part, title))
            bad.append(self._unreadable(part, errors))
            data.append((features, self._numbers(part, errors)))
        self._draw_anew()
        return train_head(self.model, *data, self.recipe, self.progress), bad

    def _pictures(self, preset: Preset) -> list:
        """Of each part what `_read` gives."""
        shrink = AUGMENTATIONS[self.recipe.augmentation].shrink, middle
        each = zip(self.parts, shrink, _TITLES, strict=True)
        return [self._read(part, preset, shrunk, title) for part, shrunk, title in each]

    def _network(self, preset: Preset, state: loop.State, checkpoint: Path | None, read: list):
        """From one stage on."""
        recipe, size, classes = self.recipe, input_size(self.model, preset), len(self.parts[0].classes)
        (pictures, numbers, _), (held_out, right, _) = read
        same = {"recipe": recipe, "seed": self.seed, "list of pictures": (numbers.tobytes(), right.tobytes())}
        for what, value in same.items():
            check_same(self.worker, what, value)
        if recipe.pixel_mean and not normalization_of(self.model):  # which has a mean of its own
            look = functools.partial(middle, size=size, preset=preset)
            fitted = AUGMENTATIONS[recipe.augmentation].shrink is middle
            preset = _with_pixel_mean(preset, pictures if fitted else map(look, pictures))
        epoch = functools.partial(
            Epoch,
            classes=classes,
            recipe=recipe,
            preset=preset,
            size=size,
            layout=functools.partial(in_layout_of, self.model),
        )
        weights = class_weights(numbers, classes) if recipe.class_weights else None
        training = functools.partial(
            epoch, pictures, numbers, weights=weights, seed=self.seed, worker=self.worker
        )
        policy = "mixed_bfloat16" if recipe.precision == "bfloat16" else "float32"
        self._draw_anew()
        with frozen_as(self.model, recipe):
            network = accelerated(self.model, synchronized=needs_strategy(self.worker))
            network = computing_in(network, policy)
            state = loop.train(
                network,
                lambda number, steps: training(epoch=number, steps=steps),
                epoch(held_out, right),
                recipe,
                terms(self.model, recipe),
                self.progress,
                dataclasses.replace(state, kept=loop.weights_of(network), begin=len(state.rows)),
                checkpoint,
                self.worker,
            )
        return state, preset

    def _draw_anew(self) -> None:
        """What was computed before, or taken from a cache, has no say in the random draws to come."""
        keras.utils.set_random_seed(self.seed)

    def _read(self, part: Samples, preset: Preset, shrink, title: str):
        """The pictures that can be read, as they are kept, their class numbers, and why others cannot."""
        size = input_size(self.model, preset)
        shrunk = functools.partial(shrink, size=size, preset=preset)
        share = len(part.sources) / sum(len(each.sources) for each in self.parts)
        memory = share * quarter_of_memory() / self.worker.count  # several may be of one machine
        pictures, errors = keep(part.sources, shrunk, memory, self._bar(part, title))
        return pictures, self._numbers(part, errors), self._unreadable(part, errors)

    def _bar(self, part: Samples, title: str):
        """A bar for pictures that are read, as the function that moves it on."""
        task = self.progress.add_task(title, total=len(part.sources), note="")
        return functools.partial(self.progress.advance, task)

    def _numbers(self, part: Samples, errors) -> np.ndarray:
        """The classes of the readable pictures."""
        number = {name: i for i, name in enumerate(self.parts[0].classes)}
        readable = zip(part.labels, errors, strict=True)
        return np.array([number[label] for label, error in readable if not error], "int32")

    def _unreadable(self, part: Samples, errors) -> list[str]:
        bad = [error for error in errors if error]
        if bad and self.on_bad == "raise":
            some = "; ".join(bad[:LISTED])
            more = f" and {len(bad) - LISTED} more" if len(bad) > LISTED else ""
            raise ValueError(f"{some}{more} cannot be used; on_bad='skip' leaves them out")
        if len(bad) == len(errors):
            raise ValueError(f"no picture could be read: {bad[0]}")
        each = list(zip(part.labels, errors, strict=True))
        gone = set(part.labels) - {label for label, error in each if not error}
        if gone and part is self.parts[0]:
            label, why = next((label, error) for label, error in each if label in gone)
            raise ValueError(
                f"no picture of the class {label} can be read ({why}); mend them, or leave the class out"
            )
        return bad


def _with_pixel_mean(preset: Preset, pictures: Iterable[np.ndarray]) -> Preset:
    total, count = 0.0, 0
    for count, picture in enumerate(pictures, 1):  # noqa: B007 -- the last is how many
        total = total + picture
    mean = total / count
    mean = mean if preset.order == "rgb" else mean[..., ::-1]
    return dataclasses.replace(
        preset,
        name=f"{preset.name}_pixel_mean",
        mean=tuple(tuple(tuple(pixel) for pixel in row) for row in mean.round(3).tolist()),
        source=f"{preset.source}; mean of {count} training pictures",
    )

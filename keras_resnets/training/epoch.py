"""Pictures to the batches of one epoch: the same epoch of the same seed has the same ones, on any day."""

import copy
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np

from ..images.augmentation import AUGMENTATIONS, mixed
from ..images.batches import WORKERS, Pictures
from ..images.preprocessing import normalise
from ..images.presets import Preset
from ..images.reading import ImageError
from .recipe import Recipe
from .workers import ALONE, Worker

_POOL = ThreadPoolExecutor(WORKERS)


class Epoch(keras.utils.PyDataset):
    """One epoch: all pictures once, in batches as equal as can be.

    Args:
        pictures: What was kept of them.
        numbers: Their classes, (N,).
        classes: How many there are.
        size: Height and width that the network takes.
        layout: From (N, H, W, C) to the network's own data format.
        weights: Of each class in the loss, (classes,), or None.
        epoch: Which; with ``seed`` it decides the order and every random draw. None: in order, as they are.
        steps: Batches at most.
        worker: Who takes a share of each batch. All parts are equal: up to ``parts - 1`` pictures, others in
            each epoch, are left out.

    Attributes:
        lost: Why a picture could not be read again, or None.
    """

    def __init__(
        self,
        pictures: Pictures,
        numbers: np.ndarray,
        classes: int,
        recipe: Recipe,
        preset: Preset,
        size: tuple[int, int],
        layout,
        weights: np.ndarray | None = None,
        seed: int = 0,
        epoch: int | None = None,
        steps: int | None = None,
        worker: Worker = ALONE,
    ):
        super().__init__(workers=2, max_queue_size=4)
        self.pictures, self.recipe, self.preset, self.size = pictures, recipe, preset, size
        self.numbers, self.classes, self.weights = numbers, classes, weights
        self.layout, self.seed, self.epoch, self.lost, self.worker = layout, seed, epoch, None, worker
        order = np.arange(len(pictures))
        if epoch is not None:
            order = self._chance("order").permutation(order)
        # A row has a picture of each part.
        rows = order[: len(order) - len(order) % worker.parts].reshape(-1, worker.parts)
        number = -(-len(rows) // (recipe.batch_size // worker.parts))
        self.groups = [part.reshape(-1) for part in np.array_split(rows, number)[:steps]]

    def __len__(self) -> int:
        return len(self.groups)

    def whole(self) -> "Epoch":
        """The same batches, not shared out."""
        if self.worker == ALONE:
            return self
        whole = copy.copy(self)
        whole.worker = ALONE
        return whole

    def __getitem__(self, index: int):
        group = self.groups[index]
        # Pictures are mixed with others of their batch, which may be in another worker's share.
        mixes = self.epoch is not None and bool(self.recipe.mixup or self.recipe.cutmix)
        group = group if mixes else self._share(group)
        try:
            images = np.stack(list(_POOL.map(self._drawn, group)))
        except ImageError as error:
            self.lost = str(error)  # what Keras makes of an error in here says nothing
            raise
        images = normalise(images, self.preset, "channels_last")
        targets = np.eye(self.classes, dtype="float32")[self.numbers[group]]
        if mixes:
            chance = self._chance("mixing", index)
            images, targets = mixed(images, targets, self.recipe.mixup, self.recipe.cutmix, chance)
            images, targets = self._share(images), self._share(targets)
        batch = self.layout(images), targets
        return batch if self.weights is None else (*batch, (targets @ self.weights).astype("float32"))

    def _share(self, batch: np.ndarray) -> np.ndarray:
        """What this worker has of a batch; nothing is copied where it is alone."""
        number, count, replicas = self.worker
        one = batch.shape[1:]
        return batch.reshape(-1, count, replicas, *one)[:, number].reshape(-1, *one)

    def _drawn(self, number: int) -> np.ndarray:
        picture = self.pictures[number]
        if self.epoch is None:
            return picture
        draw = AUGMENTATIONS[self.recipe.augmentation].draw
        return draw(picture, self.size, self.preset, self._chance("picture", int(number)))

    def _chance(self, what: str, number: int = 0) -> np.random.Generator:
        """Each use has a stream of its own."""
        use = ("order", "mixing", "picture").index(what)
        return np.random.default_rng((self.seed, self.epoch, use, number))

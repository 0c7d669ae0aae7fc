"""Pictures to the batches of one epoch: the same epoch of the same seed has the same ones, on any day."""

from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np

from ..images.augmentation import AUGMENTATIONS, mixed
from ..images.batches import WORKERS, Pictures
from ..images.preprocessing import normalise
from ..images.presets import Preset
from .recipes import Recipe

_POOL = ThreadPoolExecutor(WORKERS)


class Epoch(keras.utils.PyDataset):
    """One epoch: all pictures once, in batches as equal as can be.

    Args:
        pictures: What was kept of them.
        targets: Class numbers, (N,).
        classes: How many there are.
        weights: Of each class in the loss, or None.
        size: Height and width that the network takes.
        layout: From (N, H, W, C) to the network's own data format.
        epoch: Which; with ``seed`` it decides the order and every random draw. None: in order, as they are.
    """

    def __init__(
        self,
        pictures: Pictures,
        targets: np.ndarray,
        classes: int,
        recipe: Recipe,
        preset: Preset,
        size: tuple[int, int],
        layout,
        weights: np.ndarray | None = None,
        seed: int = 0,
        epoch: int | None = None,
    ):
        super().__init__(workers=2, max_queue_size=4)
        self.pictures, self.recipe, self.preset, self.size = pictures, recipe, preset, size
        self.targets = np.eye(classes, dtype="float32")[targets]
        self.weights = None if weights is None else weights[targets].astype("float32")
        self.layout, self.seed, self.epoch = layout, seed, epoch
        order = np.arange(len(pictures))
        if epoch is not None:
            order = np.random.default_rng((seed, epoch)).permutation(order)
        self.groups = np.array_split(order, -(-len(order) // recipe.batch_size))

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, index: int):
        numbers = self.groups[index]
        targets = self.targets[numbers]
        if self.epoch is None:
            images = np.stack([self.pictures[number] for number in numbers])
        else:
            images = np.stack(list(_POOL.map(self._drawn, numbers)))
        images = normalise(images, self.preset, "channels_last")
        if self.epoch is not None:
            chance = np.random.default_rng((self.seed, self.epoch, index, 1))
            images, targets = mixed(images, targets, self.recipe.mixup, self.recipe.cutmix, chance)
        batch = self.layout(images), targets
        return batch if self.weights is None else (*batch, self.weights[numbers])

    def _drawn(self, number: int) -> np.ndarray:
        chance = np.random.default_rng((self.seed, self.epoch, int(number)))
        draw = AUGMENTATIONS[self.recipe.augmentation].draw
        return draw(self.pictures[number], self.size, self.preset, chance)

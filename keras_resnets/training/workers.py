"""Who computes which part of a batch, where Keras or TensorFlow spread a training over processes and devices.

How it is spread is theirs: `keras.distribution` on JAX, a strategy of `tf.distribute` on TensorFlow. Every
worker runs the same program on the same pictures, and takes its share of each batch.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import keras
import numpy as np

from .recipe import Recipe


class Worker(NamedTuple):
    """One of several processes that train a network together.

    Attributes:
        number: Which, from 0.
        count: How many there are.
        replicas: Devices of each, among which it shares what it has of a batch.
    """

    number: int = 0
    count: int = 1
    replicas: int = 1

    @property
    def parts(self) -> int:
        """How many parts a batch has."""
        return self.count * self.replicas

    @property
    def writes(self) -> bool:
        """Whether it is the one that writes down how all of them stand."""
        return self.number == 0


ALONE = Worker()


def current() -> Worker:
    """This process.

    Raises:
        ValueError: JAX, and a worker with several devices; TensorFlow, and processes that are no workers.
    """
    match keras.backend.backend():
        case "tensorflow":
            from . import strategies

            return Worker(*strategies.position())
        case "jax" if keras.distribution.distribution():
            import jax

            if (count := jax.process_count()) != (devices := jax.device_count()):
                # A batch that is only measured need not be a multiple of anything, and JAX wants it to be.
                raise ValueError(
                    f"number of workers: {count}, of their devices: {devices}; on JAX start a worker for "
                    "each device, and let it see that one alone (CUDA_VISIBLE_DEVICES)"
                )
            return Worker(jax.process_index(), count)
        case _:
            return ALONE


def needs_strategy(worker: Worker) -> bool:
    """Whether it is TensorFlow that spreads a batch: it has to be told so of norms, and lacks a loop."""
    return worker.parts > 1 and keras.backend.backend() == "tensorflow"


def check_can_share(worker: Worker, recipe: Recipe, pictures: int) -> None:
    """Refuse what several workers cannot do together.

    Args:
        pictures: How many are trained on.

    Raises:
        ValueError: The recipe has a part that is not of pictures, or the batch or the pictures have no part
            for each.
    """
    if worker.parts == 1:
        return
    if recipe.head_epochs:
        raise ValueError(
            f"several workers or devices train a network on pictures, and the recipe {recipe.name} begins "
            "with the classifier on features; head_epochs=0 leaves that out"
        )
    if recipe.batch_size % worker.parts:
        raise ValueError(
            f"batch_size must be a multiple of the {worker.parts} parts that a batch has here, one for each "
            f"worker's device. Received: batch_size={recipe.batch_size}"
        )
    if pictures < worker.parts:
        raise ValueError(f"{pictures} pictures are too few for the {worker.parts} parts of a batch")


def check_same(worker: Worker, what: str, value: object) -> None:
    """Refuse workers that differ: they would train something else each, or wait for ever.

    Args:
        what: The name of it.
        value: What every worker should have; compared by its text.

    Raises:
        ValueError: On all of them, where one has another.
    """
    if worker.count == 1:
        return
    # As much of a hash as a float32 holds.
    mine = int.from_bytes(hashlib.sha256(repr(value).encode()).digest()[:3])
    if keras.backend.backend() == "jax":
        from jax.experimental import multihost_utils

        found = multihost_utils.process_allgather(np.int32(mine)).tolist()
    else:
        from . import strategies

        found = strategies.gathered(worker, mine)
    if other := [number for number, each in enumerate(found) if each != found[0]]:
        raise ValueError(
            f"worker {other[0]} has another {what} than worker 0; all have to be started alike, see the same "
            "pictures, and share the disk that OUT is on"
        )


def assign(variable: keras.Variable, array: np.ndarray) -> None:
    """Give a variable a value that every worker has.

    JAX would compare the workers' values, one message a variable, and find no NaN equal to another.
    """
    if keras.backend.backend() == "jax" and keras.distribution.distribution():
        import jax

        array = jax.make_array_from_process_local_data(variable.value.sharding, array)
    variable.assign(array)


@contextlib.contextmanager
def joined(addresses: Sequence[str], number: int) -> Iterator[None]:
    """Be one of several workers; nothing may have been computed before.

    Args:
        addresses: ``host:port`` of every worker, in the same order for all.
        number: Which of them this one is.

    Raises:
        ValueError: A backend on which a training cannot be spread.
    """
    match keras.backend.backend():
        case "tensorflow":
            from . import strategies

            with strategies.joined(addresses, number):
                yield
        case "jax":
            keras.distribution.initialize(addresses[0], len(addresses), number)
            # Each worker reads its own share of a batch.
            keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
            yield
        case other:
            raise ValueError(f"workers train on the TensorFlow and JAX backends. Received: {other}")

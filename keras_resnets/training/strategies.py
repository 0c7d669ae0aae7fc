"""A loop for TensorFlow's strategies.

Keras' `fit` fails under ``MultiWorkerMirroredStrategy``, and under ``MirroredStrategy`` where the first batch
is not a multiple of the replicas.
"""

import contextlib
import functools
import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import keras
import tensorflow as tf

from .workers import Worker

AHEAD = 3  # batches that are read while others are computed on


def position() -> tuple[int, int, int]:
    """The number of this worker, how many there are, and how many devices each has.

    Raises:
        ValueError: Some of the cluster's processes are no workers.
    """
    strategy = tf.distribute.get_strategy()
    number, count = 0, 1
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        jobs = strategy.cluster_resolver.cluster_spec().as_dict()
        if others := set(jobs) - {"worker"}:
            raise ValueError(f"a cluster has workers alone; TF_CONFIG has {', '.join(sorted(others))} too")
        number, count = strategy.cluster_resolver.task_id or 0, len(jobs.get("worker", [None]))
    return number, count, strategy.num_replicas_in_sync // count


@contextlib.contextmanager
def joined(addresses: Sequence[str], number: int) -> Iterator[None]:
    """See `workers.joined`."""
    task = {"type": "worker", "index": number}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": list(addresses)}, "task": task})
    with tf.distribute.MultiWorkerMirroredStrategy().scope():
        yield


def gathered(worker: Worker, value: int) -> list[int]:
    """What each worker has, below 2**24."""
    strategy = tf.distribute.get_strategy()

    @tf.function
    def sent():
        mine = strategy.run(lambda: tf.one_hot(worker.number, worker.count) * value)
        return strategy.reduce("SUM", mine, axis=None) / worker.replicas

    return [round(number) for number in sent().numpy().tolist()]


def loops(network: keras.Model, replicas: int) -> tuple[Callable, Callable]:
    """In place of a network's `fit` and `evaluate`: functions of the batches of an epoch.

    The first takes this worker's share of each batch, and a callback; the second, all of each batch.
    Both give loss and accuracy, the same on every worker.

    Args:
        replicas: Devices of this worker.
    """
    strategy = tf.distribute.get_strategy()

    def shared(batch):
        def part(context):
            first = context.replica_id_in_sync_group % replicas
            return tuple(tf.convert_to_tensor(array[first::replicas]) for array in batch)

        return strategy.experimental_distribute_values_from_function(part)

    def measured(images, targets, weights=None, training=False):
        """The loss, and beside it what is added up: losses, right answers, pictures."""
        answers = network(images, training=training)
        # Keras divides a loss by the number of parts of a batch: added up, it is the whole batch's mean.
        loss = network.compute_loss(y=targets, y_pred=answers, sample_weight=weights, training=training)
        right = tf.reduce_sum(keras.metrics.categorical_accuracy(targets, answers))
        number = tf.cast(tf.shape(images)[0], "float32")
        losses = tf.math.multiply_no_nan(loss * strategy.num_replicas_in_sync, number)  # none of no pictures
        return loss, tf.stack([losses, right, number])

    def learn(*batch):
        with tf.GradientTape() as tape:
            loss, sums = measured(*batch, training=True)
        variables = network.trainable_variables
        network.optimizer.apply(tape.gradient(loss, variables), variables)
        return sums

    def ask(*batch):
        return measured(*batch)[1]

    @functools.partial(tf.function, reduce_retracing=True)
    def added(step, batch):
        return strategy.reduce("SUM", strategy.run(step, batch), axis=None)

    def fit(batches, watch) -> dict[str, float]:
        total = tf.zeros(3)
        for number, batch in enumerate(_ahead(batches)):
            total += added(learn, shared(batch))
            watch.on_train_batch_end(number, {"loss": total[0] / total[2]})
        return _means(total)

    def evaluate(batches) -> dict[str, float]:
        return _means(sum((added(ask, shared(batch)) for batch in _ahead(batches)), tf.zeros(3)))

    return fit, evaluate


def _means(total) -> dict[str, float]:
    losses, right, number = total.numpy().tolist()
    return {"accuracy": right / number, "loss": losses / number}


def _ahead(batches: keras.utils.PyDataset) -> Iterator[tuple]:
    """Batches in their order, a few of them read ahead."""
    with ThreadPoolExecutor(AHEAD) as pool:
        coming = deque()
        for number in range(len(batches)):
            coming.append(pool.submit(batches.__getitem__, number))
            if len(coming) == AHEAD:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()

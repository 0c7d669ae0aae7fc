"""What Keras lacks under TensorFlow's ``MultiWorkerMirroredStrategy``, where its `fit` fails: a loop."""

import contextlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import keras
import tensorflow as tf

AHEAD = 3  # batches that are read while others are computed on


def replicas() -> int:
    """How many devices, here and elsewhere, a batch is spread over."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def place() -> tuple[int, int, int]:
    """The number of this worker, how many there are, and how many devices they have."""
    strategy = tf.distribute.get_strategy()
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 0, 1, 1
    resolver = strategy.cluster_resolver
    workers = resolver.cluster_spec().as_dict().get("worker", [None])
    return resolver.task_id or 0, len(workers), strategy.num_replicas_in_sync


@contextlib.contextmanager
def joined(addresses: Sequence[str], number: int) -> Iterator[None]:
    """See `workers.joined`."""
    task = {"type": "worker", "index": number}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": list(addresses)}, "task": task})
    with tf.distribute.MultiWorkerMirroredStrategy().scope():
        yield


def gathered(worker, value: int) -> list[int]:
    """What each worker has."""

    def sent():
        mine = tf.one_hot(worker.number, worker.count, on_value=value, off_value=0, dtype=tf.int32)
        return tf.distribute.get_replica_context().all_reduce("SUM", mine)

    return tf.distribute.get_strategy().run(tf.function(sent)).numpy().tolist()


def loops(network: keras.Model) -> tuple[Callable, Callable]:
    """In place of a network's `fit` and `evaluate`: functions of the batches of an epoch.

    The first takes this worker's share of each batch, and a callback; the second, all of each batch.
    Both give loss and accuracy, the same on every worker.
    """
    strategy = tf.distribute.get_strategy()

    def measured(images, targets, weights=None, training=False):
        """The loss, and beside it what is added up: losses, right answers, pictures."""
        answers = network(images, training=training)
        # Keras divides a loss by the number of workers: added up, it is the whole batch's mean.
        loss = network.compute_loss(y=targets, y_pred=answers, sample_weight=weights, training=training)
        right = tf.reduce_sum(keras.metrics.categorical_accuracy(targets, answers))
        number = tf.cast(tf.shape(images)[0], "float32")
        return loss, tf.stack([loss * strategy.num_replicas_in_sync * number, right, number])

    def learn(*batch):
        with tf.GradientTape() as tape:
            loss, sums = measured(*batch, training=True)
        variables = network.trainable_variables
        network.optimizer.apply(tape.gradient(loss, variables), variables)
        return tf.distribute.get_replica_context().all_reduce("SUM", sums)

    @tf.function(reduce_retracing=True)
    def learnt(batch):
        return strategy.run(learn, batch)

    @tf.function(reduce_retracing=True)
    def asked(batch):
        return strategy.run(lambda *batch: measured(*batch)[1], batch)

    def fit(batches, watch) -> dict[str, float]:
        total = tf.zeros(3)
        for number, batch in enumerate(_ahead(batches)):
            total += learnt(batch)
            watch.on_train_batch_end(number, {"loss": total[0] / total[2]})
        return _means(total)

    def evaluate(batches) -> dict[str, float]:
        return _means(sum(map(asked, _ahead(batches)), tf.zeros(3)))

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
                yield _tensors(coming.popleft().result())
        while coming:
            yield _tensors(coming.popleft().result())


def _tensors(batch: tuple) -> tuple:
    return tuple(map(tf.convert_to_tensor, batch))

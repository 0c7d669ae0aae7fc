"""Who runs the workers: one row a runner. Each takes shard numbers and gives what became of them."""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ..engines import Engine
from ..serving.formats import FORMATS

CORES = 4  # of an actor, unless it is said how many there are to be
MOST_BLOCKS = 10_000


def _local(settings: dict, shards: Sequence[int], workers: int | None) -> Iterator[dict]:
    """In this process: TensorFlow takes all of its machine by itself."""
    from .worker import Worker

    return map(Worker(**settings), ({"shard": shard} for shard in shards))


def _ray(settings: dict, shards: Sequence[int], workers: int | None) -> Iterator[dict]:
    """On Ray's cluster (``RAY_ADDRESS``), or on one of this machine alone that ends with the run.

    Ray Data shares the shards out, starts actors anew that died, and gives their shards to others.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told of what is computed here
    import ray

    from .worker import Worker

    # The machines of a cluster need not have this package.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__package__])
    ours = not ray.is_initialized()
    if ours:
        # Without an address Ray takes any cluster that this machine had last, even one that has ended.
        address = os.environ.get("RAY_ADDRESS") or "local"
        options = {} if address != "local" else {"include_dashboard": False}
        ray.init(address, log_to_driver=False, logging_level="ERROR", **options)
    try:
        workers, share, threads = _shares(ray, workers)
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        yield from (
            # A block is what an actor gets at a time.
            ray.data.from_items(
                [{"shard": shard} for shard in shards], override_num_blocks=min(len(shards), MOST_BLOCKS)
            )
            .map(
                Worker,
                fn_constructor_kwargs={**settings, "threads": threads},
                compute=ray.data.ActorPoolStrategy(size=min(workers, len(shards))),
                **share,
            )
            .iter_rows()
        )
    except ray.exceptions.RayError as error:
        # The last line is what came first; before it, all of Ray that it went through.
        last = str(error).strip().splitlines()[-1]
        raise RuntimeError(f"a worker ended with {last} (the same command goes on)") from error
    finally:
        if ours:
            ray.shutdown()


def _shares(ray, workers: int | None) -> tuple[int, dict, int | None]:
    """How many actors, what Ray reserves for each, and how many threads it has: a GPU, or some cores."""
    there = ray.cluster_resources()
    if gpus := int(there.get("GPU", 0)):
        return min(workers or gpus, gpus), {"num_gpus": 1}, None
    cores = int(there["CPU"])
    workers = workers or max(1, cores // CORES)
    # What no single machine has would be waited for without end.
    smallest = min(int(node["Resources"].get("CPU", 0)) or cores for node in ray.nodes() if node["Alive"])
    threads = max(1, min(cores // workers, smallest))
    return workers, {"num_cpus": threads if cores >= workers else cores / workers}, threads


class Runner(NamedTuple):
    """One way to run workers.

    Attributes:
        needs: What has to be installed.
        work: From the arguments of a `Worker`, shard numbers and how many workers there are to be, to what
            the workers give, in any order.
    """

    needs: Engine
    work: Callable[[dict, Sequence[int], int | None], Iterator[dict]]


def _needs(extra: str, *modules: str) -> Engine:
    return Engine(modules, f"pip install 'keras-resnets[{extra}]'", FORMATS["saved_model"].precisions)


RUNNERS = {
    "local": Runner(_needs("parquet", "pyarrow"), _local),
    "ray": Runner(_needs("ray", "ray", "pyarrow"), _ray),
}


def check(runner: str, workers: int | None) -> None:
    """Refuse a runner that is unknown or not installed, and workers that it does not have.

    Raises:
        ValueError: Unknown, or ``workers`` that are not for it.
        ModuleNotFoundError: Not installed; the message has the line that installs it.
    """
    if runner not in RUNNERS:
        raise ValueError(f"runner must be one of {', '.join(RUNNERS)}. Received: runner={runner!r}")
    if workers is not None and (runner == "local" or workers < 1):
        raise ValueError(
            "workers, at least 1, are Ray's actors and go with runner='ray': without it one process takes "
            f"the whole machine. Received: workers={workers}, runner={runner!r}"
        )
    RUNNERS[runner].needs.check_installed(f"the runner {runner}")

"""One case in a process of its own, told over a pipe when to run:

    python benchmarks/worker.py training keras_step '{"library": "keras_resnets", ...}'

Builds the case, says that it is ready, then for every line it reads runs the case and answers with the
seconds and the peak memory. Each has memory, settings and an interpreter of its own, so that peers in another
virtual environment take part in the same rounds; while one works the others wait, asleep, for a line.
"""

import contextlib
import importlib
import inspect
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

LEAST = 0.5  # seconds of a turn: short runs are repeated, or the cold start after a wait would be measured


# Of every process: no chatter, and none may take all of a GPU's memory at the start, which others share.
ENVIRONMENT = os.environ | {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "PYTHONWARNINGS": "ignore",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}


class Case(NamedTuple):
    """What is measured.

    Attributes:
        maker: A function at the top of a benchmark's file, from the arguments to the function that is timed.
        arguments: By name; what JSON can say.
        python: The interpreter that runs it.
        environment: What is set for it alone.
    """

    maker: Callable[..., Callable[[], object]]
    arguments: dict = {}  # noqa: RUF012 never changed
    python: str = sys.executable
    environment: dict = {}  # noqa: RUF012 never changed


class Failed(Exception):
    """Why a case could not be built or run."""


def ran(command: list[str]) -> str:
    """What a process prints that runs once and ends.

    Raises:
        Failed: It ended with an error; with the last that it said.
    """
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    if done.returncode:
        raise Failed((done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1])
    return done.stdout


@contextlib.contextmanager
def worker(case: Case) -> Iterator[Callable[[], dict]]:
    """A function that runs the case once, in a process that lives as long as the context."""
    module = Path(inspect.getfile(case.maker)).stem
    command = [case.python, __file__, module, case.maker.__name__, json.dumps(case.arguments)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=ENVIRONMENT | case.environment,
    )
    try:
        _answer(process)
        yield lambda: _ask(process)
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()
        process.wait()


def _ask(process: subprocess.Popen) -> dict:
    with contextlib.suppress(BrokenPipeError):  # it ended, and the answer will be missing
        process.stdin.write("run\n")
        process.stdin.flush()
    return _answer(process)


def _answer(process: subprocess.Popen) -> dict:
    line = process.stdout.readline()
    if not line:
        raise Failed(f"the process ended with {process.wait()}")
    answer = json.loads(line)
    if "error" in answer:
        raise Failed(answer["error"])
    return answer


def turn(run: Callable[[], object], least: float = LEAST) -> float:
    """Seconds of one run: the median of as many as it takes to fill the turn."""
    seconds = []
    while sum(seconds) < least:
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def peak_memory() -> int:
    """The most bytes this process has held."""
    # Not getrusage: a child starts with its parent's peak there.
    status = Path("/proc/self/status")
    if status.exists():
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return 1024 * int(peak.split()[1])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main(module: str, maker: str, arguments: str) -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not be taken for an answer
    try:
        run = getattr(importlib.import_module(module), maker)(**json.loads(arguments))
        print(json.dumps({"ready": maker}), file=answers)
        for _ in sys.stdin:
            print(json.dumps({"seconds": turn(run), "peak": peak_memory()}), file=answers)
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        print(json.dumps({"error": f"{type(error).__name__}: {lines[0]}"}), file=answers)
        raise


if __name__ == "__main__":
    main(*sys.argv[1:])

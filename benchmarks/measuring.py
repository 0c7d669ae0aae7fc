"""What every benchmark shares: cases in turn, round after round, then a table.

A ratio is only worth something when both sides were measured in the same minutes: a host's speed drifts by
more than what is compared. So the cases run in turn, and a ratio is the median of the rounds' own ratios.
"""

import contextlib
import statistics
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import Progress
from worker import Case, Failed, worker

_PAUSE = 0.2  # until the threads of the one before have stopped spinning
_CONSOLE = Console(stderr=True)


def interleaved(
    cases: dict[str, Callable[[], float]], rounds: int = 7, warm: int = 2
) -> dict[str, list[float]]:
    """Run the cases in turn, round after round, so that drift hits all alike.

    Args:
        cases: By name, each a function that runs once and says how many seconds it took.
        warm: Rounds before those that count.

    Returns:
        The seconds of each case's rounds; a case that fails is left out, with a word on standard error.
    """
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    with Progress(console=_CONSOLE, transient=True) as progress:
        task = progress.add_task("", total=(warm + rounds) * len(cases))
        for number in range(warm + rounds):
            for name in list(seconds):
                progress.update(task, description=name)
                time.sleep(_PAUSE)
                try:
                    took = cases[name]()
                    seconds[name] += [took] * (number >= warm)
                except Failed as error:
                    _leave_out(name, error)
                    del seconds[name]
                progress.advance(task)
    return seconds


def measured(
    cases: dict[str, Case], rounds: int = 7, warm: int = 2
) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Each case in a process of its own, one of them at work: the seconds of the rounds, the peak memory."""
    peaks: dict[str, int] = {}

    def asked(name: str, ask: Callable[[], dict]) -> float:
        answer = ask()
        peaks[name] = answer["peak"]
        return answer["seconds"]

    with contextlib.ExitStack() as alive:
        running = {}
        for name, case in cases.items():
            try:
                ask = alive.enter_context(worker(case))
                running[name] = lambda name=name, ask=ask: asked(name, ask)
            except Failed as error:
                _leave_out(name, error)
        return interleaved(running, rounds, warm), peaks


def _leave_out(name: str, error: Failed) -> None:
    _CONSOLE.print(f"left out: {name}: {error}", markup=False, highlight=False)


def table(
    seconds: dict[str, list[float]],
    reference: str,
    work: float = 1.0,
    unit: str = "runs",
    peaks: dict[str, int] | None = None,
    columns: Callable[[str, float], dict] = lambda name, rate: {},
) -> list[dict]:
    """One row a case: how many times as fast as the reference, then what that is made of.

    Args:
        seconds: What `interleaved` gave.
        reference: The case that the others are compared with.
        work: How much one run does, in ``unit``.
        peaks: Bytes of memory, by case.
        columns: From a case's name and its rate to further cells.
    """
    rows = []
    for name, taken in seconds.items():
        rounds = zip(seconds.get(reference, ()), taken, strict=False)
        ratios = [theirs / ours for theirs, ours in rounds]
        median = statistics.median(taken)
        row = {
            f"times {reference}": statistics.median(ratios) if ratios else None,
            "case": name,
            "median ms": 1e3 * median,
            "least to most ms": span(taken),
            f"{unit}/s": work / median,
            **columns(name, work / median),
        }
        if peaks:
            row["peak MB"] = round(peaks[name] / 1e6)
        rows.append(row | {"seconds": taken})
    return rows


def span(seconds: list[float]) -> str:
    """The quickest and the slowest round."""
    return f"{1e3 * min(seconds):.4g} to {1e3 * max(seconds):.4g}"

"""How long until there is a network: importing, building, loading a file, each in a process that is new.

    python benchmarks/startup.py

An import is timed from outside, with the interpreter's own start; building and loading from inside, after the
imports.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
from measuring import interleaved, table
from reporting import report
from worker import ran

_INSIDE = """
import time
{imports}
start = time.perf_counter()
{work}
print(time.perf_counter() - start)
"""


def outside(code: str) -> Callable[[], float]:
    """Seconds of a whole process."""

    def once() -> float:
        start = time.perf_counter()
        _run(code)
        return time.perf_counter() - start

    return once


def inside(imports: str, work: str) -> Callable[[], float]:
    """Seconds of the work alone, as the process itself measures them."""
    return lambda: float(_run(_INSIDE.format(imports=imports, work=work)).splitlines()[-1])


def _run(code: str) -> str:
    return ran([sys.executable, "-c", code])


OURS = "from keras_resnets import ResNet50"
KERAS = "from keras.applications import ResNet50"


def contestants(file: Path) -> dict[str, tuple[str, dict[str, Callable[[], float]]]]:
    """Heading -> the reference and all cases."""
    return {
        "Importing": (
            "import keras",
            {code: outside(code) for code in ("import keras", "import keras_resnets", OURS)},
        ),
        "Building ResNet50(weights=None)": (
            "keras.applications",
            {
                "keras.applications": inside(KERAS, "ResNet50(weights=None)"),
                "keras_resnets": inside(OURS, "ResNet50(weights=None)"),
            },
        ),
        "ResNet50(weights=file)": (
            "keras.applications",
            {
                "keras.applications": inside(KERAS, f"ResNet50(weights={str(file)!r})"),
                "keras_resnets": inside(OURS, f"ResNet50(weights={str(file)!r})"),
            },
        ),
    }


@click.command()
@click.option("--rounds", default=15, show_default=True)
@click.option("--quick", is_flag=True, help="Two rounds: does it run?")
def main(rounds, quick):
    """Measure starts; write docs/benchmarks/startup.md and .json."""
    rounds, warm = (2, 0) if quick else (rounds, 1)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "resnet50.weights.h5"
        _run(f"{KERAS}\nResNet50(weights=None).save_weights({str(file)!r})")
        groups = contestants(file)
        # All in the same rounds: the page cache and the clock are the same for all.
        every = {
            f"{heading}: {name}": case
            for heading, (_, cases) in groups.items()
            for name, case in cases.items()
        }
        seconds = interleaved(every, rounds, warm)
    tables = {}
    for heading, (reference, _) in groups.items():
        start = f"{heading}: "
        found = {name.removeprefix(start): seconds[name] for name in seconds if name.startswith(start)}
        tables[heading] = table(found, reference)
    report("startup", "How long until there is a network", tables, quick=quick)


if __name__ == "__main__":
    main()

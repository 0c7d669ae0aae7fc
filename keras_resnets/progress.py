"""Progress bars and lines: on standard error, as plain text in notebooks too."""

import sys

from rich.console import Console
from rich.progress import Progress, ProgressColumn


def bars(*columns: str | ProgressColumn, shown: bool = True) -> Progress:
    return Progress(*columns, console=Console(stderr=True, force_jupyter=False), disable=not shown)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

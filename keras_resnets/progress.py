"""Progress bars: on standard error, as plain text in notebooks too."""

from rich.console import Console
from rich.progress import Progress, ProgressColumn


def bars(*columns: str | ProgressColumn) -> Progress:
    return Progress(*columns, console=Console(stderr=True, force_jupyter=False))


def say(line: str) -> None:
    """A line on standard error, above a bar if there is one."""
    Console(stderr=True, force_jupyter=False, highlight=False).print(line, markup=False, soft_wrap=True)

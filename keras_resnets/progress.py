"""Progress bars: on standard error, as plain text in notebooks too."""

from rich.console import Console
from rich.progress import Progress, ProgressColumn


def bars(*columns: str | ProgressColumn) -> Progress:
    return Progress(*columns, console=Console(stderr=True, force_jupyter=False))

"""What the commands share."""

import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path

import click


def import_quietly() -> None:
    """Import Keras and its backend without their chatter: some of it heeds no setting."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryFile() as chatter:
        saved = os.dup(2)
        os.dup2(chatter.fileno(), 2)
        try:
            import keras  # noqa: F401
        except BaseException:
            chatter.seek(0)
            os.write(saved, chatter.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", "Image size")  # Pillow's; our own limit is an error


def is_bundle(name: str) -> bool:
    """Whether it is the path of one, or what can only be meant as that."""
    return (Path(name) / "bundle.json").is_file() or (os.sep in name and not name.endswith(".keras"))


def bundle_at(name: str):
    """The bundle of this path; None for the name of something else."""
    from ..bundle import Bundle

    return Bundle.load(name) if is_bundle(name) else None


def model_named(name: str):
    """An architecture or its weights, a bundle's folder, or a ``.keras`` file."""
    from ..models import create
    from ..registry import weight_named

    if bundle := bundle_at(name):
        return bundle
    if name.endswith(".keras"):
        import keras

        return keras.saving.load_model(name)
    weight = weight_named(name)
    return create(weight.key, weights=weight.name)


def complain(errors: Iterable[str]) -> None:
    for error in errors:
        click.echo(f"keras-resnets: {error}", err=True)


def exit_for(errors: list[str]) -> None:
    """Say which pictures could not be read; with any, end with status 2."""
    complain(errors)
    if errors:
        sys.exit(2)


def print_rich(table) -> None:
    from rich.console import Console

    console = Console()
    # A pipe has no width; cutting a table to 80 columns would lose what the reader is after.
    (console if console.is_terminal else Console(width=200)).print(table)


def print_table(titles: tuple[str, ...], rows) -> None:
    """Shares with four digits; one that is not a number, because it is a share of nothing, as a dash."""
    from rich.table import Table

    table = Table(*titles)
    for row in rows:
        shown = (f"{value:.4f}".replace("nan", "-") if isinstance(value, float) else value for value in row)
        table.add_row(*map(str, shown))
    print_rich(table)

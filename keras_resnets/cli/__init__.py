"""The command line. Each command imports what it needs inside itself: ``--help`` needs no TensorFlow.

Exit status: 0 all well; 1 a check did not hold; 2 bad arguments or a picture that cannot be read.
"""

import sys

import click

from .. import __version__
from . import catalogue, files, pictures, training
from .shared import import_quietly as import_quietly

COMMANDS = (
    catalogue.list_,
    catalogue.describe,
    pictures.predict,
    pictures.features,
    pictures.evaluate,
    training.finetune,
    training.train,
    files.export,
    files.inspect,
    files.convert,
    files.verify,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="keras-resnets")
def cli():
    """Residual networks for Keras: classify, fine-tune, train and export."""


def main() -> None:
    """Run a command; what goes wrong by the user's doing is one line, not a traceback."""
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (ValueError, OSError, RuntimeError, ModuleNotFoundError) as error:
        click.echo(f"keras-resnets: {error}", err=True)
        sys.exit(2)


for command in COMMANDS:
    cli.add_command(command)

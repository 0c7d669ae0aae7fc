"""Commands on pictures: answers, features, how many answers are right."""

import dataclasses
import sys
from pathlib import Path

import click

from ..disk import written_whole
from .shared import complain, exit_for, import_quietly, model_named, print_rich, print_table


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


@click.command()
@click.argument("paths", nargs=-1, required=True)
@click.option("--model", help="Architecture or its weights.  [default: resnet50]")
@click.option("--bundle", type=click.Path(), help="A folder that finetune wrote, in place of --model.")
@click.option("--top", default=5, show_default=True, type=click.IntRange(1), help="Classes a picture.")
@click.option("--out", help="Write FILE.csv, FILE.json, or Parquet shards to DIR (a folder or an address).")
@click.option(
    "--runner", type=click.Choice(["local", "ray"]), help="Who computes for --out DIR.  [default: local]"
)
@click.option("--workers", type=click.IntRange(1), help="Ray's actors.  [default: one a GPU, or four cores]")
@click.option("--shard-size", type=click.IntRange(1), help="Pictures in a shard of DIR.  [default: 1000]")
@click.option("--batch-size", default=32, show_default=True, type=click.IntRange(1))
@_computing
def predict(paths, model, bundle, top, out, batch_size, precision, engine, calibration, **shards):
    """Say what is on the pictures PATHS: files, folders, or - for standard input (a picture or a list).

    With --out DIR there may be millions of them, by globs and addresses (s3://...) too: the same command
    goes on where it was killed.
    """
    folder = out is not None and _is_folder(out)
    hint = " (a folder for Parquet shards has no suffix, or a slash at its end)"
    _check_choices(model, bundle, None if folder else out, (".csv", ".json"), hint)
    shards = {name: value for name, value in shards.items() if value is not None}
    if folder:
        options = {"top": top, "precision": precision, "batch_size": batch_size, **shards}
        _predict_shards(paths, model, bundle, out, engine, calibration, options)
        return
    if shards:
        option = next(iter(shards)).replace("_", "-")
        raise click.UsageError(f"--{option} goes with --out DIR, a folder for Parquet shards")
    import_quietly()
    from ..predictor import Predictor

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
    exit_for([answer.error for answer in answers if answer.error])


def _is_folder(out: str) -> bool:
    return "://" in out or not Path(out).suffix or out.endswith("/") or Path(out).is_dir()


def _predict_shards(paths, model, bundle, out, engine, calibration, options) -> None:
    """Answers for DIR: all of them are in its files, and here no more than how many there are."""
    if "-" in paths:
        raise click.UsageError("with --out DIR give paths: standard input cannot be read again")
    if engine not in (None, "tensorflow") or calibration:
        raise click.UsageError(
            "--out DIR is written by an exported SavedModel, in TensorFlow; for "
            f"{'--calibration' if calibration else f'--engine {engine}'} choose FILE.csv or FILE.json"
        )
    import_quietly()
    from ..scale import check, predict_files

    check(paths, out, **options)  # a large network takes a while to be there
    found = predict_files(_network(model, bundle), paths, out, **options)
    click.echo(f"written: {out} ({found.pictures:,} pictures in {found.shards:,} shards)")
    complain(f"{path}: {status}" for path, status in found.examples)
    if found.unread:
        complain([f"{found.unread:,} of {found.pictures:,} pictures have no answer: see the column status"])
        sys.exit(2)


@click.command()
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
    from ..extraction import extract_features
    from ..images.reading import read_image

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
        print_table(("picture", "similarity"), found.nearest(last[0], count))
    exit_for([*found.errors, *(answer.error for answer in nothing)])


def _sides(context, option, value):
    """224,256 as numbers."""
    try:
        return value and tuple(map(int, value.split(",")))
    except ValueError:
        raise click.BadParameter(f"whole numbers, such as 224,256,384. Received: {value}") from None


@click.command()
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
    from .. import evaluation
    from ..predictor import compare

    network = model_named(model)
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
        print_table(("class", "images", "precision", "recall", "F1"), result.per_class)
    complain(result.errors)
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


def _check_choices(
    model: str | None, bundle: str | None, out: str | None, suffixes: tuple[str, ...], hint: str = ""
) -> None:
    """Refuse, before anything is imported, a choice of network or of a file to write that cannot be."""
    if model and bundle:
        raise click.UsageError("give --model or --bundle, not both")
    if out and Path(out).suffix not in suffixes:
        raise click.UsageError(f"--out must end in {' or '.join(suffixes)}. Received: {out}{hint}")
    if out and not Path(out).resolve().parent.is_dir():
        raise click.UsageError(f"there is no folder to write {out} to")


def _network(model: str | None, bundle: str | None):
    """What --model or --bundle names."""
    from ..bundle import Bundle

    return Bundle.load(bundle) if bundle else model_named(model or "resnet50")


def _sources(paths: tuple[str, ...]) -> tuple[list, list]:
    """What there is to read, and an answer already for each path that holds nothing."""
    from ..images.reading import find_images
    from ..predictor import Prediction

    found, nothing = [], []
    for path in paths:
        try:
            found += _standard_input() if path == "-" else find_images([path])
        except (OSError, ValueError) as error:
            nothing.append(Prediction(path, error=str(error)))
    return found, nothing


def _pictures(folder: str | None) -> list | None:
    from ..images.reading import find_images

    return folder and list(find_images([folder]))


def _standard_input() -> list:
    """One picture, or a list of paths, a line each."""
    from ..images.reading import ImageError, find_images, read_image

    data = sys.stdin.buffer.read()
    try:
        return [read_image(data, "standard input")]
    except ImageError as error:
        lines = [line for line in data.decode(errors="replace").splitlines() if line.strip()]
        if not lines or not all(Path(line).exists() for line in lines):
            raise error from None
        return list(find_images(lines))


def _print_answers(answers) -> None:
    from rich.table import Table

    table = Table("picture", "class", "score")
    for answer in (answer for answer in answers if not answer.error):
        table.add_section()
        for number, (_, name, score) in enumerate(answer.top):
            table.add_row(_source_name(answer.source) if number == 0 else "", name, f"{score:.4f}")
    if table.row_count:
        print_rich(table)


def _source_name(source) -> str:
    return str(source) if isinstance(source, (str, Path)) and source != "-" else "standard input"


def _write_answers(path: Path, answers) -> None:
    """One row a picture and rank; written beside its place, then renamed."""
    import csv
    import json

    with written_whole(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
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

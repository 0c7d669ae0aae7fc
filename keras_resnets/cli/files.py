"""Commands on files: exports, and weights."""

import sys

import click

from .shared import import_quietly, model_named, print_rich


@click.command()
@click.argument("model")
@click.argument("out", type=click.Path())
@click.option("--format", default="saved_model", show_default=True, help="Or onnx, openvino, litert.")
@click.option(
    "--precision",
    default="float32",
    show_default=True,
    help="saved_model: or bfloat16; others: float16, int8.",
)
@click.option("--fold/--no-fold", default=True, show_default=True, help="Batch norms into convolutions.")
@click.option("--version", type=click.IntRange(0), help="Of a SavedModel; the next free number by default.")
@click.option("--pictures", type=click.Path(), help="A folder to compare on; for int8 hundreds of yours.")
@click.option("--tolerance", type=click.FloatRange(0), help="What a probability may differ by.")
def export(model, out, **options):
    """Write MODEL (architecture, weights or bundle) for a server or a device, and compare the two.

    Status 1: it does not answer as the model does, and was not kept.
    """
    import_quietly()
    from ..serving import ExportError, check, export

    check(out, **options)  # a large network takes a while to be there
    try:
        click.echo(f"written: {export(model_named(model), out, **options)}")
    except ExportError as error:
        click.echo(f"keras-resnets: {error}", err=True)
        sys.exit(1)


@click.command()
@click.argument("file", type=click.Path())
def inspect(file):
    """Say what the weights FILE is: format, publisher, architecture, classes, channels, missing and extra."""
    import_quietly()
    from rich.table import Table

    from ..files import inspect_weights

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
    print_rich(table)


@click.command()
@click.argument("file", type=click.Path())
@click.argument("out", type=click.Path())
@click.option("--names", default="keras", show_default=True, help="keras, torchvision or timm.")
@click.option("--dtype", default="float32", show_default=True, help="Or float16 or bfloat16: half the size.")
@click.option("--key", help="The architecture, where several fit.")
def convert(file, out, names, dtype, key):
    """Write the weights FILE as OUT: .weights.h5, .h5, .safetensors, .npz or .pth."""
    import_quietly()
    from ..files import convert

    found = convert(file, out, names, dtype, key=key)
    click.echo(f"written: {out} ({found.format}, {found.identity.publisher}, {found.identity.key})")


@click.command()
@click.argument("file", type=click.Path())
@click.option("--against", required=True, type=click.Path(), help="A reference .npz, or other weights.")
@click.option("--picture", type=click.Path(), help="Needed where the reference holds none.")
@click.option("--preset", help="Name of the preprocessing; the architecture's own by default.")
@click.option("--key", help="The architecture, where several fit.")
@click.option("--tolerance", default=1e-5, show_default=True, type=click.FloatRange(0))
def verify(file, against, picture, preset, key, tolerance):
    """Compare the network of the weights FILE with a reference, from the picture to the logits."""
    import_quietly()
    from ..verification import verify

    rows = verify(file, against, picture, preset=preset, key=key)
    for row in rows:
        click.echo(f"{row.place:8} largest difference {row.largest:.2e}, relative {row.relative:.2e}")
    differing = [row.place for row in rows if not row.relative <= tolerance]
    if differing:
        click.echo(f"beyond {tolerance:g} from {differing[0]} on", err=True)
        sys.exit(1)

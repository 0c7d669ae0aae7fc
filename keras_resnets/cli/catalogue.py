"""Commands on what there is."""

import click

from .shared import import_quietly, print_rich


@click.command("list")
@click.argument("pattern", default="*")
def list_(pattern):
    """Every architecture, or those that match PATTERN: parameters, input, weights at hand."""
    import_quietly()
    from rich.table import Table

    from ..registry import describe, list_models

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
    print_rich(table)


@click.command()
@click.argument("name")
def describe(name):
    """One card on architecture NAME."""
    import_quietly()
    from rich.table import Table

    from ..registry import describe

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
    print_rich(table)

"""Tables to the terminal, to a page and to JSON."""

import json
import shlex
import sys
from pathlib import Path

from machine import ROOT, machine
from rich.console import Console
from rich.table import Table


def report(
    name: str, title: str, tables: dict[str, list[dict]], notes: str = "", quick: bool = False
) -> None:
    """Print the tables and write them to docs/benchmarks, as a page and as JSON.

    Files of another backend than TensorFlow, or of a GPU, are called so. A quick run proves nothing: its
    files go to ``out/benchmarks``, which nobody keeps.
    """
    host = machine()
    command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    if host["backend"] != "tensorflow":
        command = f"KERAS_BACKEND={host['backend']} {command}"
    page = [f"# {title}", f"`{command}`"]
    for heading, rows in tables.items():
        names = [column for column in rows[0] if column != "seconds"] if rows else []
        cells = [[_text(row[column]) for column in names] for row in rows]
        shown = Table(*names, title=heading)
        for row in cells:
            shown.add_row(*row)
        Console(width=None if sys.stdout.isatty() else 160).print(shown)
        lines = [names, ["---:"] + ["---"] * (len(names) - 1), *cells]
        page += [f"## {heading}", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    facts = "\n".join(f"| {fact} | {value} |" for fact, value in host.items())
    page += [*filter(None, [notes]), "## Measured on", f"| | |\n|---|---|\n{facts}"]
    files = folder(quick) / f"{name}{suffix(host)}"
    files.parent.mkdir(parents=True, exist_ok=True)
    files.with_suffix(".md").write_text("\n\n".join(page) + "\n", encoding="utf-8")
    content = {"title": title, "command": command, "machine": host, "tables": tables}
    files.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def folder(quick: bool) -> Path:
    return ROOT / "out" / "benchmarks" if quick else ROOT / "docs" / "benchmarks"


def suffix(host: dict[str, str]) -> str:
    backend = "" if host["backend"] == "tensorflow" else f"-{host['backend']}"
    return backend + ("" if host["GPU"] == "none" else "-gpu")


def _text(value) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.2f}" if value < 100 else f"{value:,.0f}"
    return str(value)

"""The tables that are made from tables: of all architectures in the README, of all weights in the catalogue.

    python docs/tables.py

A test compares what it makes with what is there.
"""

import json
from pathlib import Path

from keras_resnets.architecture.variants import VARIANTS
from keras_resnets.weights.catalog import MEASURED, WEIGHTS

HERE = Path(__file__).parent
BEGIN, END = "<!-- made by docs/tables.py -->", "<!-- end -->"


def table(titles: tuple[str, ...], rows: list[tuple]) -> str:
    lines = [titles, ("---",) * len(titles), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def models() -> str:
    """Every architecture: how large, how fast, and the weights that `weights=` means first."""
    content = json.loads((HERE / "benchmarks/models.json").read_text())
    [measured] = content["tables"].values()
    speeds = {row["case"]: row for row in measured}
    rows = []
    for row in VARIANTS.values():
        weights = [weight for weight in WEIGHTS.values() if weight.key == row.key]
        best = next(iter(weights), None)
        speed = speeds.get(row.key)
        rows.append(
            (
                f"`{row.constructor}`" if row.constructor else f'`create("{row.key}")`',
                row.dialect,
                f"{row.parameters / 1e6:.2f}",
                f"{speed['million multiply-adds']:,.0f}" if speed else "",
                row.input.size,
                f"{best.data}, {len(weights)}" if best else "",
                f"{best.top1:.2f}" if best else "",
                next((MEASURED[weight.name] for weight in weights if weight.name in MEASURED), ""),
                f"{speed['times resnet50']:.2f}" if speed else "",
            )
        )
    titles = ("network", "whose", "million parameters", "million multiply-adds", "pixels", "weights")
    titles += ("top-1, published", "measured here", "speed")
    return table(titles, rows)


def catalogue() -> str:
    """Every training that is published."""
    rows = [
        (
            f"`{weight.name}`",
            weight.data,
            weight.classes,
            f"{weight.top1:.2f}",
            "" if weight.top5 is None else f"{weight.top5:.2f}",
            MEASURED.get(weight.name, ""),
            weight.preset,
            "<br>".join(sorted({file.licence for file in weight.files}))
            + ("" if weight.commercial else " (**not for commerce**)"),
        )
        for weight in WEIGHTS.values()
    ]
    titles = ("weights", "data", "classes", "top-1", "top-5", "measured here", "preset", "licence")
    return table(titles, rows)


def placed(text: str, made: str) -> str:
    """A page with a table put between its two marks."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{after}"


PAGES = {HERE.parent / "README.md": models, HERE / "weights.md": catalogue}

if __name__ == "__main__":
    for path, make in PAGES.items():
        path.write_text(placed(path.read_text(encoding="utf-8"), make()), encoding="utf-8")

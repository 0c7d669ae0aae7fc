"""One page that says what a training came to: ``report.html``, whole in itself."""

import base64
import datetime
import functools
import importlib.util
import io
import math
import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from .. import measures
from ..bundle import Bundle, versions
from ..explanation import grad_cam, overlay
from ..inspection import input_size
from . import figures

MODULES = ("jinja2", "matplotlib")
MISTAKES = 12  # that are shown as pictures
ROWS = 20  # of a list or a table; what follows is folded away
PIXELS = 160 * figures.SHARPNESS  # the widest picture


def missing() -> list[str]:
    """What a report needs and is not installed: ``pip install 'keras-resnets[report]'``."""
    return [name for name in MODULES if importlib.util.find_spec(name) is None]


def write_report(
    folder: str | os.PathLike,
    bundle: Bundle,
    scores: np.ndarray,
    targets: np.ndarray,
    sources: Sequence,
    unreadable: Sequence[str] = (),
) -> Path:
    """Write ``report.html``, which needs no other file, and its figures and mistakes as ``figures/*.png``.

    Args:
        folder: Where to; made if it is not there.
        bundle: What was trained. Of its notes ``recipe``, ``seed`` and ``metrics`` are used, where there.
        scores: Probabilities of the validation pictures, float32 (N, classes).
        targets: Their classes, int (N,).
        sources: The pictures, as `read_image` takes them; one that has vanished is shown as missing.
        unreadable: One line for each picture that was left out.

    Returns:
        The path of ``report.html``.

    Raises:
        ModuleNotFoundError: Jinja2 or Matplotlib is not installed.
        ValueError: No pictures, or shapes that do not go together.
    """
    if lacking := missing():
        raise ModuleNotFoundError(
            f"a report needs {' and '.join(lacking)}: pip install 'keras-resnets[report]'", name=lacking[0]
        )
    scores, targets = np.asarray(scores, "float32"), np.asarray(targets, "int64")
    _check(scores, targets, sources, len(bundle.labels))
    names = [label.name for label in bundle.labels]
    answers = scores.argmax(axis=1)
    matrix = measures.confusion(answers, targets, len(names))
    calibration = measures.calibration(scores.max(axis=1), answers == targets)
    shown = measures.most_confused(matrix, figures.CELLS)
    drawings = {
        "confusion": functools.partial(figures.confusion, matrix, names, shown),
        "calibration": functools.partial(figures.reliability, calibration),
    }
    if bundle.history:
        kept = _metrics(bundle).get("epoch")
        drawings["learning"] = functools.partial(figures.learning, bundle.history, kept)
    wrong = measures.mistakes(scores, targets)
    mistakes = [
        _mistake(bundle, sources[number], names, targets[number], scores[number], f"picture {number + 1}")
        for number in wrong[:MISTAKES]
    ]
    light, dark = (
        {name: figures.png(draw(ink)) for name, draw in drawings.items()}
        for ink in (figures.LIGHT, figures.DARK)
    )
    page = _template().render(
        model=bundle.model.name,
        names=names,
        result=_result(matrix),
        findings=_metrics(bundle).get("findings", ()),
        unreadable=unreadable,
        drawings={name: _drawing(light[name], dark[name]) for name in drawings},
        shown=len(shown),
        table=sorted(measures.by_class(matrix, names), key=_recall),
        wrong=len(wrong),
        mistakes=mistakes,
        calibration=calibration,
        recipe=bundle.notes.get("recipe", {}),
        facts=_facts(bundle),
        rows=ROWS,
        light=figures.LIGHT,
        dark=figures.DARK,
    )
    if readable := [mistake for mistake in mistakes if not mistake["error"]]:
        light["mistakes"] = figures.png(figures.mistakes(readable, figures.LIGHT))
    path = Path(folder) / "report.html"  # nothing is written before all is drawn
    (path.parent / "figures").mkdir(parents=True, exist_ok=True)
    for name, png in light.items():
        (path.parent / f"figures/{name}.png").write_bytes(png)
    path.write_text(page, encoding="utf-8", errors="replace")  # a file's name need not be UTF-8
    return path


def _check(scores: np.ndarray, targets: np.ndarray, sources: Sequence, classes: int) -> None:
    if not len(targets) or scores.shape != (len(targets), classes) or len(sources) != len(targets):
        raise ValueError(
            f"scores must be (N, {classes}), targets (N,) and sources N, with N at least 1. "
            f"Received: {scores.shape}, {targets.shape} and {len(sources)}"
        )
    if not np.isfinite(scores).all():
        raise ValueError(f"scores must be finite. Received: {(~np.isfinite(scores)).sum()} that are not")
    if targets.min() < 0 or targets.max() >= classes:
        raise ValueError(f"targets must be in 0..{classes - 1}. Received: {targets.min()}..{targets.max()}")


def _metrics(bundle: Bundle) -> dict:
    return bundle.notes.get("metrics", {})


def _result(matrix: np.ndarray) -> dict:
    """What the first sentence says."""
    right, total = int(matrix.trace()), int(matrix.sum())
    low, high = measures.wilson(right, total)
    baseline = float(matrix.sum(axis=1).max() / total)
    return {"share": right / total, "low": low, "high": high, "total": total, "baseline": baseline}


def _mistake(bundle: Bundle, source, names: Sequence[str], target: int, row: np.ndarray, number: str) -> dict:
    """A picture as the network got it, beside it the places that spoke for the wrong answer."""
    answer = int(row.argmax())
    file = str(Path(*Path(source).parts[-2:])) if isinstance(source, str | os.PathLike) else number
    said = {
        "file": file,
        "true": names[target],
        "answer": names[answer],
        "score": float(row[answer]),
        "error": None,
    }
    try:
        found = grad_cam(bundle, source, answer)
    except ValueError as error:  # it has vanished since: the page goes without it
        return said | {"error": str(error)}
    return said | {"picture": found.picture, "heat": overlay(found.picture, found.heat)}


def _picture(pixels: np.ndarray) -> str:
    """The address of uint8 pixels (H, W, 3), no more of them than the page shows sharp."""
    image, file = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((PIXELS, PIXELS))
    image.save(file, "PNG")
    return _address(file.getvalue())


def _drawing(light: bytes, dark: bytes) -> dict:
    """A figure for a light and for a dark page."""
    width = Image.open(io.BytesIO(light)).width // figures.SHARPNESS
    return {"light": _address(light), "dark": _address(dark), "width": width}


def _address(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _facts(bundle: Bundle) -> dict[str, str]:
    """What else there is to know if this is to be done again."""
    rows, columns = input_size(bundle.model, bundle.preset)
    counts = {name: _metrics(bundle).get(f"{name} pictures") for name in ("training", "validation")}
    return {
        "network": f"{bundle.model.name}, {bundle.model.count_params():,} parameters",
        "input": f"pictures of {columns} x {rows} pixels",
        "preset": f"{bundle.preset.name}: {bundle.preset}",
        "preset's source": bundle.preset.source,
        **{f"{name} pictures": f"{count:,}" for name, count in counts.items() if count is not None},
        "seed": str(bundle.notes.get("seed", "not known")),
        "versions": ", ".join(" ".join(pair) for pair in versions().items()),
        "backend": keras.backend.backend(),
        "written": datetime.datetime.now().astimezone().isoformat(" ", "minutes"),
    }


def _template():
    """The page. Names of classes and of files are the user's: everything is escaped."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": _percent, "share": _share, "plain": _plain, "picture": _picture}
    return environment.from_string(resources.files(__package__).joinpath("report.html").read_text("utf-8"))


def _percent(share: float) -> str:
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


def _recall(row: measures.ClassResult) -> float:
    """The lowest first, a class without a picture last."""
    return math.inf if math.isnan(row.recall) else row.recall


def _share(value: float) -> str:
    return "\N{EN DASH}" if math.isnan(value) else f"{value:.2f}"


def _plain(value) -> str:
    """A recipe's value as the command line takes it."""
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value)

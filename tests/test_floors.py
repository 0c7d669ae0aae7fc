"""A file imports its own folder or a lower floor, never a sibling room or a higher one."""

import ast
from pathlib import Path

import pytest

import keras_resnets

HOUSE = Path(keras_resnets.__file__).parent

FLOORS = {
    "progress": 0,
    "measures": 0,
    "disk": 0,
    "architecture": 1,
    "weights": 2,
    "images": 2,
    "inspection": 3,
    "datasets": 3,
    "registry": 3,
    "identification": 3,
    "models": 4,
    "zoo": 5,
    "resnet": 6,
    "resnet_v2": 6,
    "resnext": 6,
    "matlab": 5,
    "files": 5,
    "classifier": 5,
    "engines": 6,
    "predictor": 7,
    "bundle": 8,
    "verification": 6,
    "evaluation": 9,
    "extraction": 9,
    "explanation": 9,
    "reporting": 10,
    "training": 11,
    "serving": 10,
    "scale": 11,
    "cli": 12,
    "__main__": 13,
    "__init__": 13,
}
FILES = sorted(HOUSE.rglob("*.py"))


def room(parts):
    return parts[0].removesuffix(".py")


def imported_rooms(path):
    """Rooms of this package that a file imports, at its top or inside a function."""
    inside = path.relative_to(HOUSE).parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*inside[: len(inside) - node.level], *(node.module or "").split(".")]
            base = [part for part in base if part]
            for place in [base] if base else [[alias.name] for alias in node.names]:
                if place[0] in FLOORS:
                    yield place[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_no_arrow_runs_up(path):
    here = room(path.relative_to(HOUSE).parts)
    for other in imported_rooms(path):
        assert other == here or FLOORS[other] < FLOORS[here], f"{here} imports {other}"


def test_every_room_has_a_floor():
    assert {room(path.relative_to(HOUSE).parts) for path in FILES} == set(FLOORS)


def test_tensorflow_stays_in_its_rooms():
    users = {
        str(path.relative_to(HOUSE))
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import) and any(alias.name.startswith("tensorflow") for alias in node.names)
    }
    assert users == {
        "architecture/layers.py",
        "engines/graph.py",
        "engines/litert.py",
        "engines/tensorflow.py",
        "scale/worker.py",
        "serving/decoding.py",
        "serving/fitting.py",
        "serving/formats/saved_model.py",
        "serving/gif.py",
        "serving/signatures.py",
        "serving/warmup.py",
        "training/strategies.py",
        "weights/formats/checkpoints.py",
    }

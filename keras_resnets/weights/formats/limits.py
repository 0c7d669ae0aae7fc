"""What a file may ask for: checked on what it declares, before anything is allocated or opened."""

import collections
import json
import re
from collections.abc import Iterable
from pathlib import Path

from .contents import WeightsError

RATIO, SLACK = 20, 100 << 20  # no weights shrink this much; a small file of zeros may
MEMORY = 200 << 20  # beyond what grows with the file's size
HEADER = 8 << 20  # a deep network's names take a fiftieth of it; parsed JSON takes twenty times its text
DEPTH = 100  # of JSON: the parser recurses, past the end of the stack where a deep network raised its limit
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]', re.DOTALL)


def check_size(declared: int, stored: int, what: str) -> None:
    """Refuse what would unpack to far more than is stored."""
    if declared > RATIO * stored + SLACK:
        raise WeightsError(
            f"{what} declares {declared} bytes and stores {stored}: more than weights can be packed; "
            "get the file again from its publisher"
        )


def check_unique(names: Iterable[str], what: str) -> None:
    """Refuse a name that stands there twice: which of the two is read would be chance."""
    twice = [name for name, count in collections.Counter(names).items() if count > 1]
    if twice:
        raise WeightsError(f"{what} {twice[0]} is there twice")


def inside(folder: Path, name: str) -> Path:
    """The regular file of this name in a folder.

    Raises:
        WeightsError: It is missing, no regular file, or a link to somewhere else.
    """
    path = folder / name
    if not path.exists():
        raise WeightsError(f"{name} is missing from this folder")
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        raise WeightsError(f"{name} points out of the folder or is no regular file; copy it there")
    return path


def parse_json(text: bytes, what: str) -> dict:
    """A JSON object of bounded size and depth that has no key twice."""
    if len(text) > HEADER:
        raise WeightsError(f"{what} has {len(text)} bytes; at most {HEADER} are read")
    depth = 0
    for bracket in _BRACKETS.finditer(text):
        depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(bracket[0], 0)
        if depth > DEPTH:
            raise WeightsError(f"{what} is nested in more than {DEPTH} levels")
    parsed = json.loads(text, object_pairs_hook=_object)
    if not isinstance(parsed, dict):
        raise WeightsError(f"{what} is not a JSON object")
    return parsed


def _object(pairs: list[tuple[str, object]]) -> dict:
    check_unique((key for key, _ in pairs), "the key")
    return dict(pairs)

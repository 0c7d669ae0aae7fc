"""What there is, by name: architectures and published weights; the nearest spelling of what there is not."""

import difflib
import fnmatch
import re

from .architecture.variants import VARIANTS, Variant
from .images.presets import PRESETS
from .weights import sources
from .weights.catalog import MEASURED, WEIGHTS, Weight, default_weight


def list_models(pattern: str = "*") -> list[str]:
    """The keys of all architectures, or of those that match.

    Args:
        pattern: A shell pattern, or a part of a name.

    >>> list_models("*next*")
    ['resnext50', 'resnext101', 'resnext50_32x4d', 'resnext101_32x4d', 'resnext101_32x8d',
     'resnext101_64x4d', 'se_resnext50_32x4d', 'se_resnext101_32x4d']
    """
    pattern = pattern.lower() if re.search(r"[*?\[]", pattern) else f"*{pattern.lower()}*"
    return [key for key in VARIANTS if fnmatch.fnmatch(key, pattern)]


def describe(name: str) -> dict:
    """One card on an architecture: what it is, how large, and which weights are published for it.

    Args:
        name: A key such as ``"resnet50"`` or a constructor's name such as ``"ResNet50"``.

    Raises:
        ValueError: No such architecture; the message has the nearest names.

    Example:

    >>> card = describe("resnet50")
    >>> card["trainable parameters"], card["weights"][0]["name"]
    (25583592, 'resnet50.keras_in1k')
    """
    row = variant(name)
    weights = [weight for weight in WEIGHTS.values() if weight.key == row.key]
    return {
        "key": row.key,
        "constructor": row.constructor or f'create("{row.key}")',
        "dialect": row.dialect,
        "source": row.source,
        "blocks": row.blocks,
        "trainable parameters": row.parameters,
        "input": (row.input.size, row.input.size, row.input.channels),
        "classes": row.classes,
        "shortcut": row.shortcut,
        "default weights": row.weights,
        "weights": [
            {
                "name": weight.name,
                "preset": weight.preset,
                "preprocessing": str(PRESETS[weight.preset]),
                "data": weight.data,
                "classes": weight.classes,
                "published top-1": weight.top1,
                "published top-5": weight.top5,
                "tested": weight.tested,
                "measured here": MEASURED.get(weight.name),
                "commercial use": weight.commercial,
                "files": [(file.address, file.hash, file.size, file.licence) for file in weight.files],
                "at hand": sources.cached(weight) is not None,
            }
            for weight in weights
        ],
    }


def variant(name: str) -> Variant:
    """The row of an architecture, by key or constructor's name."""
    by_name = VARIANTS | {row.constructor: row for row in VARIANTS.values() if row.constructor}
    if not isinstance(name, str) or name not in by_name:
        raise ValueError(f"unknown architecture {name!r}{nearest(name, by_name)}; see list_models()")
    return by_name[name]


def weight_named(name: str) -> Weight:
    """The row of a published weight, by ``key.tag``, or by an architecture's name (its default)."""
    if name in WEIGHTS:
        return WEIGHTS[name]
    architectures = {*VARIANTS, *(row.constructor for row in VARIANTS.values())}
    if name in architectures and (found := default_weight(variant(name).key)):
        return found
    raise ValueError(f"unknown weights {name!r}{nearest(name, [*VARIANTS, *WEIGHTS])}; see list_models()")


def nearest(name: str, known) -> str:
    """What somebody probably meant, as a piece of an error message."""

    def letters(text) -> str:
        return re.sub(r"[^a-z0-9.]", "", str(text).lower())

    def parts(text) -> str:  # resnet50_v2 and resnetv2_50 have the same
        return "".join(sorted(re.findall(r"[a-z]+|\d+", letters(text))))

    def ratio(other) -> float:
        pairs = ((part(name), part(other)) for part in (letters, parts))
        return max(difflib.SequenceMatcher(None, *pair).ratio() for pair in pairs)

    # Names that hold the whole word come first, then the likest; of equals the first in the table.
    likeness = {other: (letters(name) in letters(other), ratio(other)) for other in known}
    close, seen = [], set()
    for other in sorted(likeness, key=likeness.get, reverse=True):
        holds, near = likeness[other]
        if (holds or near >= 0.5) and letters(other) not in seen:  # a constructor says no more than its key
            seen.add(letters(other))
            close.append(other)
    more = sum(holds for holds, _ in likeness.values())
    rest = f", or another of list_models({str(name)!r})" if more > 3 else ""
    return f"; did you mean {' or '.join(close[:3])}{rest}?" if close else ""

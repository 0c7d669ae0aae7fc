"""What a row of the catalogue is."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class PublishedFile:
    """One file that somebody publishes.

    Attributes:
        name: What the file is called, in the cache too.
        address: ``https://...``, ``hf://OWNER/REPO/FILE`` on the Hugging Face hub, ``npm:NAME@VERSION``
            for a package of the npm registry, or ``wheel:NAME`` for a file that comes with this package.
        hash: ``sha256:...``, or ``md5:...`` where the publisher gives no other; the first digits alone where
            he prints no more; empty where he prints none.
        licence: As the publisher states it.
        top: Whether the classifier is in it.
        size: Bytes, where they are known.
    """

    name: str
    address: str
    hash: str
    licence: str
    top: bool = True
    size: int | None = None


@dataclasses.dataclass(frozen=True)
class Weight:
    """One training of one architecture.

    Attributes:
        key: The architecture (`keras_resnets.list_models`).
        tag: Which training; ``name`` is ``key.tag``.
        preset: The preprocessing it was trained with, a name in `PRESETS`.
        classes: Classes of its classifier.
        top1, top5: Published accuracy in percent, on the validation pictures of ``data``; None where the
            publisher does not say.
        tested: Where and how that was published.
        files: Sources, the first choice first.
        data: What it was trained on last; ``weights=data`` means the first row of an architecture.
        commercial: Whether the licence allows commercial use.
    """

    key: str
    tag: str
    preset: str
    classes: int
    top1: float
    top5: float | None
    tested: str
    files: tuple[PublishedFile, ...]
    data: str = "imagenet"
    commercial: bool = True

    @property
    def name(self) -> str:
        return f"{self.key}.{self.tag}"

    def sources(self, include_top: bool) -> list[PublishedFile]:
        """Files that will do, best first: a file's classifier can be left out, not made up."""
        fitting = [file for file in self.files if file.top or not include_top]
        return sorted(fitting, key=lambda file: file.top != include_top)


def hash_in(name: str) -> str:
    """The first digits of their sha256, which PyTorch's files carry in their names: ``net-f37072fd.pth``."""
    digits = name.rpartition("-")[2].partition(".")[0]
    return f"sha256:{digits}"

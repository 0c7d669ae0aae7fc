"""Where a training leaves its result, and beside it what it needs to go on after a kill."""

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import keras

from ..bundle import Bundle, plain_options
from ..disk import check_room, written_whole
from ..images.reading import identity
from ..models import origin_of
from ..progress import say
from .loop import saying_what_is_full, size_of
from .recipe import Recipe
from .workers import ALONE, Worker

TOLD = "training.json"  # what is trained, and on what
_OF_RECIPES = ("drop_path_rate", "kernel_initializer")


@dataclasses.dataclass(frozen=True)
class Place:
    """A folder to come, and ``<folder>.training`` until then.

    Attributes:
        out: The result.
        resume: Whether to go on with what is there.
        worker: Of several, one looks whether all is well, and writes.
    """

    out: Path
    resume: bool
    worker: Worker

    @classmethod
    def of(cls, out: str | os.PathLike | None, resume: bool, worker: Worker = ALONE) -> "Place | None":
        """None where nothing is to be written.

        Raises:
            FileExistsError: The result is there, or an unfinished training that is not to be gone on with.
            ValueError: ``resume`` without a folder.
        """
        if out is None:
            if resume:
                raise ValueError("resume=True needs out=, the folder that the training was to write")
            return None
        place = cls(Path(out), resume, worker)
        if not worker.writes:
            return place
        if place.out.exists() and not (resume and place._is_named()):
            raise FileExistsError(f"{out} exists; choose another name or remove it")
        if place.folder.exists() and not resume:
            raise FileExistsError(
                f"{place.folder} holds an unfinished training; "
                "go on with resume=True (--resume), or remove it"
            )
        return place

    @property
    def folder(self) -> Path:
        return self.out.with_name(self.out.name + ".training")

    @property
    def checkpoint(self) -> Path:
        return self.folder / "last.npz"

    @property
    def result(self) -> Path:
        """The bundle, once it is written, until it gets its name."""
        return self.folder / "result"

    def is_done(self) -> bool:
        """Whether all that was left to do when the training was killed is to tidy up."""
        return self.result.is_dir() or self.out.exists()

    def _is_named(self) -> bool:
        """Whether the result has its name, and what is beside it was still to be removed."""
        return self.folder.is_dir() and {path.name for path in self.folder.iterdir()} <= {TOLD}

    def begin(self, model: keras.Model, recipe: Recipe, parts, seed: int) -> None:
        """Make the folder, or compare what is in it with what is asked.

        Raises:
            ValueError: The unfinished training is of other data, another network or another seed.
            OSError: No folder can be made there, or it has too little room.
        """
        if not self.worker.writes:
            return
        told = {
            "network": {"key": origin_of(model).key, **_built_with(model)},
            "weights": origin_of(model).weight,
            "seed": seed,
            "data": _fingerprint(parts),
        }
        file = self.folder / TOLD
        told, chosen = json.loads(json.dumps([told, dataclasses.asdict(recipe)]))  # as they are read
        if file.is_file():
            before = json.loads(file.read_text())
            recipe_before = before.pop("recipe")
            if before != told:
                other = ", ".join(name for name in told if before.get(name) != told[name])
                raise ValueError(
                    f"{self.folder} holds a training with another {other}; "
                    "go on with the same, or remove the folder"
                )
            if self.checkpoint.is_file() and not recipe.unfrozen:
                raise ValueError(
                    f"{self.folder} holds a training that is beyond the classifier; the recipe {recipe.name} "
                    "trains nothing else. Go on with the recipe it began with, or remove the folder"
                )
            if changes := [name for name in chosen if recipe_before.get(name) != chosen[name]]:
                say(f"going on with another {', '.join(changes)} than the training began with")
        elif self.resume and not self.is_done():
            say(f"nothing to go on with in {self.folder}: this training begins")
        if self.is_done():
            return
        for left in self.folder.glob("*/"):
            shutil.rmtree(left)  # of a training that was killed as it wrote
        copies = 3 if recipe.unfrozen else 1  # the result, and a checkpoint that is written beside the last
        there = self.checkpoint.stat().st_size if self.checkpoint.is_file() else 0
        check_room(self.out.parent, copies * size_of(model, recipe) - there, "checkpoints and the result")
        self.folder.mkdir(parents=True, exist_ok=True)
        with written_whole(file) as beside:
            beside.write_text(json.dumps(told | {"recipe": chosen}, indent=2) + "\n")

    def end(self, bundle: Bundle, finish: Callable[[Path], object]) -> None:
        """Write the result, as `Bundle.save` does, and tidy up.

        Raises:
            TrainingError: It cannot be written; the training is as it was.
        """
        with saying_what_is_full("the result", self.out):
            bundle.save(self.result, finish)
        self.tidy()

    def tidy(self) -> None:
        """Give the result its name and leave nothing else: in an order that can be gone on with.

        Raises:
            FileExistsError: Something of that name has come to be there.
        """
        if self.result.is_dir():
            if self.out.exists():
                raise FileExistsError(f"{self.out} has come to exist; move it away, then resume")
            self.checkpoint.unlink(missing_ok=True)
            self.result.rename(self.out)
        shutil.rmtree(self.folder)


def _built_with(model: keras.Model) -> dict:
    """The network's options, but for those that a recipe may change."""
    return {name: value for name, value in plain_options(model).items() if name not in _OF_RECIPES}


def _fingerprint(parts) -> str:
    """Of all pictures and classes."""
    digest = hashlib.sha256()
    for samples in parts:
        for source, label in zip(samples.sources, samples.labels, strict=True):
            digest.update(identity(source) + b"|" + os.fsencode(label) + b"|")
        digest.update(b"|")
    return digest.hexdigest()

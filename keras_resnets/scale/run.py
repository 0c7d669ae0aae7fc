"""A run is a folder that says by itself what is asked and what is done.

``_run/run.json`` is written first, then the list of all pictures, cut into shards, then the model. Each is
one file that is whole or not there, and so is each shard: going on is making what is missing.
"""

import dataclasses
import json
import os
import tarfile
from collections.abc import Collection, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import fs

from ..disk import check_room
from .files import Files
from .worker import MODEL, OK, PICTURES, SCHEMA, shard_name

FORMAT = 1
TOLD = "_run/run.json"
FEW = 5  # pictures that could not be read are named, the others counted


class Summary(NamedTuple):
    """What a finished run holds.

    Attributes:
        folder: Where.
        shards: Files.
        pictures: Rows of all of them.
        unread: Rows without an answer.
        examples: (path, status) of the first few of these.
    """

    folder: str
    shards: int
    pictures: int
    unread: int
    examples: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class Run:
    """A folder for a run, there or to come.

    Attributes:
        folder: An absolute local path, or an address.
    """

    folder: str
    files: Files

    @classmethod
    def at(cls, out: str | os.PathLike) -> "Run":
        """A place that nothing else has taken.

        Raises:
            FileExistsError: There is something else.
            OSError: It cannot be written to.
        """
        files, out = Files(), os.fspath(out)
        # A glob's signs are letters here.
        folder = out.rstrip("/") if "://" in out else os.path.normpath(Path(out).absolute())
        run = cls(folder, files)
        run.check_room(0)
        if (there := files.names(folder)) and "_run" not in there:
            raise FileExistsError(
                f"{out} exists and is not a run of predict ({min(there)} is in it); choose another name"
            )
        return run

    def begin(self, told: dict) -> None:
        """Write down what is asked; or compare it with what was asked when the run began.

        Raises:
            ValueError: It was something else.
        """
        told = json.loads(json.dumps({"format": FORMAT} | told))
        if self._has(TOLD):
            before = json.loads(self.files.read(self._place(TOLD)))
            if other := [name for name in told if name != "versions" and before.get(name) != told[name]]:
                name = other[0]
                raise ValueError(
                    f"{self.folder} holds a run with another {' and '.join(other)}; go on with the same, "
                    f"or choose another folder. Received: {name} {told[name]}; it began with "
                    f"{before.get(name)}"
                )
        else:
            self._write(TOLD, (json.dumps(told, indent=2) + "\n").encode())

    def list_pictures(self, places: Sequence[str], suffixes: Collection[str], size: int) -> None:
        """Write down every picture there is: one row group a shard, in which a worker finds its own."""
        if self._has(PICTURES):
            return
        schema = pa.schema({"path": pa.string()})
        with (
            self.files.written_whole(self._place(PICTURES)) as stream,
            pq.ParquetWriter(stream, schema, write_statistics=False) as writer,
        ):
            found = self.files.found(places, suffixes)
            while shard := list(islice(found, size)):
                writer.write_table(pa.table({"path": shard}, schema), row_group_size=size)

    def keep_model(self, export: Path) -> None:
        """Write an exported folder as one file."""
        with (
            self.files.written_whole(self._place(MODEL)) as stream,
            tarfile.open(fileobj=stream, mode="w|") as archive,
        ):
            archive.add(export, ".")

    @property
    def has_model(self) -> bool:
        return self._has(MODEL)

    def counted(self) -> tuple[int, int]:
        """How many shards and how many pictures there are to be."""
        system, path = self.files.at(self._place(PICTURES))
        with system.open_input_file(path) as file:
            listed = pq.read_metadata(file)
        return listed.num_row_groups, listed.num_rows

    def missing(self) -> list[int]:
        """Numbers of the shards that are not there."""
        there = self.files.names(self.folder)
        return [number for number in range(self.counted()[0]) if shard_name(number) not in there]

    def needed(self, top: int, model: int) -> int:
        """Bytes that all of the run takes: more than it was ever seen to.

        Args:
            model: Bytes of it.
        """
        shards, pictures = self.counted()
        return model + 4096 * shards + pictures * (100 + 30 * top)

    def check_room(self, needed: int) -> None:
        """Refuse a disk on which the run would end; a store has room."""
        system, path = self.files.at(self.folder)
        if system.type_name == "local":
            check_room(Path(path), needed, "the answers")

    def summary(self) -> Summary:
        """Look through a finished run, and tidy it.

        Raises:
            OSError: A shard is damaged.
            RuntimeError: There are not as many rows as pictures.
        """
        shards, pictures = self.counted()
        system, path = self.files.at(self.folder)
        table = ds.dataset(
            [f"{path}/{shard_name(number)}" for number in range(shards)],
            schema=SCHEMA,
            format="parquet",
            filesystem=system,
        )
        try:
            rows = table.count_rows()
            unread, examples = 0, []
            for batch in table.to_batches(columns=["path", "status"], filter=pc.field("status") != OK):
                unread += len(batch)
                examples += batch.slice(0, FEW - len(examples)).to_pylist()
        except (OSError, pa.ArrowInvalid) as error:
            raise OSError(f"{error}; remove this file, and the same command makes it anew") from error
        if rows != pictures:
            raise RuntimeError(
                f"{self.folder}: {rows} rows of {pictures} pictures; shards were changed. Remove them, "
                "and the same command makes them anew"
            )
        for folder in (self.folder, self._place("_run")):
            self.files.remove_partial(folder)
        named = tuple((row["path"], row["status"]) for row in examples)
        return Summary(self.folder, shards, pictures, unread, named)

    def _place(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def _has(self, name: str) -> bool:
        return self.files.kind(self._place(name)) is fs.FileType.File

    def _write(self, name: str, data: bytes) -> None:
        with self.files.written_whole(self._place(name)) as stream:
            stream.write(data)

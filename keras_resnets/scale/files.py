"""Local paths and addresses of stores alike: found, read, and written whole or not at all.

Arrow's file systems do all of it. What a store asks for beyond its address (keys, a region, an endpoint) they
take from the environment, as its own tools do. Nothing of this package is imported here: see `worker`.
"""

import contextlib
import glob
import os
import uuid
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath

from pyarrow import fs

PARTIAL = ".partial"


class Files:
    """Opens every file system once.

    An address is an absolute local path, or ``scheme://store/key`` as `pyarrow.fs.FileSystem.from_uri` knows
    schemes (``s3``, ``gs``, ``abfs``, ``hdfs``, ``file``); the key is taken as it is, with nothing quoted.
    """

    def __init__(self):
        self._local, self._stores = fs.LocalFileSystem(), {}

    def at(self, address: str) -> tuple[fs.FileSystem, str]:
        """The file system of an address, and the path there.

        Raises:
            ValueError: A scheme that Arrow does not know.
            OSError: The store cannot be reached.
        """
        scheme, separator, rest = address.partition("://")
        if not separator:
            return self._local, address
        store, _, key = rest.partition("/")
        root = f"{scheme}://{store}/"
        if root not in self._stores:
            self._stores[root] = fs.FileSystem.from_uri(root)
        system, base = self._stores[root]
        return system, f"{base.rstrip('/')}/{key}".rstrip("/")

    def kind(self, address: str) -> fs.FileType:
        system, path = self.at(address)
        return system.get_file_info(path).type

    def names(self, folder: str) -> set[str]:
        """What lies in a folder, by name; of one that is not there, nothing."""
        system, path = self.at(folder)
        found = system.get_file_info(fs.FileSelector(path, allow_not_found=True))
        return {info.base_name for info in found}

    def read(self, address: str) -> bytes:
        system, path = self.at(address)
        with system.open_input_stream(path, compression=None) as stream:
            return stream.readall()

    @contextlib.contextmanager
    def written_whole(self, address: str) -> Iterator:
        """A stream to write, under another name until all is written; two writers never share one."""
        system, path = self.at(address)
        folder, _, name = path.rpartition("/")
        system.create_dir(folder)
        # Readers of a folder of Parquet files pass over names that begin so.
        beside = f"{folder}/_{name}.{uuid.uuid4().hex[:8]}{PARTIAL}"
        try:
            with system.open_output_stream(beside, compression=None) as stream:
                yield stream
            system.move(beside, path)
        except BaseException:
            with contextlib.suppress(OSError):
                system.delete_file(beside)
            raise

    def remove_partial(self, folder: str) -> None:
        """Remove what killed writers left."""
        system, path = self.at(folder)
        for name in self.names(folder):
            if name.endswith(PARTIAL):
                with contextlib.suppress(FileNotFoundError):
                    system.delete_file(f"{path}/{name}")

    def found(self, places: Sequence[str], suffixes: Collection[str]) -> Iterator[str]:
        """Addresses of the files that these places name, each once, in the same order always.

        A folder stands for all files below it with one of the suffixes. Its listing is never held whole:
        there may be hundreds of millions.

        Args:
            places: Local paths and globs, and addresses; see `expanded`.
        """
        named = sorted({each for place in places for each in self.expanded(place)})
        folders = {address for address in named if self.kind(address) is fs.FileType.Directory}
        for address in named:
            if any(parent in folders for parent in _parents(address)):
                continue
            if address in folders:
                yield from self._below(address, suffixes)
            elif self.kind(address) is fs.FileType.File:
                yield address

    def expanded(self, place: str) -> list[str]:
        """A glob as what it matches, maybe nothing; anything else as it is, without a slash at its end.

        Raises:
            ValueError: A glob, or a query, in an address.
        """
        if "://" in place:
            if wrong := [sign for sign in "*?" if sign in place]:
                raise ValueError(
                    f"an address has no {wrong[0]}: give the folder, whose pictures are found, and what the "
                    f"store needs to be reached in its environment variables. Received: {place}"
                )
            return [place.rstrip("/")]
        place = os.path.normpath(Path(place).absolute())  # links stay: these are the names that are answered
        if glob.has_magic(place) and not Path(place).exists():
            # Not `glob.glob`, whose ** follows links to folders above.
            root = Path(place).anchor
            return [str(path) for path in Path(root).glob(place.removeprefix(root))]
        return [place]

    def _below(self, folder: str, suffixes: Collection[str]) -> Iterator[str]:
        system, path = self.at(folder)
        local = system.type_name == "local"
        for info in sorted(system.get_file_info(fs.FileSelector(path)), key=lambda info: info.path):
            address = f"{folder.rstrip('/')}/{info.base_name}"
            if info.type is fs.FileType.File:
                if PurePosixPath(address).suffix.lower() in suffixes:
                    yield address
            # A link to a folder above would never end.
            elif info.type is fs.FileType.Directory and not (local and Path(info.path).is_symlink()):
                yield from self._below(address, suffixes)


def _parents(address: str) -> Iterator[str]:
    while "/" in address:
        address = address.rpartition("/")[0]
        yield address

"""Whether there is a place to write to, said before any work; and nothing there that is not whole."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


def check_room(folder: Path, needed: int, purpose: str) -> None:
    """Refuse a folder, there or still to be made, that cannot be written to or has too little room.

    Args:
        folder: Where something is to be written.
        needed: Bytes.
        purpose: What they are for.

    Raises:
        NotADirectoryError, PermissionError: Nothing can be written there.
        OSError: Too little room.
    """
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"{there} is a file; choose a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"{there} cannot be written to; choose another folder")
    free = shutil.disk_usage(there).free
    if free < needed:
        raise OSError(
            f"{there} has {free / 1e6:,.0f} MB free, and {needed / 1e6:,.0f} are needed for {purpose}; "
            "make room, or write elsewhere"
        )


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def is_full(error: BaseException) -> bool:
    """Whether a disk, a quota or a limit of the process is what an error is of."""
    return isinstance(error, OSError) and error.errno in _FULL


def try_size(path: Path, size: int) -> None:
    """Let a file grow to so many bytes for once, on systems that can do that.

    Raises:
        OSError: The disk is full, or a quota or a limit of the process is less.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if is_full(error):  # others are of file systems that do not know it
            raise
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Where to write a file or a folder that is to be at ``path``: beside it. It gets its name when the block
    ends, and is gone when the block fails; only a kill leaves a folder that begins with its name."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=path.name) as temporary:
        beside = Path(temporary) / path.name
        yield beside
        beside.replace(path)

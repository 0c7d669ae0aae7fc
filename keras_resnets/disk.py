"""Whether there is a place to write to, said before any work."""

import os
import shutil
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

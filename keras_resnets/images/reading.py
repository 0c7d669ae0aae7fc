"""Files to pixels. What cannot be read is said in one line and never stops its neighbours."""

import contextlib
import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
SUFFIXES = (".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".webp", ".bmp", ".gif")
MAX_PIXELS = 100_000_000  # 10,000 x 10,000: beyond any camera, within a laptop's memory


class ImageError(ValueError):
    """A picture that cannot be read; the message names it and says why."""


def read_image(
    source: str | os.PathLike | bytes | np.ndarray | Image.Image, name: str | None = None
) -> np.ndarray:
    """Decode one picture.

    Args:
        source: A path, the bytes of a file, an image of Pillow, or pixels as they are returned (floats in
            0..255, too, as Keras' datasets have them). The first frame of an animation is taken;
            transparency is dropped; an EXIF rotation is not followed, as it is not inside an exported model.
        name: What errors call it; the path when None.

    Returns:
        uint8, (H, W, 3), RGB.

    Raises:
        ImageError: Missing, empty, not a picture, of another format, cut short or too large.

    Example:

    >>> import io
    >>> from PIL import Image
    >>> file = io.BytesIO()
    >>> Image.new("RGB", (4, 3), "red").save(file, "PNG")
    >>> read_image(file.getvalue()).shape
    (3, 4, 3)
    """
    if isinstance(source, Image.Image):
        return _rgb(source)
    if isinstance(source, np.ndarray):
        return _pixels(source)
    name = name or (os.fspath(source) if not isinstance(source, bytes) else "these bytes")
    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file") from None
    except OSError as error:
        raise ImageError(f"{name}: {error.strerror or error}") from error
    if not data:
        raise ImageError(f"{name}: the file is empty")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ImageError(f"{name}: {width} x {height} pixels; at most {MAX_PIXELS:,} are read")
            return _rgb(image)
    except UnidentifiedImageError:
        raise ImageError(f"{name}: not a picture ({', '.join(FORMATS)} are read)") from None
    except Image.DecompressionBombError:
        raise ImageError(f"{name}: too many pixels; at most {MAX_PIXELS:,} are read") from None
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{name}: damaged picture ({error})") from error


def identity(source: str | os.PathLike | bytes | np.ndarray | Image.Image, dated: bool = False) -> bytes:
    """What tells a picture from others without decoding it: of a file its path, its size and, where that is
    asked for, its date; of anything else the values."""
    if isinstance(source, (str, os.PathLike)):
        told = os.fsencode(Path(source).absolute())
        with contextlib.suppress(OSError):  # said when it is read
            status = Path(source).stat()
            told += b" %d %d" % (status.st_size, status.st_mtime_ns * dated)
        return told
    values = source if isinstance(source, bytes) else np.ascontiguousarray(source)
    shape = "" if isinstance(source, bytes) else f"{values.shape} {values.dtype}"
    return f"{shape} {hashlib.sha256(values).hexdigest()}".encode()


def _pixels(array: np.ndarray) -> np.ndarray:
    """An array as it is, or a float one in whole numbers."""
    fits = array.ndim == 3 and array.shape[2] == 3 and array.size
    if fits and array.dtype == np.uint8:
        return array
    # One with nothing above 1 is likely to have been divided by 255.
    if fits and array.dtype.kind == "f" and array.min() >= 0 and 1 < array.max() <= 255:
        return np.rint(array).astype("uint8")
    raise ImageError(
        "an array must be uint8 (H, W, 3), or float with values in 0..255. "
        f"Received: {array.dtype} {array.shape}"
        + (f", values in {array.min():g}..{array.max():g}" if fits else "")
    )


def _rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I;16") or image.mode == "I":
        grey = np.asarray(image.convert("I"), dtype="uint32") >> 8  # Pillow would clip, not scale
        return np.repeat(grey.astype("uint8")[..., None], 3, axis=-1)
    return np.asarray(image.convert("RGB"))


def find_images(paths: Iterable[str | os.PathLike]) -> Iterator[Path]:
    """The pictures that these paths name: a folder stands for all below it, in sorted order.

    Raises:
        FileNotFoundError: A folder without a picture.
    """
    for path in map(Path, paths):
        if not path.is_dir():
            yield path
            continue
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        if not found:
            raise FileNotFoundError(f"{path}: no picture in this folder ({' '.join(SUFFIXES)})")
        yield from found

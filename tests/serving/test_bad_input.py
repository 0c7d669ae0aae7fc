"""Every odd file on every path: a right answer, or that item's own error; its neighbours are answered."""

import io
import json
import struct
import zlib

import keras
import numpy as np
import pytest
from PIL import Image

from keras_resnets import Bundle, Predictor, create, export, preset_of
from keras_resnets.images.labels import numbered
from keras_resnets.images.preprocessing import fit
from keras_resnets.inspection import network_input

from ..conftest import calm
from .questions import spread

CONTENT = np.random.default_rng(0).integers(0, 255, (40, 48, 3), dtype="uint8")
GREY = CONTENT[..., :1].repeat(3, axis=-1)


def file(format, pixels=CONTENT, mode=None, **options):
    image = Image.fromarray(pixels)
    content = io.BytesIO()
    (image.convert(mode) if mode else image).save(content, format, **options)
    return content.getvalue()


def decoded(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def patched(content, place, fmt, *values):
    return content[:place] + struct.pack(fmt, *values) + content[place + struct.calcsize(fmt) :]


def png(bits, kind, rows, size):
    """A PNG that Pillow does not write."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">2I5B", *size, bits, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def deep(pixels, kind):
    """16 bits a channel: the lower byte is of no account."""
    wide = (pixels.astype("u2") * 256 + 77).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    return png(16, kind, zlib.compress(rows), pixels.shape[1::-1])


def enormous():
    """A real picture of 30,000 x 30,000, 900 million pixels in 110 kilobytes."""
    packing, row = zlib.compressobj(), bytes(1 + 30_000 // 8)
    rows = b"".join(packing.compress(row) for _ in range(30_000)) + packing.flush()
    return png(1, 0, rows, (30_000, 30_000))


def behind_another_chunk(content):
    """Readers pass over it; whoever looks for the size in its place finds one pixel."""
    data = b"abCd" + struct.pack(">2I", 1, 1)
    return content[:8] + struct.pack(">I", 8) + data + struct.pack(">I", zlib.crc32(data)) + content[8:]


def tagged_as_lying_down(pixels):
    exif = Image.Exif()
    exif[0x0112] = 6
    return file("JPEG", pixels, quality=95, exif=exif)


def frames(format, **options):
    others = [Image.fromarray(255 - CONTENT)]
    return file(format, save_all=True, append_images=others, duration=50, **options)


def gif(*, screen=None, frame=None, later=None, transparent=False, **options):
    """A GIF of two frames, of which the sizes are changed to what Pillow would not write."""
    if transparent:
        options["transparency"] = 0
    content = frames("GIF", **options)
    first = content.index(b"\x2c\0\0\0\0")
    second = content.index(b"\x2c\0\0\0\0", first + 1)
    for place, size in ((6, screen), (first + 5, frame), (second + 5, later)):
        if size:
            content = patched(content, place, "<2H", *size)
    return content


JPEG = file("JPEG", quality=95)
CMYK = file("JPEG", mode="CMYK", quality=95)
ALPHA = np.dstack([CONTENT, np.arange(48, dtype="uint8").repeat(40).reshape(48, 40).T])

# What is in the file: the pixels that are to be answered, or None for an error.
FILES = {
    "jpeg": (JPEG, decoded(JPEG)),
    "progressive jpeg": (file("JPEG", quality=95, progressive=True), decoded(JPEG)),
    "grey jpeg": (file("JPEG", GREY, "L", quality=95), decoded(file("JPEG", GREY, "L", quality=95))),
    "jpeg, four inks": (CMYK, decoded(CMYK)),
    "jpeg, rotated by its tag": (tagged_as_lying_down(CONTENT), decoded(JPEG)),
    "png": (file("PNG"), CONTENT),
    "grey png": (file("PNG", GREY, "L"), GREY),
    "grey png, 16 bits": (deep(GREY[..., 0], 0), GREY),
    "png, 16 bits": (deep(CONTENT, 2), CONTENT),
    "png, transparent": (file("PNG", ALPHA), CONTENT),
    "grey png, transparent": (file("PNG", np.dstack([GREY, ALPHA[..., 3]]), "LA"), GREY),
    "png, palette": (file("PNG", mode="P"), decoded(file("PNG", mode="P"))),
    "png, two colours": (file("PNG", mode="1"), decoded(file("PNG", mode="1"))),
    "png, animated": (frames("PNG"), CONTENT),
    "bmp": (file("BMP"), CONTENT),
    "bmp, palette": (file("BMP", mode="P"), decoded(file("BMP", mode="P"))),
    "bmp, two colours": (file("BMP", mode="1"), decoded(file("BMP", mode="1"))),
    "gif": (file("GIF"), decoded(file("GIF"))),
    "gif, animated": (frames("GIF"), decoded(frames("GIF"))),
    "gif, interlaced": (file("GIF", interlace=1), decoded(file("GIF"))),
    "gif with a comment": (file("GIF", comment=b"x" * 700), decoded(file("GIF"))),
    "gif, transparent": (gif(transparent=True), decoded(gif(transparent=True))),
    "gif, a frame within the picture": (gif(screen=(60, 50)), decoded(gif(screen=(60, 50)))),
    "gif, a later frame of 30,000 x 30,000": (gif(later=(30_000, 30_000)), decoded(gif())),
    "webp": (file("WEBP", lossless=True), CONTENT),
    "webp, transparent": (file("WEBP", np.dstack([CONTENT, 128 + ALPHA[..., 3] // 2]), lossless=True), CONTENT),
    "webp, lossy": (file("WEBP", quality=95), decoded(file("WEBP", quality=95))),
    "webp, animated": (frames("WEBP", lossless=True), CONTENT),
    "nothing": (b"", None),
    "two bytes of a jpeg": (JPEG[:2], None),
    "text": (b"this is no picture, but it is longer than the head of any file that there is", None),
    "page of a web server": (b"<!DOCTYPE html><html><head><title>404 Not Found</title></head></html>", None),
    "jpeg, half": (JPEG[: len(JPEG) // 2], None),
    "png, half": (file("PNG")[:1000], None),
    "gif, half": (file("GIF")[:900], None),
    "bmp, half": (file("BMP")[:1000], None),
    "webp, half": (file("WEBP")[:500], None),
    "tiff": (file("TIFF"), None),
    "png, 30,000 x 30,000": (enormous(), None),
    "jpeg that says 30,000 x 30,000": (patched(JPEG, JPEG.index(b"\xff\xc0") + 5, ">2H", 30_000, 30_000), None),
    "gif that says 30,000 x 30,000": (patched(file("GIF"), 6, "<2H", 30_000, 30_000), None),
    "gif whose frame says 30,000 x 30,000": (gif(frame=(30_000, 30_000)), None),
    "gif without a frame": (file("GIF")[:13] + b";", None),
    "bmp that says 30,000 x 30,000": (patched(file("BMP"), 18, "<2i", 30_000, 30_000), None),
    "bmp that says 30,000 x -30,000": (patched(file("BMP"), 18, "<2i", 30_000, -30_000), None),
    "webp that says 16,383 x 16,383": (patched(file("WEBP"), 26, "<2H", 16_383, 16_383), None),
    "png behind another chunk": (behind_another_chunk(file("PNG")), CONTENT),
    "png of no width": (patched(file("PNG"), 16, ">2I", 0, 40), None),
}  # fmt: skip


# What an export leaves unanswered: TensorFlow decodes these wrongly, or in ways that are not safe.
NOT_SERVED = {
    "bmp, palette",
    "bmp, two colours",
    "gif, a frame within the picture",
    "gif, transparent",
    "png behind another chunk",
    "webp, animated",
    "webp, transparent",
}


@pytest.fixture(scope="module")
def bundle():
    """A network whose answers are neither alike nor sure."""
    model = calm(create("resnet20", weights=None, classes=3, classifier_activation=None, seed=0))
    there = [fit(pixels, preset_of(model)) for _, pixels in FILES.values() if pixels is not None]
    spread(model, network_input(model, np.stack(there), preset_of(model)))
    return Bundle(model, preset_of(model), numbered(["ant", "bee", "cat"]))


@pytest.fixture(scope="module")
def right(bundle):
    """The answers to the pixels themselves, in the order of the table; None where there is to be none."""
    there = [pixels for _, pixels in FILES.values() if pixels is not None]
    [(_, rows)] = Predictor(bundle, batch_size=64).scores(there)
    assert np.ptp(rows, axis=0).max() > 0.05  # they do depend on what is seen
    rows = iter(rows)
    return [None if pixels is None else next(rows) for _, pixels in FILES.values()]


def test_the_predictor(bundle, right):
    [(batch, rows)] = Predictor(bundle, batch_size=64).scores([content for content, _ in FILES.values()])
    rows = iter(rows)
    for name, error, expected in zip(FILES, batch.errors, right, strict=True):
        assert (error is None) == (expected is not None), (name, error)
        if error is None:
            np.testing.assert_allclose(next(rows), expected, atol=1e-5, err_msg=name)
        else:
            assert len(error) < 200 and "\n" not in error


def test_the_command_line(bundle, right, run, tmp_path):
    folder, pictures = bundle.save(tmp_path / "bundle"), tmp_path / "pictures"
    pictures.mkdir()
    for number, (content, _) in enumerate(FILES.values()):
        (pictures / f"{number:02d}.jpg").write_bytes(content)
    status, _, said = run(
        "predict", pictures, "--bundle", folder, "--out", tmp_path / "answers.json", "--top", 3
    )
    assert status == 2
    answers = json.loads((tmp_path / "answers.json").read_text())
    for name, answer, expected in zip(FILES, answers, right, strict=True):
        assert (answer["error"] is None) == (expected is not None), (name, answer)
        if expected is None:
            assert answer["top"] == [] and answer["source"] in said
        else:
            scores = {int(row["class_id"]): row["score"] for row in answer["top"]}
            np.testing.assert_allclose([scores[i] for i in range(3)], expected, atol=1e-5, err_msg=name)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="SavedModel is TensorFlow's own")
def test_the_saved_model(bundle, right, tmp_path):
    import tensorflow as tf

    served = tf.saved_model.load(str(export(bundle, tmp_path / "served")))
    answer = served.signatures["image_bytes"](
        image_bytes=tf.constant([content for content, _ in FILES.values()])
    )
    features = served.signatures["features"](
        image_bytes=tf.constant([content for content, _ in FILES.values()])
    )
    for name, valid, row, feature, expected in zip(
        FILES,
        answer["valid"].numpy(),
        answer["probabilities"].numpy(),
        features["features"].numpy(),
        right,
        strict=True,
    ):
        assert valid == (expected is not None and name not in NOT_SERVED), name
        assert feature.any() == valid
        np.testing.assert_allclose(row, expected if valid else np.zeros(3), atol=1e-4, err_msg=name)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="SavedModel is TensorFlow's own")
def test_an_empty_batch_and_empty_pictures(bundle, tmp_path):
    import tensorflow as tf

    ask = tf.saved_model.load(str(export(bundle, tmp_path / "served"))).signatures
    assert ask["image_bytes"](image_bytes=tf.constant([], tf.string))["probabilities"].shape == (0, 3)
    assert ask["features"](image_bytes=tf.constant([], tf.string))["features"].shape == (0, 64)
    assert ask["serving_default"](images=tf.zeros((0, 9, 9, 3), tf.uint8))["scores"].shape == (0, 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match="pictures need pixels"):
        ask["serving_default"](images=tf.zeros((2, 0, 9, 3), tf.uint8))
    with pytest.raises(tf.errors.InvalidArgumentError, match="sides have at most 20,000 pixels"):
        ask["serving_default"](images=tf.zeros((1, 400_000, 1, 3), tf.uint8))

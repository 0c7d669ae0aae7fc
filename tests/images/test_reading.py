import io

import numpy as np
import pytest
from PIL import Image

from keras_resnets.images import reading
from keras_resnets.images.reading import ImageError, find_images, read_image

from ..conftest import write_picture


def encoded(mode, format, size=(20, 10), **options):
    file = io.BytesIO()
    Image.new(mode, size, "red" if mode not in ("I", "I;16", "L", "1") else 100).save(file, format, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("mode", "format"),
    [
        ("RGB", "JPEG"), ("L", "JPEG"), ("CMYK", "JPEG"), ("RGB", "PNG"), ("RGBA", "PNG"), ("LA", "PNG"),
        ("P", "PNG"), ("1", "PNG"), ("I;16", "PNG"), ("RGB", "WEBP"), ("RGBA", "WEBP"), ("RGB", "BMP"), ("P", "GIF"),
    ],
)  # fmt: skip
def test_every_kind_becomes_rgb(mode, format):
    pixels = read_image(encoded(mode, format))
    assert pixels.shape == (10, 20, 3) and pixels.dtype == np.uint8


def test_sixteen_bits_are_scaled_not_clipped():
    file = io.BytesIO()
    Image.fromarray(np.array([[0, 255, 256, 65535]], "uint16")).save(file, "PNG")
    assert read_image(file.getvalue())[0, :, 0].tolist() == [0, 0, 1, 255]


def test_the_first_frame_of_an_animation_is_taken():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    assert read_image(file.getvalue())[0, 0].tolist() == [255, 0, 0]


def test_what_cannot_be_read_is_named(tmp_path, monkeypatch):
    whole = write_picture(tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "page.tiff").write_bytes(encoded("RGB", "TIFF"))
    expected = {
        "cut.jpg": "damaged picture",
        "text.jpg": "not a picture",
        "empty.jpg": "the file is empty",
        "page.tiff": "not a picture",
        "gone.jpg": "no such file",
        "": "directory",
    }
    for name, reason in expected.items():
        with pytest.raises(ImageError, match=reason) as failure:
            read_image(tmp_path / name)
        assert str(tmp_path / name) in str(failure.value) and "\n" not in str(failure.value)
    monkeypatch.setattr(reading, "MAX_PIXELS", 100)
    with pytest.raises(ImageError, match="48 x 40 pixels; at most 100 are read"):
        read_image(tmp_path / "whole.jpg")
    with pytest.raises(ImageError, match="these bytes: not a picture"):
        read_image(b"junk")


def test_folders_stand_for_their_pictures(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("2.png", "1.JPG", "b/3.jpeg", "b/4.jfif"):
        write_picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("")
    found = list(find_images([tmp_path, "other.xyz"]))
    assert [str(p) for p in found] == [
        *(str(tmp_path / n) for n in ("1.JPG", "2.png", "b/3.jpeg", "b/4.jfif")),
        "other.xyz",
    ]
    (tmp_path / "c").mkdir()
    with pytest.raises(FileNotFoundError, match="no picture in this folder"):
        list(find_images([tmp_path / "c"]))

"""`images.reading` inside a graph: the bytes of one file to pixels. Whatever cannot be read fails."""

import tensorflow as tf

from ..images.reading import MAX_PIXELS
from .gif import first_frame


def pixels(data):
    """uint8 (H, W, 3), RGB, of a scalar string.

    JPEG by its own op: the general one's faster transform is not exact, Pillow's is. The general one is
    always asked for three channels: it refuses WebP with transparency or animation then, and left to choose
    it writes beyond its memory (TensorFlow 2.21). Of a GIF it gets the first frame alone. TensorFlow 2.18
    reads no WebP at all.
    """
    few = tf.debugging.Assert(_area(data) <= MAX_PIXELS, [f"more than {MAX_PIXELS:,} pixels"])
    with tf.control_dependencies([few]):  # before decoding: a few bytes can ask for gigabytes
        data = tf.identity(data)
    data = tf.cond(tf.strings.substr(data, 0, 4) == b"GIF8", lambda: first_frame(data), lambda: data)
    return tf.cond(
        tf.io.is_jpeg(data),
        lambda: tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(data, channels=3, expand_animations=False),
    )


def _area(data):
    """Height times width, as the head of the file says."""

    def has(place: int, magic: bytes):
        return tf.strings.substr(data, place, len(magic)) == magic

    def number(place: int, dtype=tf.int32, lowest_first: bool = True):
        content = tf.strings.substr(data, place, dtype.size)
        return tf.cast(tf.io.decode_raw(content, dtype, little_endian=lowest_first)[0], tf.int64)

    def jpeg():
        return tf.reduce_prod(tf.io.extract_jpeg_shape(data, tf.int64)[:2])

    def png():
        return number(16, lowest_first=False) * number(20, lowest_first=False)

    def gif():
        return number(6, tf.uint16) * number(8, tf.uint16)

    def bmp():
        # TensorFlow takes the numbers of a palette's colours for grey.
        colours = tf.debugging.Assert(number(28, tf.uint16) >= 24, ["a palette"])
        with tf.control_dependencies([colours]):
            return abs(number(18) * number(22))  # the height is below zero where rows go down

    def webp():
        return (number(26, tf.uint16) % 2**14) * (number(28, tf.uint16) % 2**14)

    def webp_lossless():
        both = number(21)
        return (both % 2**14 + 1) * (both // 2**14 % 2**14 + 1)

    def webp_extended():
        return (number(24) % 2**24 + 1) * (number(27) % 2**24 + 1)

    heads = {
        (b"\xff\xd8\xff", b""): jpeg,
        (b"\x89PNG", b"IHDR"): png,  # PNG readers pass over others before it
        (b"GIF8", b""): gif,
        (b"BM", b""): bmp,
        (b"RIFF", b"VP8 "): webp,
        (b"RIFF", b"VP8L"): webp_lossless,
        (b"RIFF", b"VP8X"): webp_extended,
    }
    cases = [(has(0, first) & has(12, second), area) for (first, second), area in heads.items()]
    return tf.case(cases, exclusive=True)

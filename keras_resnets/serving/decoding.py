"""`images.reading` inside a graph: the bytes of one file to pixels. Whatever cannot be read fails."""

import tensorflow as tf

from ..images.reading import MAX_PIXELS


def pixels(data):
    """uint8 (H, W, 3), RGB, of a scalar string.

    JPEG by its own op: the general one's faster transform is not exact, Pillow's is.
    """
    few = tf.debugging.Assert(_area(data) <= MAX_PIXELS, [f"more than {MAX_PIXELS:,} pixels"])
    with tf.control_dependencies([few]):  # before decoding: a few bytes can ask for gigabytes
        data = tf.identity(data)
    return tf.cond(
        tf.io.is_jpeg(data),
        lambda: tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(data, channels=3, expand_animations=False),
    )


def _area(data):
    """Height times width, as the head of the file says."""

    def has(place: int, magic: bytes):
        return tf.strings.substr(data, place, len(magic)) == magic

    def number(place: int, dtype=tf.int32, bits: int = 31, lowest_first: bool = True):
        content = tf.strings.substr(data, place, dtype.size)
        [value] = tf.unstack(tf.io.decode_raw(content, dtype, little_endian=lowest_first), 1)
        return tf.bitwise.bitwise_and(tf.abs(tf.cast(value, tf.int64)), 2**bits - 1)

    def lossless_webp():
        both = number(21)
        return (both % 2**14 + 1) * (both // 2**14 % 2**14 + 1)

    return tf.case(
        [
            (has(0, b"\xff\xd8"), lambda: tf.reduce_prod(tf.io.extract_jpeg_shape(data, tf.int64)[:2])),
            (has(0, b"\x89PNG"), lambda: number(16, lowest_first=False) * number(20, lowest_first=False)),
            (has(0, b"GIF8"), lambda: number(6, tf.uint16) * number(8, tf.uint16)),
            (has(0, b"BM"), lambda: number(18) * number(22)),  # the height is below zero from top to bottom
            (has(12, b"VP8 "), lambda: number(26, tf.uint16, 14) * number(28, tf.uint16, 14)),
            (has(12, b"VP8L"), lossless_webp),
            (has(12, b"VP8X"), lambda: (number(24, bits=24) + 1) * (number(27, bits=24) + 1)),
        ],
        exclusive=True,
    )

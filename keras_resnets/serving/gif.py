"""The first frame of a GIF inside a graph.

TensorFlow's decoder unpacks every frame before it returns one, each as large as it says of itself, fills
nothing in around a small one and does not heed transparency: a file is cut and checked before it gets there.
"""

import tensorflow as tf

_HEAD, _TABLE = 13, 10  # where the first block begins, and the flags of the table of colours before it
_EXTENSION, _FRAME, _CONTROL = 0x21, 0x2C, 0xF9


def first_frame(data):
    """A scalar string, cut off after the first frame; it fails where that is transparent or does not fill
    the picture.

    Source: CompuServe, Graphics Interchange Format, version 89a, sections 18 to 23.
    """
    codes = tf.io.decode_raw(data, tf.uint8)

    def code(place):
        return tf.cast(codes[place], tf.int32)

    def colours(place):
        """How long the table is that the flags at this place speak of."""
        flags = code(place)
        return tf.where(flags >= 0x80, 3 * tf.bitwise.left_shift(2, flags % 8), 0)

    def behind(place):
        """The end of a chain of blocks: each says how long it is, the last is empty."""
        return tf.while_loop(lambda at: code(at) > 0, lambda at: at + code(at) + 1, [place])[0] + 1

    def pass_over(at, transparent):
        flag = tf.logical_and(code(at + 1) == _CONTROL, code(at + 3) % 2 == 1)
        return behind(at + 2), tf.logical_or(transparent, flag)

    start, transparent = tf.while_loop(
        lambda at, _: code(at) == _EXTENSION, pass_over, [_HEAD + colours(_TABLE), False]
    )
    whole = tf.strings.substr(data, start + 1, 8) == b"\0\0\0\0" + tf.strings.substr(data, 6, 4)
    sound = tf.reduce_all([code(start) == _FRAME, whole, tf.logical_not(transparent)])
    with tf.control_dependencies([tf.debugging.Assert(sound, ["a frame that does not fill the picture"])]):
        end = behind(start + 11 + colours(start + 9))
    return tf.strings.substr(data, 0, end) + b";"

"""`images.preprocessing.fit` inside a graph, for a batch of pictures of one size: twice.

TensorFlow's own op is the faster, the more so the larger a picture is. Other programs that read a SavedModel
do not have it, and get two products of matrices.
"""

import tensorflow as tf

from ..images.preprocessing import before_crop, resized
from ..images.presets import Preset
from .served import LONGEST

Size = tuple[int, int]
_KERNELS = {"bilinear": "triangle", "bicubic": "keyscubic"}  # the same curves as Pillow's


def fit(images, preset: Preset, size: Size):
    """uint8 (N, H, W, 3) to float32 (N, height, width, 3)."""
    old, new, corner = _geometry(images, preset, size)
    # The op under tf.image.resize, which can begin at the crop: only what is kept is computed.
    return tf.raw_ops.ScaleAndTranslate(
        images=images,
        size=size,
        scale=tf.cast(new / old, tf.float32),
        translation=-tf.cast(corner, tf.float32),
        kernel_type=_KERNELS[preset.interpolation],
        antialias=True,
    )


def fit_plainly(images, preset: Preset, size: Size):
    """The same of multiplications alone, for sides of up to `LONGEST`."""
    old, new, corner = _geometry(images, preset, size)
    short = tf.debugging.Assert(tf.reduce_max(old) <= LONGEST, [f"sides have at most {LONGEST:,} pixels"])
    with tf.control_dependencies([short]):
        old = tf.identity(old)
    down, across = (
        _shares(old[axis], new[axis], corner[axis], size[axis], preset.interpolation) for axis in (0, 1)
    )
    return tf.einsum("yh,nhwc,xw->nyxc", down, tf.cast(images, tf.float32), across)


def _geometry(images, preset: Preset, size: Size):
    """Sizes before and after, and the corner of the crop: (down, across) each."""
    old = tf.shape(images, tf.int64)[1:3]  # 32 bits overflow where a picture is a line
    something = tf.debugging.Assert(tf.reduce_prod(old) > 0, ["pictures need pixels, not", tf.shape(images)])
    with tf.control_dependencies([something]):
        old = tf.identity(old)
    least = tf.constant(before_crop(*size, preset), tf.int64)
    new = tf.stack(resized(*tf.unstack(old), *tf.unstack(least), maximum=tf.maximum))
    return old, new, (new - size) // 2


def _shares(old, new, corner, count: int, interpolation: str):
    """What each pixel of a row adds to each of the new ones: (count, old)."""
    step = tf.cast(old, tf.float64) / tf.cast(new, tf.float64)
    middles = (tf.cast(corner + tf.range(count, dtype=tf.int64), tf.float64) + 0.5) * step
    places = tf.cast(tf.range(old), tf.float64) + 0.5
    # Antialiasing: the curve is as wide as the step between two new pixels.
    distances = tf.abs(places - middles[:, None]) / tf.maximum(step, 1.0)
    shares = _CURVES[interpolation](distances)
    return tf.cast(shares / tf.reduce_sum(shares, axis=1, keepdims=True), tf.float32)


def _triangle(x):
    return tf.nn.relu(1.0 - x)


def _cubic(x):
    """Keys, Cubic convolution interpolation for digital image processing, 1981, with a = -1/2."""
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return tf.where(x < 1.0, near, tf.where(x < 2.0, far, 0.0))


_CURVES = {"bilinear": _triangle, "bicubic": _cubic}

"""What Keras does slowly, or wrongly: grouped convolution on TensorFlow, and a bias in channels_first.

Keras compiles every grouped convolution with XLA on TensorFlow, which has no fast gradient for it
on the CPU and leaves an op in a SavedModel that TensorFlow Serving refuses by default; the layer here
calls TensorFlow's own convolution. And in channels_first Keras 3.15.1 adds a bias along the width where
a map is as wide as it has channels, because ``ops.add`` guesses the layout from the shape. The layer is
a Keras ``Conv2D`` in every other respect: the same configuration, the same weights, written to a
``.keras`` file as the stock layer.
"""

import contextlib
import contextvars
import functools

import keras
import numpy as np


def _on_tensorflow_cpu() -> bool:
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


@functools.cache
def _native_gradient_works(dtype) -> bool:
    """Whether TensorFlow can differentiate its grouped convolution here: on CPUs only oneDNN's can be,
    which not every processor has for every dtype."""
    import tensorflow as tf

    # Asked once, outside of any graph being traced, because the answer depends on build and settings.
    with tf.init_scope():
        image, kernel = tf.ones((1, 3, 3, 4), dtype), tf.ones((3, 3, 2, 4), dtype)  # two groups
        rest = {"out_backprop": image, "strides": [1, 1, 1, 1], "padding": "SAME"}
        try:
            tf.raw_ops.Conv2DBackpropInput(input_sizes=image.shape, filter=kernel, **rest)
            tf.raw_ops.Conv2DBackpropFilter(input=image, filter_sizes=kernel.shape, **rest)
        except (tf.errors.UnimplementedError, tf.errors.InvalidArgumentError):
            return False
    return True


_undrawn = contextvars.ContextVar("undrawn", default=False)


@contextlib.contextmanager
def undrawn_kernels():
    """Convolutions built here begin with zeros: their weights come from a file."""
    token = _undrawn.set(True)
    try:
        yield
    finally:
        _undrawn.reset(token)


class Conv2D(keras.layers.Conv2D):
    """``keras.layers.Conv2D`` whose groups run in TensorFlow's own kernel, and whose bias is a channel's."""

    # Whether a batch norm, and nothing else, reads what comes out; `accelerate` knows.
    before_norm = False

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        # XLA loses to oneDNN on CPUs; GPUs and the other backends keep their compilers.
        self.supports_jit = not _on_tensorflow_cpu()

    def add_weight(self, *args, **kwargs):
        return super().add_weight(*args, **kwargs | ({"initializer": "zeros"} if _undrawn.get() else {}))

    def call(self, inputs):
        if not self.use_bias or keras.backend.backend() != "tensorflow":
            return super().call(inputs)
        import tensorflow as tf

        before = self.convolution_op(inputs, self.kernel)
        bias = tf.convert_to_tensor(self.bias)
        if self.groups > 1 and self.data_format == "channels_last":
            # TensorFlow's optimizer fuses BiasAdd with its convolution, and without oneDNN, which TensorFlow
            # Serving switches off by default, the fused kernel has no groups. An addition it leaves there.
            outputs = before + bias
        else:
            outputs = tf.nn.bias_add(before, bias, "NCHW" if self.data_format == "channels_first" else "NHWC")
        if self.activation is not keras.activations.linear:
            return self.activation(outputs)
        if self.before_norm and tf.inside_function():
            outputs._before_bias = before, bias
        return outputs

    def convolution_op(self, inputs, kernel):
        if self.groups == 1 or keras.backend.backend() != "tensorflow":
            return super().convolution_op(inputs, kernel)
        import tensorflow as tf

        first = self.data_format == "channels_first"

        def convolve(image, kernel):
            return tf.nn.conv2d(
                image,
                kernel,
                strides=self.strides,
                padding=self.padding.upper(),
                data_format="NCHW" if first else "NHWC",
                dilations=self.dilation_rate,
            )

        inputs, kernel = tf.convert_to_tensor(inputs), tf.convert_to_tensor(kernel)
        if _native_gradient_works(inputs.dtype):
            return convolve(inputs, kernel)
        axis = 1 if first else -1
        images = tf.split(inputs, self.groups, axis=axis)
        kernels = tf.split(kernel, self.groups, axis=-1)
        return tf.concat([convolve(*pair) for pair in zip(images, kernels, strict=True)], axis=axis)


def _zero(bias):
    """Zeros whose gradient is zero: without one, Keras would warn that the bias is forgotten."""
    import tensorflow as tf

    return tf.custom_gradient(lambda bias: (tf.zeros_like(bias), tf.zeros_like))(bias)


class BatchNormalization(keras.layers.BatchNormalization):
    """``keras.layers.BatchNormalization`` in TensorFlow's fused kernel, in training and inference.

    Where that kernel does not do what was asked for (``synchronized``, ``renorm``, a mask, float64, another
    axis than the channels of pictures) and on the other backends it is Keras' own.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.supports_jit = not _on_tensorflow_cpu()

    def call(self, inputs, training=None, mask=None):
        if mask is not None or not self._can_be_fused(inputs):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        learning = bool(training and self.trainable)
        inputs, bias = getattr(inputs, "_before_bias", (inputs, None)) if learning else (inputs, None)
        inputs, offset = tf.convert_to_tensor(inputs), self._parameter(self.beta, 0.0)
        if bias is not None:
            # Subtracting the batch's mean cancels a bias: it need not be added, and its gradient is zero. It
            # moves the mean alone.
            offset = offset + _zero(tf.cast(bias, tf.float32))
        # The operation itself: TensorFlow's function around it raises every epsilon below 1.001e-5.
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self._parameter(self.gamma, 1.0),
            offset=offset,
            mean=tf.zeros(0) if learning else self._parameter(self.moving_mean),
            variance=tf.zeros(0) if learning else self._parameter(self.moving_variance),
            epsilon=self.epsilon,
            data_format="NCHW" if self.axis == 1 else "NHWC",
            is_training=learning,
        )
        if learning:
            # The kernel divides by n - 1 for the variance of a sample; Keras keeps the batch's own.
            channels = self.moving_mean.shape[0]
            count = tf.cast(tf.size(inputs, tf.int64) // channels, tf.float32)
            self._move(self.moving_mean, mean if bias is None else mean + tf.cast(bias, tf.float32))
            self._move(self.moving_variance, variance * tf.maximum(count - 1.0, 1.0) / count)
        return outputs

    def _can_be_fused(self, inputs) -> bool:
        return (
            keras.backend.backend() == "tensorflow"
            and not self.synchronized
            and not self.renorm
            and len(inputs.shape) == 4
            and self.axis in (1, 3, -1)
            and self.compute_dtype in ("float32", "bfloat16", "float16")
            and keras.backend.standardize_dtype(inputs.dtype) == self.compute_dtype
        )

    def _parameter(self, variable, otherwise=None):
        """A variable in the kernel's dtype, or without one the value for every channel."""
        import tensorflow as tf

        if variable is None:
            return tf.fill(self.moving_mean.shape, otherwise)
        return tf.cast(variable.value, tf.float32)

    def _move(self, average, new):
        # In float32: to bfloat16 a momentum of 0.997 is 1.
        average.assign(keras.ops.cast(average, "float32") * self.momentum + new * (1.0 - self.momentum))


@keras.saving.register_keras_serializable("keras_resnets")
class StandardizedConv2D(Conv2D):
    """A convolution whose kernel is brought to zero mean and unit variance, an output channel each.

    Source: Qiao et al., Weight Standardization, arXiv:1903.10520, equation 5. Keras has no such layer, so a
    ``.keras`` file with one opens only where this package is imported.
    """

    variance_epsilon = 1e-8  # as in timm

    def convolution_op(self, inputs, kernel):
        # At least in float32: half precision is too coarse for statistics.
        kernel = keras.ops.cast(kernel, keras.backend.result_type(kernel.dtype, "float32"))
        mean, variance = keras.ops.moments(kernel, axes=(0, 1, 2), keepdims=True)
        kernel = (kernel - mean) * keras.ops.rsqrt(variance + self.variance_epsilon)
        return super().convolution_op(inputs, keras.ops.cast(kernel, inputs.dtype))


def standardized(kernel: np.ndarray) -> np.ndarray:
    """A kernel as `StandardizedConv2D` computes with it."""
    axes = (0, 1, 2)
    return (kernel - kernel.mean(axes)) / np.sqrt(kernel.var(axes) + StandardizedConv2D.variance_epsilon)


# Keras files a class under its module and name: so placed, the layer is saved as the stock one and
# the file opens where this package is not installed.
Conv2D.__module__ = BatchNormalization.__module__ = "keras.layers"

_OURS = {keras.layers.Conv2D: Conv2D, keras.layers.BatchNormalization: BatchNormalization}


def ours(layer: keras.layers.Layer) -> type:
    """The class that does here what a layer's own does."""
    return _OURS.get(type(layer), type(layer))

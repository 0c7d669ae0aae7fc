"""TensorFlow's graph of a network, from which every engine starts."""

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2


def traced(network: keras.Model, shape: tuple[int | None, ...]):
    """A function of float32 images of one shape, to float32."""

    @tf.function(
        input_signature=[tf.TensorSpec(shape, tf.float32, name="images")], jit_compile=False, autograph=False
    )
    def run(images):
        return tf.cast(network(images, training=False), tf.float32)

    return run


def frozen(network: keras.Model, shape: tuple[int | None, ...]):
    """The same with its weights as constants: they can be brought once into the order that the processor
    wants, variables are at every call."""
    return convert_variables_to_constants_v2(traced(network, shape).get_concrete_function())

"""TensorFlow's graph of a network, from which every engine starts."""

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2


def traced(network: keras.Model, shape: tuple[int | None, ...]):
    """A function of images of one shape, to float32."""
    images = tf.TensorSpec(shape, network.input.dtype, name="images")

    @tf.function(input_signature=[images], jit_compile=False, autograph=False)
    def run(images):
        return {network.output_names[0]: tf.cast(network(images, training=False), tf.float32)}

    return run


def frozen(network: keras.Model, shape: tuple[int | None, ...]):
    """The same with its weights as constants: they can be brought once into the order that the processor
    wants, variables are at every call."""
    return convert_variables_to_constants_v2(traced(network, shape).get_concrete_function())

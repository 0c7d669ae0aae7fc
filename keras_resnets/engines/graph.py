"""TensorFlow's graph of a network, from which every engine starts."""

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2


def frozen(network: keras.Model, shape: tuple[int | None, ...]):
    """A function of float32 images of one shape in which the weights are constants.

    Constants can be brought once into the order that the processor wants; variables are at every call.
    """

    @tf.function(
        input_signature=[tf.TensorSpec(shape, tf.float32, name="images")], jit_compile=False, autograph=False
    )
    def run(images):
        return tf.cast(network(images, training=False), tf.float32)

    return convert_variables_to_constants_v2(run.get_concrete_function())

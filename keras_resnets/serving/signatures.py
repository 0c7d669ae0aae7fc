"""What a SavedModel answers: decoding, resizing and labels are inside the graph.

TensorFlow only. Every step has its twin in `images`, and gives the same numbers. No op is newer than
TensorFlow 2.18.
"""

import keras
import tensorflow as tf

from ..images.preprocessing import normalise
from ..inspection import before_classifier, gives_logits, input_size
from .decoding import pixels
from .fitting import fit, fit_plainly
from .served import Served

TOP = 5


class Signatures(tf.Module):
    """What is saved: the network's variables once, and one function a signature."""

    def __init__(self, served: Served):
        super().__init__()
        model, preset = served.network, served.preset
        self._preset, self._classes = preset, tf.constant(served.classes)
        self._size, self._gives_logits = input_size(model, preset), gives_logits(model)
        # The network is kept inside a function: as an attribute it would be followed, and every weight
        # stored a second time beside these.
        whole = keras.Model(model.input, [before_classifier(model), model.output])
        self._whole = lambda images: whole(normalise(images, preset, "channels_last"), training=False)
        self.weights = [variable.value for variable in model.variables]

    def functions(self) -> dict:
        """By the names under which a client asks for them."""
        images = tf.TensorSpec((None, None, None, 3), tf.uint8, name="images")
        files = tf.TensorSpec((None,), tf.string, name="image_bytes")
        return {
            "serving_default": tf.function(self._serve_images).get_concrete_function(images),
            "image_bytes": tf.function(self._serve_bytes).get_concrete_function(files),
            "features": tf.function(self._serve_features).get_concrete_function(files),
        }

    def _run(self, images):
        """Features and outputs. Of no pictures too, on which TensorFlow's fused convolutions fail: one blank
        is added then."""
        count = tf.shape(images)[0]
        blank = tf.cast(tf.equal(count, 0), tf.int32)
        features, outputs = self._whole(tf.pad(images, [[0, blank], [0, 0], [0, 0], [0, 0]]))
        return features[:count], outputs[:count]

    def _serve_images(self, images):
        return self._answer(self._run(fit_plainly(images, self._preset, self._size))[1])

    def _serve_bytes(self, image_bytes):
        images, valid = self._decode(image_bytes)
        answer = self._answer(self._run(images)[1])
        answer["scores"] *= tf.cast(valid, tf.float32)[:, None]
        answer["probabilities"] *= tf.cast(valid, tf.float32)[:, None]
        return answer | {"valid": valid}

    def _serve_features(self, image_bytes):
        images, valid = self._decode(image_bytes)
        features = tf.cast(self._run(images)[0], tf.float32)
        return {"features": features * tf.cast(valid, tf.float32)[:, None], "valid": valid}

    def _answer(self, outputs) -> dict:
        probabilities = tf.cast(outputs, tf.float32)
        if self._gives_logits:
            probabilities = tf.nn.softmax(probabilities)
        scores, numbers = tf.math.top_k(probabilities, min(TOP, len(self._classes)))
        return {
            "probabilities": probabilities,
            "scores": scores,
            "class_ids": tf.cast(numbers, tf.int64),
            "classes": tf.gather(self._classes, numbers),
        }

    def _decode(self, image_bytes):
        """Files to fitted pictures; one that cannot be decoded becomes a black one with ``valid`` false."""
        blank = tf.zeros((1, *self._size, 3)), tf.constant([False])

        def fitted(data):
            return fit(pixels(data)[None], self._preset, self._size)[0], True

        def decode(data):
            # A data set of one is the only guard around a failing op that survives in a graph.
            one = tf.data.Dataset.from_tensors(data)
            one = one.map(fitted).ignore_errors()
            return one.concatenate(tf.data.Dataset.from_tensor_slices(blank)).take(1).get_single_element()

        spec = (tf.TensorSpec((*self._size, 3), tf.float32), tf.TensorSpec((), tf.bool))
        return tf.map_fn(decode, image_bytes, fn_output_signature=spec)

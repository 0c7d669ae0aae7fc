"""Ask an exported model about pictures, with TensorFlow alone: ``python client.py MODEL/1 PICTURE...``

Prints one JSON object: for each picture whether it could be decoded, and all probabilities.
"""

import json
import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf

folder, *pictures = sys.argv[1:]
model = tf.saved_model.load(folder)
answer = model.signatures["image_bytes"](image_bytes=tf.constant([Path(p).read_bytes() for p in pictures]))
json.dump(
    {
        "keras_resnets imported": "keras_resnets" in sys.modules,
        "valid": answer["valid"].numpy().tolist(),
        "best": [row[0].decode() for row in answer["classes"].numpy()],
        "probabilities": answer["probabilities"].numpy().tolist(),
    },
    sys.stdout,
)

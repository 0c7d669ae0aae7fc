"""Drop-in for ``keras.applications.resnet``: models, `preprocess_input`, `decode_predictions`.

>>> from keras_resnets import resnet
>>> resnet.ResNet50(weights=None).name
'resnet50'
"""

from .images.labels import decode_predictions
from .images.preprocessing import preprocess_input_for
from .images.presets import PRESETS
from .zoo import ResNet50, ResNet101, ResNet152

__all__ = ["ResNet50", "ResNet101", "ResNet152", "decode_predictions", "preprocess_input"]

preprocess_input = preprocess_input_for(PRESETS["caffe"])

"""Drop-in for ``keras.applications.resnet_v2``: models, `preprocess_input`, `decode_predictions`.

>>> from keras_resnets import resnet_v2
>>> resnet_v2.ResNet50V2(weights=None).name
'resnet50v2'
"""

from .images.labels import decode_predictions
from .images.preprocessing import preprocess_input_for
from .images.presets import PRESETS
from .zoo import ResNet50V2, ResNet101V2, ResNet152V2

__all__ = ["ResNet50V2", "ResNet101V2", "ResNet152V2", "decode_predictions", "preprocess_input"]

preprocess_input = preprocess_input_for(PRESETS["tf"])

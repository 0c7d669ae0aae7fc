"""Drop-in for ``keras_applications.resnext``: models, `preprocess_input`, `decode_predictions`.

>>> from keras_resnets import resnext
>>> resnext.ResNeXt50(weights=None).name
'resnext50'
"""

from .images.labels import decode_predictions
from .images.preprocessing import preprocess_input_for
from .images.presets import PRESETS
from .zoo import ResNeXt50, ResNeXt101

__all__ = ["ResNeXt50", "ResNeXt101", "decode_predictions", "preprocess_input"]

preprocess_input = preprocess_input_for(PRESETS["torch"])

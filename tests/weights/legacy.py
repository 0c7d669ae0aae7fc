"""Files as Keras 2 wrote them, made by Keras' own legacy writer."""

import h5py
from keras.src.legacy.saving import legacy_h5_format


def write_legacy(model, path, rename=None):
    """A weights-only ``.h5``; ``rename`` gives layers other names in the file."""
    names = {layer: layer.name for layer in model.layers}
    try:
        for layer in model.layers:
            layer._name = (rename or {}).get(layer.name, layer.name)
            for variable in layer.weights:
                depthwise = type(layer).__name__ == "DepthwiseConv2D"  # whose kernel had a name of its own
                variable._path = f"{layer.name}/{'depthwise_' if depthwise else ''}{variable.name}"
        with h5py.File(path, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, model)
    finally:
        for layer, name in names.items():
            layer._name = name
    return path

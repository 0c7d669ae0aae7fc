"""OpenVINO: the fastest on CPUs, and NNCF's 8-bit integers."""

import nncf
import openvino

from .graph import frozen


def converted(network, shape, precision, calibration) -> openvino.Model:
    """A network in OpenVINO's format; ``shape`` may leave the number of pictures open."""
    model = openvino.convert_model(frozen(network, (None, *shape[1:])).graph)
    model.outputs[0].get_tensor().set_names({network.output_names[0]})
    if precision == "int8":
        nncf.set_log_level(40)
        pictures = nncf.Dataset([picture[None] for picture in calibration])
        model = nncf.quantize(model, pictures, subset_size=len(calibration))
    model.reshape([-1 if side is None else side for side in shape])
    return model


def opened(model, precision: str = "float32"):
    """A model, or the path of its file, as a function of pictures."""
    exact = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}[precision]
    options = {"INFERENCE_PRECISION_HINT": exact, "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.compile_model(model, "CPU", options).create_infer_request()

    def run(images):
        return request.infer([images], share_inputs=True)[0].copy()

    return run


def build(network, shape, precision, calibration):
    return opened(converted(network, shape, precision, calibration), precision)

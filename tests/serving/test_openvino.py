"""OpenVINO reads the folder that is for TensorFlow Serving, as it is."""

import numpy as np
import pytest

from keras_resnets import Predictor, export

from .questions import CLASSES, FILES, PIXELS, TOLERANCE, build


@pytest.mark.parametrize("family", ["Keras", "Keras V2", "legacy ResNeXt", "BiT"])
def test_openvino_reads_the_saved_model(family, tmp_path):
    openvino = pytest.importorskip("openvino")
    bundle = build(family)
    folder = export(bundle, tmp_path / "served")
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.compile_model(openvino.convert_model(folder), "CPU", exact)
    answer = model(np.stack([PIXELS[2], PIXELS[3]]))
    [(_, scores)] = Predictor(bundle).scores([FILES[2], FILES[3]])
    np.testing.assert_allclose(answer["probabilities"], scores, atol=TOLERANCE)
    numbers = np.argsort(-scores, axis=1)
    np.testing.assert_array_equal(answer["class_ids"], numbers)
    assert answer["classes"].tolist() == [[CLASSES[number] for number in row] for row in numbers]

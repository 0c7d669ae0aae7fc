"""Grad-CAM and features, whatever the network."""

import numpy as np
import pytest

from keras_resnets import create, extract_features, extraction, grad_cam
from keras_resnets.architecture.variants import VARIANTS

from .conftest import as_numpy

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("key", VARIANTS)
def test_a_network_explains_itself_and_gives_features(key, chance, monkeypatch):
    # Without an engine, which takes up to a minute to compile one; tests/test_engines.py compares engines.
    monkeypatch.setattr(extraction, "runner", lambda network, *_: lambda images: as_numpy(network(images)))
    size = min(VARIANTS[key].input.size, 64)  # at 32 the last map of most is one place, and its heat constant
    model = create(key, weights=None, input_shape=(size, size, 3), in_channels=3)
    for variable in model.variables:
        if variable.name == "gamma":
            variable.assign(0.3 * variable)  # a thousand untrained blocks would outgrow float32
    noise = chance.integers(0, 256, (80, 90, 3), dtype="uint8")
    half = np.where(np.arange(90)[:, None] < 45, noise, 0).astype("uint8")

    heat = grad_cam(model, half).heat
    assert heat.shape == (size, size) and np.isfinite(heat).all() and heat.min() < heat.max() == 1

    found = extract_features(model, [noise, half])
    assert found.array.shape == (2, model.get_layer("predictions").kernel.shape[0])
    assert np.isfinite(found.array).all()
    assert not np.allclose(*found.array, rtol=1e-3, atol=0)
    for row, source in zip(found.array, found.sources, strict=True):
        assert found.nearest(row)[0][0] == source

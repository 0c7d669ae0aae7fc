"""What all tests share. None of them uses the network; those marked `real` use the real weights."""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def empty_cache(request, monkeypatch, tmp_path):
    """Every test has a cache of its own, so that none downloads or finds what another left."""
    if "real" not in request.keywords:
        monkeypatch.setenv("KERAS_RESNETS_HOME", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def fresh_keras():
    """No test changes Keras' global settings for the next one."""
    layout = keras.config.image_data_format()
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_image_data_format(layout)
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def chance():
    return np.random.default_rng(0)


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command in this process: exit status, standard output, standard error."""

    from keras_resnets.cli import main

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["keras-resnets", *map(str, arguments)])
        try:
            main()
            status = 0
        except SystemExit as stop:
            status = stop.code or 0
        return status, *capsys.readouterr()

    return call


@pytest.fixture
def full_disk():
    """A function that lets no file grow beyond 100 kB, as on a disk that is full, or lets all grow again."""
    if not hasattr(os, "posix_fallocate"):
        pytest.skip("a file's room cannot be asked for here")
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(full):
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]) if full else limits)

    yield fill
    fill(False)


def as_numpy(tensor):
    """A tensor of any backend."""
    return keras.ops.convert_to_numpy(tensor)


def assert_near(got, expected, tolerance=1e-5):
    """Two ways to the same tensor: float32 errs by its largest terms, which a small value is the rest of."""
    got, expected = as_numpy(got), as_numpy(expected)
    np.testing.assert_allclose(
        got, expected, rtol=0, atol=tolerance * np.abs(expected).max(), equal_nan=False
    )


def tiny(preact=False, name="resnet50", classes=4, **options):
    """One narrow block in each of two stages: the behaviour of a network, none of its cost."""
    from keras_resnets import ResNet, stack1, stack2

    stack = stack2 if preact else stack1
    style = {key: options[key] for key in ("data_format", "dtype") if key in options}

    def stack_fn(x):
        x = stack(x, 4, 2, stride1=1, name="conv2", **style)
        return stack(x, 8, 2, name="conv3", **style)

    # Called resnet50 it says so by weights_name too: the name alone would not be believed.
    known = "resnet50" if name == "resnet50" else None
    options = {"weights": None, "input_shape": (32, 32, 3), "weights_name": known, **options}
    return ResNet(stack_fn, preact, True, classes=classes, name=name, **options)


def randomise(model, seed=0):
    """Give every variable a value, batch-norm statistics too, at which no layer is trivial."""
    chance = np.random.default_rng(seed)
    for variable in model.variables:
        value = chance.normal(0, 0.1, variable.shape)
        if variable.name in ("gamma", "moving_variance"):
            value = 0.5 + chance.random(variable.shape)
        variable.assign(value.astype("float32"))
    return model


def calm(model, seed=0):
    """Random values at which no norm is trivial and no activation of a deep network grows or dies."""
    chance = np.random.default_rng(seed)
    for variable in model.variables:
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(1 + 0.1 * chance.random(variable.shape))
        elif variable.name in ("bias", "beta", "moving_mean"):
            variable.assign(0.1 * chance.normal(size=variable.shape))
    return model


def write_picture(path, size=(48, 40), seed=0):
    pixels = np.random.default_rng(seed).integers(0, 255, (*reversed(size), 3), dtype="uint8")
    Image.fromarray(pixels).save(path)
    return path

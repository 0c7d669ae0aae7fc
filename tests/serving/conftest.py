"""The engine of TensorFlow Serving for every test of this room; see `engine`."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from . import engine


@pytest.fixture(autouse=True)
def tensorflow_alone():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("SavedModel is TensorFlow's own")


@pytest.fixture
def ask(tmp_path):
    """Ask the engine in a process of its own; what it refuses becomes a RuntimeError."""
    import tensorflow as tf

    def call(questions, libraries=None, **environment):
        libraries = Path(libraries or tf.sysconfig.get_lib())
        if not (libraries / engine.LIBRARY).is_file():
            pytest.skip(f"this TensorFlow has no {engine.LIBRARY}")
        asked, answered = tmp_path / "questions", tmp_path / "answers"
        asked.write_bytes(pickle.dumps(questions))
        command = [sys.executable, engine.__file__, libraries, asked, answered]
        environment = os.environ | environment
        done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8")
        if done.returncode:
            raise RuntimeError(done.stderr[-3000:])
        told = pickle.loads(answered.read_bytes())
        imported = {name.partition(".")[0] for name in told["modules"]}
        assert "ctypes" in imported and not imported & {"keras", "keras_resnets", "tensorflow"}
        return told["answers"]

    return call

"""The same answers from the engine of TensorFlow Serving 2.18; ``make test-older`` fetches its libraries."""

from pathlib import Path

import numpy as np
import pytest

from keras_resnets import export

from ..conftest import randomise, tiny
from . import engine
from .questions import FAMILIES, TOLERANCE, build, check, picture, questions

pytestmark = pytest.mark.older

LIBRARIES = Path(__file__).parents[2] / ".engine-2.18/tensorflow"


@pytest.fixture(autouse=True)
def libraries():
    if not (LIBRARIES / engine.LIBRARY).is_file():
        pytest.skip("needs TensorFlow 2.18's libraries in .engine-2.18/: make test-older")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_answers_as_the_predictor_does(family, ask, tmp_path):
    bundle = build(family)
    folder = export(bundle, tmp_path / "served")
    for onednn in ("0", "1"):
        check(ask(questions(folder), LIBRARIES, TF_ENABLE_ONEDNN_OPTS=onednn), bundle)


def test_webp_which_it_cannot_read_is_that_item_s_alone(ask, tmp_path):
    files = [picture("GIF", 0), picture("WEBP", 1, lossless=True), picture("PNG", 1)]
    folder = str(export(randomise(tiny()), tmp_path))
    [answer] = ask([(folder, "image_bytes", {"image_bytes": np.array(files, object)})], LIBRARIES)
    [here] = ask([(folder, "image_bytes", {"image_bytes": np.array(files, object)})])
    assert answer["valid"].tolist() == [True, False, True] and not answer["probabilities"][1].any()
    for i in (0, 2):
        np.testing.assert_allclose(answer["probabilities"][i], here["probabilities"][i], atol=TOLERANCE)

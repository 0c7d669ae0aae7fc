from hypothesis import given
from hypothesis import strategies as st

from keras_resnets.architecture.names import Address, join
from keras_resnets.models import create


@given(
    stage=st.from_regex(r"[a-z]{1,8}[0-9]{0,2}", fullmatch=True),
    block=st.none() | st.integers(1, 999),
    slot=st.none() | st.integers(0, 9).map(str) | st.just("preact"),
    role=st.none() | st.sampled_from(["conv", "bn", "relu", "pad", "pool", "add", "out"]),
)
def test_reading_what_was_written_gives_it_back(stage, block, slot, role):
    address = Address(stage, block, slot, role)
    assert Address.parse(str(address)) == address


@given(st.text())
def test_any_text_is_read_or_refused(text):
    address = Address.parse(text)
    assert address is None or isinstance(address, Address)


def test_every_layer_with_weights_has_an_address():
    for key in ("resnet50", "resnet50v2", "resnext50"):
        for layer in create(key, weights=None).layers:
            assert str(Address.parse(layer.name)) == layer.name


def test_parts_that_are_none_are_left_out():
    assert join("conv2", None, 1) == "conv2_1"

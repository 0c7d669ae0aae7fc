"""The networks that are compared, ours and the peers', and how much there is to compute in each."""

import numpy as np
from measuring import measured, table
from peers import declare_operators
from worker import Case

# 10^9 multiplications with additions, one 224 x 224 picture forward; training takes three times as many.
GMAC = {"ResNet18": 1.81, "ResNet50": 3.86, "ResNet50V1_5": 4.09, "ResNeXt50": 4.23}
TORCHVISION = {"ResNet18": "resnet18", "ResNet50V1_5": "resnet50", "ResNeXt50": "resnext50_32x4d"}


def compared(
    cases: dict[str, Case], reference: str, rounds: int, warm: int = 2, training: bool = False
) -> list[dict]:
    """Measure in the same rounds: one row a case. What is computed is read off the cases' arguments."""
    seconds, peaks = measured(cases, rounds, warm)
    batch = next(iter(cases.values())).arguments["batch"]

    def columns(name: str, rate: float) -> dict:
        asked = cases[name].arguments
        speed = gflops(asked["network"], rate, asked["size"], training)
        return {"GFLOP/s": speed, "precision": asked["dtype"]}

    return table(seconds, reference, batch, "pictures", peaks, columns)


def gflops(network: str, rate: float, size: int, training: bool = False) -> float:
    """From pictures a second to 10^9 additions and multiplications a second."""
    return rate * 2 * GMAC[network] * (size / 224) ** 2 * (3 if training else 1)


def build(library: str, network: str, size: int, dtype: str = "float32"):
    """A network of ours (``"keras_resnets"``), in stock layers or accelerated, or Keras' (``"keras"``)."""
    import keras

    import keras_resnets

    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(dtype)
    constructors = keras.applications if library == "keras" else keras_resnets
    model = getattr(constructors, network)(weights=None, input_shape=(size, size, 3))
    if library == "stock":
        model = keras.Model.from_config(model.get_config())
    if library == "accelerated":
        model = keras_resnets.accelerate(model)
    return model


def randomise(model):
    """The same arrays for all networks whose weights come in the same order, none of them trivial.

    Norms as they are initialised fold into zero biases, which some engines leave out: that would measure a
    network that nobody has.
    """
    chance = np.random.default_rng(0)
    for variable in model.weights:
        kind = variable.path.rsplit("/", 1)[-1]
        middle = 1.0 if kind in ("gamma", "moving_variance") else 0.0
        spread = np.prod(variable.shape[:-1]) ** -0.5 if kind == "kernel" else 0.05
        variable.assign(chance.normal(middle, spread, variable.shape).astype("float32"))
    return model


def pictures(batch: int, size: int) -> np.ndarray:
    """As a network takes them: channels last, normalised."""
    return np.random.default_rng(1).normal(0, 1, (batch, size, size, 3)).astype("float32")


def torchvision_network(network: str):
    """Torchvision's with random weights, on the GPU if there is one, in the layout that is fast on both."""
    import torch

    if not torch.cuda.is_available():
        declare_operators()
    from torchvision import models

    torch.manual_seed(0)
    model = getattr(models, TORCHVISION[network])(weights=None)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return model.to(device, memory_format=torch.channels_last), device

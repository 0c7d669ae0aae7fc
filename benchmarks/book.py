"""ResNet-18 for Fashion-MNIST as Dive into Deep Learning trains it: pictures a second, the book's and ours.

    python benchmarks/book.py

Batches of 256 grey pictures of 96x96, stochastic gradient descent as the book has it, `train_on_batch`. The
book's network is written here in stock Keras layers after its section 8.6.
"""

import click
import numpy as np
from measuring import measured, table
from reporting import report
from worker import Case

REFERENCE = "the book's network, stock Keras"


def book():
    """Zhang et al., Dive into Deep Learning, arXiv:2106.11342, section 8.6."""
    import keras
    from keras import layers

    def residual(x, filters, stride=1, project=False):
        y = layers.Conv2D(filters, 3, stride, padding="same")(x)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(y))
        if project:
            x = layers.Conv2D(filters, 1, stride)(x)
        return layers.ReLU()(layers.Add()([x, y]))

    images = keras.Input((96, 96, 1))
    x = layers.Conv2D(64, 7, 2, padding="same")(images)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.MaxPool2D(3, 2, padding="same")(x)
    for stage, filters in enumerate((64, 128, 256, 512)):
        x = residual(x, filters, 1 if stage == 0 else 2, project=stage > 0)
        x = residual(x, filters)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(10, activation="softmax")(x))


def step(network: str, dtype: str, batch: int):
    import keras

    from keras_resnets import accelerate, create

    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(dtype)
    if network == "book":
        model = book()
    else:
        channels = 1 if network == "resnet18_d2l" else 3
        model = accelerate(create(network, weights=None, classes=10, input_shape=(96, 96, channels)))
    model.compile(keras.optimizers.SGD(0.05), "sparse_categorical_crossentropy")
    chance = np.random.default_rng(1)
    images = chance.normal(0, 1, (batch, *model.input_shape[1:])).astype("float32")
    labels = chance.integers(0, 10, batch)
    return lambda: model.train_on_batch(images, labels)


@click.command()
@click.option("--rounds", default=7, show_default=True)
@click.option("--quick", is_flag=True, help="Small batches, two rounds: does it run?")
def main(rounds, quick):
    """Measure training steps; write docs/benchmarks/book.md and .json."""
    rounds, warm, batch = (2, 1, 4) if quick else (rounds, 2, 256)

    def case(network, dtype="float32"):
        return Case(step, {"network": network, "dtype": dtype, "batch": batch})

    cases = {
        REFERENCE: case("book"),
        "the book's network, resnet18_d2l": case("resnet18_d2l"),
        "resnet18": case("resnet18"),
        "resnet18_d2l, bfloat16": case("resnet18_d2l", "mixed_bfloat16"),
        "resnet18, bfloat16": case("resnet18", "mixed_bfloat16"),
    }
    seconds, peaks = measured(cases, rounds, warm)
    rows = table(seconds, REFERENCE, batch, "pictures", peaks)
    title = "ResNet-18 on pictures of 96x96, batches of 256"
    report("book", title, {title: rows}, quick=quick)


if __name__ == "__main__":
    main()

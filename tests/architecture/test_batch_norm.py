"""The fused batch norm and the bias it skips: the stock layers' numbers, gradients, statistics and files."""

import keras
import numpy as np
import pytest

from keras_resnets.architecture import layers
from keras_resnets.architecture.accelerating import accelerated

from ..conftest import as_numpy, randomise, tiny
from .test_layers import run

on_tensorflow = keras.backend.backend() == "tensorflow"
tensorflow_only = pytest.mark.skipif(not on_tensorflow, reason="elsewhere the layer is Keras' own")


# Roundings of the compute dtype, relative to the largest value of an array.
TOLERANCE = {
    "float32": 1e-5,
    "mixed_bfloat16": 2**-6,
    "bfloat16": 2**-6,
    "mixed_float16": 2**-9,
    "float64": 1e-6,  # the pictures and their gradient are float32
}


def pictures(axis=-1, count=3):
    # No two sizes are alike: Keras adds a bias along the width of a map as wide as it has channels.
    shape = (count, 4, 9, 11) if axis == 1 else (count, 9, 11, 4)
    return np.random.default_rng(1).normal(size=shape).astype("float32")


def block(source, policy="float32", axis=-1, strides=1, frozen=False, shape=None, **options):
    """A convolution with bias and a batch norm, both from ``source``."""
    data_format = "channels_first" if axis == 1 else "channels_last"
    norm = source.BatchNormalization(axis=axis, dtype=policy, **options)
    norm.trainable = not frozen
    conv = [source.Conv2D(6, 3, strides, data_format=data_format, dtype=policy)]
    if axis == 1 and policy in ("mixed_float16", "float64"):
        conv = []  # TensorFlow's CPU has no gradient for it, stock or ours
    return skipping(
        randomise(keras.Sequential([keras.Input(shape or pictures(axis).shape[1:]), *conv, norm])), source
    )


def skipping(model, source):
    """Ours as `accelerate` gives it: a bias that a norm cancels is skipped in training."""
    return accelerated(keras.Model(model.inputs, model.outputs)) if source is layers else model


def learn(model, images, training=True, **graph):
    """Outputs, gradients and moving statistics of one step, by name."""
    import tensorflow as tf

    moving = [variable for variable in model.variables if variable.name.startswith("moving")]
    learned = [variable for variable in model.variables if not variable.name.startswith("moving")]

    def step(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = model(images, training=training)
            weights = np.random.default_rng(2).normal(size=outputs.shape).astype("float32")
            loss = tf.reduce_sum(tf.cast(outputs, "float32") * weights)
        return outputs, tape.gradient(loss, [images, *(variable.value for variable in learned)])

    step = step if graph.pop("eager", False) else tf.function(step, **graph)
    outputs, gradients = step(tf.constant(images))
    found = {"outputs": outputs}
    for name, gradient in zip(["images", *(v.path for v in learned)], gradients, strict=True):
        assert gradient is not None, name
        found["gradient of " + name] = gradient
    found |= {variable.path: variable.value for variable in moving}
    return [(name, np.asarray(as_numpy(value), "float64")) for name, value in found.items()]


def assert_same(ours, stock, tolerance=1e-5):
    """Within a tolerance relative to the largest value; a bias's gradient, a sum that may cancel, is held
    against the gradient of its kernel, which comes before it."""
    for (name, value), (theirs, expected) in zip(ours, stock, strict=True):
        if not name.endswith("bias"):
            scale = np.abs(expected).max()
        np.testing.assert_allclose(
            value, expected, rtol=0, atol=tolerance * scale, err_msg=f"{name} {theirs}"
        )


@tensorflow_only
@pytest.mark.parametrize("mode", ["learning", "frozen", "inference"])
@pytest.mark.parametrize("axis, strides", [(-1, 1), (3, 2), (1, 1), (1, 2)])
@pytest.mark.parametrize("policy", TOLERANCE)
def test_numbers_gradients_and_statistics_are_the_stock_layers_(policy, axis, strides, mode):
    options = {"policy": policy, "axis": axis, "strides": strides, "frozen": mode == "frozen"}
    ours, stock = (
        learn(block(source, **options), pictures(axis), training=mode != "inference")
        for source in (layers, keras.layers)
    )
    assert_same(ours, stock, TOLERANCE[policy])


@tensorflow_only
@pytest.mark.parametrize("center, scale", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("epsilon, momentum", [(1e-5, 0.9), (1.001e-5, 0.99), (1e-3, 0.0)])
def test_every_setting_is_the_stock_layer_s(epsilon, momentum, center, scale):
    answers = []
    for source in (layers, keras.layers):
        model = block(source, epsilon=epsilon, momentum=momentum, center=center, scale=scale)
        kernel, bias = model.weights[:2]
        # The variance is near the smallest epsilons, which differ by a thousandth.
        kernel.assign(0.01 * kernel)
        bias.assign(0.01 * bias)
        answers.append(learn(model, pictures()))
    assert_same(*answers)


@tensorflow_only
@pytest.mark.parametrize(
    "graph", [{"eager": True}, {"jit_compile": True}, {"reduce_retracing": True}], ids=str
)
def test_eager_and_compiled_steps_are_the_stock_layers_(graph):
    assert_same(*(learn(block(source), pictures(), **graph) for source in (layers, keras.layers)))


@tensorflow_only
def test_a_batch_of_one_pixel_has_no_variance():
    corner = pictures(count=1)[:, :3, :3]
    ours, stock = (learn(block(source, shape=corner.shape[1:]), corner) for source in (layers, keras.layers))
    assert_same(ours[:1] + ours[-2:], stock[:1] + stock[-2:])
    assert all(
        np.abs(value).max() < 1e-3 for name, value in ours if "gradient" in name and "beta" not in name
    )


@tensorflow_only
def test_a_bias_that_a_norm_cancels_has_a_gradient_of_exactly_zero():
    for name, value in learn(block(layers), pictures()):
        assert not name.endswith("bias") or not value.any()


def networks(source):
    """Ways to read a convolution's output that are not one norm alone."""
    inputs = keras.Input((9, 11, 4))
    conv, add = source.Conv2D(6, 3), keras.layers.Add()
    norm, other = source.BatchNormalization(), source.BatchNormalization()
    maps = conv(inputs)
    inner = keras.Sequential([keras.Input((9, 11, 4)), source.Conv2D(6, 3), source.BatchNormalization()])
    quiet = keras.layers.Dropout(0.0)(keras.layers.Activation("linear")(maps))
    active = source.Conv2D(6, 3, activation="gelu")(inputs)
    return {
        "cut at the convolution": maps,
        "read twice": add([norm(maps), maps]),
        "two norms": add([norm(maps), other(maps)]),
        "a convolution called twice": add([norm(maps), other(conv(2 * inputs)), conv(inputs)]),
        "a norm called twice": add([norm(maps), norm(source.Conv2D(6, 3)(inputs))]),
        "layers between that do nothing": norm(quiet),
        "an activation between": norm(active),
        "nested": add([inner(inputs), inner(2 * inputs), maps]),
        "cut inside": keras.layers.Concatenate()([norm(maps), quiet]),
    }, inputs


@tensorflow_only
@pytest.mark.parametrize("name", networks(layers)[0])
def test_a_bias_that_others_read_has_the_stock_gradient(name):
    models = []
    for source in (layers, keras.layers):
        outputs, inputs = networks(source)
        models.append(skipping(randomise(keras.Model(inputs, outputs[name])), source))
    assert_same(*(learn(model, pictures()) for model in models))


@tensorflow_only
def test_a_norm_over_another_axis_than_the_channels_needs_the_bias():
    answers = []
    for source in (layers, keras.layers):
        conv, norm = source.Conv2D(7, 3, data_format="channels_last"), source.BatchNormalization(axis=1)
        model = randomise(keras.Sequential([keras.Input((9, 11, 4)), conv, norm]))  # 7 rows, 7 channels
        answers.append(learn(skipping(model, source), pictures()))
    assert_same(*answers)


@tensorflow_only
@pytest.mark.parametrize("policy", ["float16", "bfloat16"])
def test_half_precision_statistics_move_as_the_stock_layer_s(policy):
    moved = []
    for source in (layers, keras.layers):
        layer = source.BatchNormalization(momentum=0.997, dtype=policy)
        for _ in range(100):
            layer(3 + pictures(), training=True)
        moved.append([(v.path, np.asarray(as_numpy(v), "float64")) for v in layer.weights])
    assert_same(*moved, TOLERANCE["mixed_" + policy])


@tensorflow_only
def test_recomputed_gradients_are_the_stock_layers_():
    import tensorflow as tf

    class Recomputed(keras.Model):
        def __init__(self, model):
            super().__init__()
            self.inner = model

        def call(self, images, training):
            return tf.recompute_grad(lambda images: self.inner(images, training=training))(images)

    assert_same(*(learn(Recomputed(block(source)), pictures()) for source in (layers, keras.layers)))


@pytest.mark.parametrize(
    "shape, options",
    [
        ((8, 5), {}),
        ((4, 7, 5), {}),
        ((2, 3, 4, 6, 5), {}),
        ((2, 6, 7, 5), {"axis": 2}),
        ((2, 6, 7, 5), {"renorm": True}),
        pytest.param((2, 6, 7, 5), {"synchronized": True}, marks=tensorflow_only),
        ((2, 6, 7, 5), {"mask": True}),
    ],
    ids=str,
)
def test_what_the_kernel_cannot_do_is_keras_own(shape, options, chance):
    images, answers = chance.normal(size=shape).astype("float32"), []
    options, mask = dict(options), None
    if options.pop("mask", False):
        mask = chance.random(shape[:-1]) < 0.5
    for source in (layers, keras.layers):
        layer = source.BatchNormalization(**options)
        outputs = layer(images, training=True, mask=mask)
        answers.append(list(map(as_numpy, [outputs, *layer.weights, layer(images, mask=mask)])))
    for ours, stock in zip(*answers, strict=True):
        np.testing.assert_array_equal(ours, stock)


def test_the_layer_is_keras_to_everyone_else():
    options = {"axis": 1, "momentum": 0.9, "epsilon": 1e-5, "name": "norm", "gamma_initializer": "zeros"}
    ours, stock = layers.BatchNormalization(**options), keras.layers.BatchNormalization(**options)
    assert isinstance(ours, keras.layers.BatchNormalization)
    assert ours.get_config() == stock.get_config()
    written = keras.saving.serialize_keras_object(ours)
    assert (written["module"], written["class_name"]) == ("keras.layers", "BatchNormalization")
    assert type(keras.saving.deserialize_keras_object(written)) is keras.layers.BatchNormalization


def test_xla_stays_away_from_tensorflow_s_cpu_alone():
    cpu = False
    if on_tensorflow:
        import tensorflow as tf

        cpu = not tf.config.list_physical_devices("GPU")
    assert layers.BatchNormalization().supports_jit is not cpu
    if cpu:
        model = block(layers)
        model.compile("sgd", "mse")
        assert model.jit_compile is False


def trained(model, steps=1, **options):
    """After some steps of `fit`; a bias without gradient would be a warning, and so an error."""
    chance = np.random.default_rng(3)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "categorical_crossentropy", **options)
    labels = np.eye(4)[np.arange(2 * steps) % 4]
    model.fit(chance.random((2 * steps, 32, 32, 3)), labels, batch_size=2, shuffle=False, verbose=0)
    return model


def twins(**options):
    """Our network and Keras' own from the same configuration, with the same weights."""
    ours = randomise(tiny(name="twin", **options))
    stock = keras.Model.from_config(ours.get_config())
    assert all(
        getattr(keras.layers, type(layer).__name__, None) in (type(layer), None) for layer in stock.layers
    )
    stock.set_weights(ours.get_weights())
    return ours, stock


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_fit_is_the_stock_fit(run_eagerly):
    ours, stock = (trained(model, 3, run_eagerly=run_eagerly) for model in twins())
    for variable, a, b in zip(ours.variables, ours.get_weights(), stock.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5, err_msg=variable.path)


def test_a_trained_file_opens_where_only_keras_is_installed(tmp_path, chance):
    model, images = trained(twins()[0]), chance.random((2, 32, 32, 3)).astype("float32")
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "expected.npy", as_numpy(model(images)))
    out = run(
        f"""
        import sys, keras, numpy as np
        sys.path = [place for place in sys.path if place]
        images, expected = (np.load(rf"{tmp_path}/{{name}}.npy") for name in ("images", "expected"))
        model = keras.saving.load_model(r"{tmp_path}/model.keras")
        empty = keras.Model.from_config(model.get_config())
        empty.load_weights(r"{tmp_path}/model.weights.h5")
        for each in model, empty:
            print(bool(np.abs(keras.ops.convert_to_numpy(each(images)) - expected).max() < 1e-6))
        print("keras_resnets" in sys.modules)
        """
    )
    assert out.split() == ["True", "True", "False"]


def test_a_trained_stock_file_loads_into_ours(tmp_path, chance):
    ours, stock = twins()
    trained(stock).save(tmp_path / "stock.keras")
    stock.save_weights(tmp_path / "stock.weights.h5")
    images = chance.random((2, 32, 32, 3)).astype("float32")
    for name in ("stock.keras", "stock.weights.h5"):
        randomise(ours).load_weights(tmp_path / name)
        np.testing.assert_allclose(as_numpy(ours(images)), as_numpy(stock(images)), atol=1e-6)


@tensorflow_only
def test_an_export_answers_as_the_network(tmp_path):
    import tensorflow as tf

    model = twins()[0]
    images = np.ones((2, 32, 32, 3), "float32")
    model.export(tmp_path / "export", verbose=False)
    exported = tf.saved_model.load(tmp_path / "export")
    np.testing.assert_allclose(exported.serve(images), model(images), atol=1e-6)


@tensorflow_only
def test_two_devices_learn_as_the_stock_layers_do():
    out = run(
        """
        import tensorflow as tf
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        import keras, numpy as np
        from keras_resnets.architecture import layers
        images, answers = np.random.default_rng(0).random((8, 6, 6, 3)), []
        for source in layers, keras.layers:
            keras.utils.set_random_seed(0)
            with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
                conv = source.Conv2D(3, 1, bias_initializer="ones")
                model = keras.Sequential([keras.Input((6, 6, 3)), conv, source.BatchNormalization()])
                model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
            model.fit(images, images, batch_size=4, epochs=2, shuffle=False, verbose=0)
            answers.append(model.get_weights())
        print(all(np.allclose(a, b, atol=1e-5) for a, b in zip(*answers)))
        """
    )
    assert out.splitlines()[-1] == "True"

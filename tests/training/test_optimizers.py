"""One step after the other against the same in NumPy."""

import keras
import numpy as np
import pytest

from keras_resnets.training.optimizers import PATIENCE, Schedule, after_plateaus, optimizer
from keras_resnets.training.recipe import Recipe, changed

from ..conftest import as_numpy

BASE = Recipe("test", unfrozen="conv1", learning_rate=0.1, schedule="constant", weight_decay=0.2)


def stepped(recipe, terms, gradients, values):
    variables = [keras.Variable(value, name=f"v{i}") for i, value in enumerate(values)]
    made = optimizer(recipe, {v.path: term for v, term in zip(variables, terms, strict=True)}, 10, 100)
    made.build(variables)
    for gradient in gradients:
        made.apply([keras.ops.convert_to_tensor(part) for part in gradient], variables)
    return [as_numpy(variable) for variable in variables]


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_decays_in_the_gradient_a_rate_for_each_variable(chance, nesterov):
    values = [chance.normal(size=4).astype("float32") for _ in range(2)]
    gradients = chance.normal(size=(5, 2, 4)).astype("float32")
    terms = [(1.0, 0.2), (0.25, 0.0)]
    got = stepped(changed(BASE, nesterov=nesterov), terms, gradients, values)
    for value, found, (factor, decay), parts in zip(
        values, got, terms, gradients.swapaxes(0, 1), strict=True
    ):
        speed = np.zeros(4)
        for gradient in parts:
            gradient = gradient + decay * value
            speed = 0.9 * speed - 0.1 * factor * gradient
            value = value + (0.9 * speed - 0.1 * factor * gradient if nesterov else speed)
        np.testing.assert_allclose(found, value, rtol=1e-5)


def test_adamw_decays_beside_the_gradient(chance):
    values = [chance.normal(size=4).astype("float32") for _ in range(2)]
    gradients = chance.normal(size=(5, 2, 4)).astype("float32")
    terms = [(1.0, 0.2), (0.25, 0.0)]
    got = stepped(changed(BASE, optimizer="adamw"), terms, gradients, values)
    for value, found, (factor, decay), parts in zip(
        values, got, terms, gradients.swapaxes(0, 1), strict=True
    ):
        first = second = np.zeros(4)
        for step, gradient in enumerate(parts, 1):
            value = value * (1 - 0.1 * factor * decay)
            first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
            rate = 0.1 * factor * (1 - 0.999**step) ** 0.5 / (1 - 0.9**step)
            value = value - rate * first / (second**0.5 + 1e-7)
        np.testing.assert_allclose(found, value, rtol=1e-4)


def test_rates_by_steps():
    def rate(recipe, step):
        return float(as_numpy(Schedule(recipe, 10, 100)(step)))

    steps = changed(BASE, schedule="steps", steps=(0.5, 0.75))
    assert [round(rate(steps, step), 6) for step in (0, 49, 50, 74, 75, 99)] == [
        0.1,
        0.1,
        0.01,
        0.01,
        0.001,
        0.001,
    ]
    cosine = changed(BASE, schedule="cosine", warmup=2.0)
    assert rate(cosine, 0) == pytest.approx(0.005) and rate(cosine, 19) == pytest.approx(0.1, abs=1e-3)
    assert rate(cosine, 60) == pytest.approx(0.05) and rate(cosine, 100) == pytest.approx(0, abs=1e-8)
    assert rate(changed(BASE, schedule="constant"), 77) == pytest.approx(0.1)


def test_a_short_training_has_a_short_warmup():
    short = Schedule(changed(BASE, schedule="cosine", warmup=2.0), 10, 10)
    rates = [float(as_numpy(short(step))) for step in range(11)]
    assert rates[1] == pytest.approx(0.1) and rates[-1] == pytest.approx(0, abs=1e-8)


def test_a_plateau_makes_the_rate_a_tenth():
    losses = [3.0, 2.0, *([2.5] * (PATIENCE - 1))]
    assert after_plateaus(BASE, losses) == 0.1
    assert after_plateaus(BASE, [*losses, 2.5]) == pytest.approx(0.01)
    assert after_plateaus(BASE, [*losses, 1.0]) == 0.1
    assert after_plateaus(BASE, [*losses, *[2.5] * (1 + PATIENCE)]) == pytest.approx(0.001)

"""Keras' optimizers with a learning rate and a weight decay for each variable, and how the rate changes."""

import keras
from keras import ops

from .recipe import Recipe
from .workers import assign

PATIENCE = 5  # epochs on a plateau


class _PerVariable:
    """Makes an optimizer heed ``terms``: for each trainable variable a factor of the rate and a decay.

    Keras' own ``weight_decay`` is one number, taken off the weights beside the optimizer; the paper's is part
    of the gradient, and so of the momentum.
    """

    terms: dict[str, tuple[float, float]]
    in_gradient: bool

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        factor, decay = self.terms[self._trainable_variables[index].path]
        learning_rate = learning_rate * factor
        if decay and self.in_gradient:
            gradient = gradient + ops.cast(decay, gradient.dtype) * ops.cast(variable, gradient.dtype)
        elif decay:
            shrunk = variable * ops.cast(1 - learning_rate * decay, variable.dtype)
            self.assign(variable, shrunk)
        super().update_step(gradient, variable, learning_rate)

    def finalize_variable_values(self, var_list):
        """Nothing: Keras calls it at the end of every `fit`, which here is every epoch's, and the average
        would take the place of the weights that are trained."""

    def put_average(self, variables):
        """Give variables the moving average of their values."""
        super().finalize_variable_values(variables)
        for variable in variables:
            # On JAX it is the average's own memory still, which the next step or test gives away.
            assign(variable, ops.convert_to_numpy(variable).copy())


class SGD(_PerVariable, keras.optimizers.SGD):
    in_gradient = True


class AdamW(_PerVariable, keras.optimizers.Adam):
    in_gradient = False


def optimizer(recipe: Recipe, terms: dict[str, tuple[float, float]], steps: int, total: int):
    """The optimizer of a recipe.

    Args:
        terms: By a trainable variable's path a factor of the learning rate, and its weight decay.
        steps: In an epoch.
        total: In the training.
    """
    rate = recipe.learning_rate if recipe.schedule == "plateau" else Schedule(recipe, steps, total)
    average = {"use_ema": True, "ema_momentum": recipe.ema} if recipe.ema else {}
    if recipe.optimizer == "sgd":
        made = SGD(rate, recipe.momentum, recipe.nesterov, **average)
    else:
        made = AdamW(rate, **average)
    made.terms = terms
    return made


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate by steps: it rises in the warm-up, then follows the recipe's schedule."""

    def __init__(self, recipe: Recipe, steps: int, total: int):
        self.recipe, self.total = recipe, total
        self.warmup = min(recipe.warmup * steps, total / 5)  # a short training has a short one

    def __call__(self, step):
        step = ops.cast(step, "float32")
        rate = ops.convert_to_tensor(self.recipe.learning_rate, "float32")
        if self.recipe.schedule == "cosine":
            share = ops.clip((step - self.warmup) / max(1.0, self.total - self.warmup), 0, 1)
            rate = rate * 0.5 * (1 + ops.cos(3.141592653589793 * share))
        elif self.recipe.schedule == "steps":
            for share in self.recipe.steps:
                rate = ops.where(step >= share * self.total, rate * 0.1, rate)
        return rate * ops.minimum(1.0, (step + 1) / self.warmup) if self.warmup else rate


def after_plateaus(recipe: Recipe, losses: list[float]) -> float:
    """The learning rate after epochs with these validation losses: a tenth each time that none of the last
    `PATIENCE` was better than the best before."""
    rate, best, waited = recipe.learning_rate, float("inf"), 0
    for loss in losses:
        waited = 0 if loss < best else waited + 1
        best = min(best, loss)
        if waited == PATIENCE:
            rate, waited = rate / 10, 0
    return rate

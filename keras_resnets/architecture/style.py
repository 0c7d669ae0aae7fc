"""What all layers of one network share, checked once and then only read."""

import contextlib
import dataclasses
import numbers
import zlib
from collections.abc import Callable

import keras


@dataclasses.dataclass(frozen=True)
class Style:
    """What all layers of one network share. The defaults are those of keras.applications.

    Attributes:
        data_format: ``"channels_last"`` or ``"channels_first"``; None becomes Keras' global setting.
        dtype: Name of the dtype policy of every layer; None becomes Keras' global setting.
        norm: ``"batch"``, ``"group"`` (Wu & He, arXiv:1803.08494: 32 groups, or as many as divide the
            channels) or ``"sync_batch"`` (statistics over all replicas, TensorFlow only).
        epsilon: Added to the variance in every normalisation.
        momentum: Share of the old moving average that a batch norm keeps at each step.
        activation: Name of a Keras activation, or a function; the layers are called ``relu`` all the same.
        kernel_initializer: Of every kernel, the classifier's too: a name, a configuration or an initializer.
        seed: Of every initializer, as ``glorot_uniform(seed=0)`` given to each layer would have it: kernels
            of the same shape are then equal. None draws each anew.
        se_ratio: Share of channels that a squeeze-and-excitation keeps (Hu et al., arXiv:1709.01507); None
            for none. At least 8 channels, and a multiple of 8, as timm rounds.
        zero_init_residual: Begin with blocks that add nothing (Goyal et al., arXiv:1706.02677, section 5.1):
            a zero scale in the last norm, or before pre-activation a zero last kernel.
        standardized: Give every convolution outside squeeze-and-excitation a kernel of zero mean and unit
            variance (Qiao et al., arXiv:1903.10520).
        zeros: Where the identity shortcut's new channels go: ``"after"`` the old ones or on ``"both"`` sides.
        dropout_rate: Share of values dropped before the last convolution of a block (Zagoruyko &
            Komodakis, arXiv:1605.07146, section 2.4).
    """

    data_format: str | None = None
    dtype: str | None = None
    norm: str = "batch"
    epsilon: float = 1.001e-5
    momentum: float = 0.99
    activation: str | Callable = "relu"
    kernel_initializer: object = "glorot_uniform"
    seed: int | None = None
    se_ratio: float | None = None
    zero_init_residual: bool = False
    standardized: bool = False
    zeros: str = "after"
    dropout_rate: float = 0.0

    def __post_init__(self):
        object.__setattr__(self, "data_format", _resolve_data_format(self.data_format))
        object.__setattr__(self, "dtype", _resolve_dtype(self.dtype))
        object.__setattr__(self, "activation", _resolve_activation(self.activation))
        object.__setattr__(self, "kernel_initializer", _resolve_initializer(self.kernel_initializer))
        _check_norm(self.norm)
        if self.zeros not in ("after", "both"):
            raise ValueError(f"zeros must be 'after' or 'both'. Received: zeros={self.zeros!r}")
        if self.seed is not None and not is_whole_number(self.seed):
            raise ValueError(f"seed must be an integer or None. Received: seed={self.seed!r}")
        if self.se_ratio is not None and not (is_number(self.se_ratio) and 0 < self.se_ratio <= 1):
            raise ValueError(f"se_ratio must be in (0, 1] or None. Received: se_ratio={self.se_ratio!r}")
        check_rate("dropout_rate", self.dropout_rate)

    @property
    def channel_axis(self) -> int:
        return 3 if self.data_format == "channels_last" else 1

    def channels(self, x) -> int:
        return x.shape[self.channel_axis]

    def spatial(self, name: str) -> dict:
        """Keywords of a layer that looks at height and width."""
        return {"data_format": self.data_format, "dtype": self.dtype, "name": name}

    def initializer(self):
        """A fresh initializer: one that two layers shared would give both the same values."""
        config = dict(self.kernel_initializer["config"])
        if self.seed is not None and "seed" in config:
            config["seed"] = int(self.seed)
        return keras.initializers.get({**self.kernel_initializer, "config": config})

    def seed_of(self, name: str) -> int | None:
        """A seed of its own for a layer that drops, so that no two drop alike."""
        return None if self.seed is None else zlib.crc32(f"{self.seed} {name}".encode())


def is_number(value) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_whole_number(value) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def check_rate(name: str, value) -> None:
    if not is_number(value) or not 0 <= value < 1:
        raise ValueError(f"{name} must be at least 0 and less than 1. Received: {name}={value!r}")


def _resolve_data_format(data_format: str | None) -> str:
    if data_format is None:
        return keras.config.image_data_format()
    if data_format not in ("channels_last", "channels_first"):
        raise ValueError(
            "data_format must be 'channels_last', 'channels_first' or None (Keras' global setting). "
            f"Received: data_format={data_format!r}"
        )
    return data_format


def _resolve_dtype(dtype) -> str:
    try:
        policy = keras.dtype_policies.get(dtype)
        if "float" in policy.compute_dtype:
            return policy.name
    except (ValueError, TypeError, AttributeError):
        pass
    raise ValueError(
        "dtype must name a floating-point dtype policy of Keras, such as 'float32', 'mixed_bfloat16' or "
        f"'mixed_float16', or be None (Keras' global setting). Received: dtype={dtype!r}"
    )


def _resolve_activation(activation) -> str | Callable:
    """The name of an activation that Keras knows; a function of one's own as it is."""
    name = activation if isinstance(activation, str) else getattr(activation, "__name__", "")
    known = None
    with contextlib.suppress(ValueError, TypeError):
        known = keras.activations.get(name or None)
    if name and known is not None and activation in (name, known):
        return name
    if callable(activation):
        return activation
    raise ValueError(
        "activation must be the name of a Keras activation, such as 'relu' or 'silu', or a function. "
        f"Received: activation={activation!r}"
    )


def _resolve_initializer(initializer) -> dict:
    """Its configuration, from which every layer gets an initializer of its own."""
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        config = keras.initializers.serialize(keras.initializers.get(initializer))
        if isinstance(config, dict) and isinstance(keras.initializers.get(config), keras.Initializer):
            return config
    raise ValueError(
        "kernel_initializer must be the name of a Keras initializer, such as 'he_normal', or one of its "
        f"objects. Received: kernel_initializer={initializer!r}"
    )


def _check_norm(norm) -> None:
    if norm not in ("batch", "group", "sync_batch"):
        raise ValueError(f"norm must be 'batch', 'group' or 'sync_batch'. Received: norm={norm!r}")
    if norm == "sync_batch" and keras.backend.backend() != "tensorflow":
        raise ValueError(
            "norm='sync_batch' works on Keras' TensorFlow backend alone (on JAX a batch norm sees the whole "
            f"batch of every device already). Received: the {keras.backend.backend()} backend"
        )

"""What the measurements were made on, and which interpreter has the peers."""

import datetime
import importlib.util
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

ROOT = Path(__file__).parents[1]
_LOAD = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0  # of others: at the import, so before us
_PEERS = ROOT / ".venv-peers"
_INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "asimd", "bf16")
_PACKAGES = ("keras", "keras-resnets", "tensorflow", "jax", "torch", "torchvision", "openvino", "onnxruntime",
             "onnx", "ai-edge-litert", "ray", "pyarrow", "numpy", "pillow")  # fmt: skip


def machine() -> dict[str, str]:
    """The host, the backend and every version that matters."""
    processor, flags = _processor()
    return {
        "processor": processor,
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "instructions": ", ".join(flag for flag in _INSTRUCTIONS if flag in flags) or "unknown",
        "memory": _memory(),
        "GPU": gpu() or "none",
        "load before": f"{_LOAD:.1f}",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "backend": backend(),
        **_versions(),
        "date": datetime.date.today().isoformat(),
    }


def backend() -> str:
    import keras

    return keras.backend.backend()


def gpu() -> str | None:
    """The GPU that Keras' backend sees."""
    if backend() == "tensorflow":
        import tensorflow as tf

        found = tf.config.list_physical_devices("GPU")
        return tf.config.experimental.get_device_details(found[0])["device_name"] if found else None
    if backend() == "jax":
        import jax

        return jax.devices()[0].device_kind if jax.default_backend() == "gpu" else None
    if backend() == "torch":
        import torch

        return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return None


def python_with(*modules: str) -> str | None:
    """The interpreter that has all of these: this one, else that of `make .venv-peers/ready`."""
    if all(importlib.util.find_spec(module) for module in modules):
        return sys.executable
    folders = list(_PEERS.glob("lib/python*/site-packages"))
    if folders and all((folders[0] / module).exists() for module in modules):
        return str(_PEERS / "bin" / "python")
    return None


def _processor() -> tuple[str, set[str]]:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = set(facts.get("flags", facts.get("Features", "")).split())
    return facts.get("model name") or platform.processor() or platform.machine(), flags


def _memory() -> str:
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return "unknown"
    return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"


def _versions() -> dict[str, str]:
    """Of what is installed here, and of what only the peers' environment has."""
    there = {
        found.metadata["Name"].lower(): found.version
        for folder in _PEERS.glob("lib/python*/site-packages")
        for found in distributions(path=[str(folder)])
    }
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            if package in there:
                versions[package] = f"{there[package]} (in the peers' environment)"
    return versions

"""What a peer needs before it can be imported, for the benchmarks and for what is read off the peers."""

import functools


@functools.cache
def declare_operators():
    """PyPI's torchvision misses two operators in a torch for CPUs only: declared here, called nowhere."""
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library  # which undoes them when it is forgotten

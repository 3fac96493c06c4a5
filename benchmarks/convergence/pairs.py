"""The pairs of source and target: a tuned half, fresh ones to check choices on, a half kept for the report, and later
ones, written after the code."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.convergence.data import GREY
from benchmarks.convergence.networks import Net

CHANGED = ("head", "wider", "deeper", "kernel", "activation")
SMALLER = ("narrower", "shallower")
HALVES = ("tuned", "fresh", "reported", "later")


@dataclass(frozen=True)
class Pair:
    """A source trained on `source_data` that starts a target for `target_data`."""

    name: str
    relation: str
    source: Net
    target: Net
    source_data: str
    target_data: str

    @property
    def group(self) -> str:
        """The kind of relation that a goal is set for: `changed`, `smaller` or `family`."""
        return "changed" if self.relation in CHANGED else "smaller" if self.relation in SMALLER else "family"


def _net(file: str) -> object:
    def build(factory: str, **args: int | str) -> Net:
        return Net(file, factory, tuple(args.items()))

    return build


_conv, _token, _held, _new = _net("nets"), _net("nets_tokens"), _net("held_out"), _net("fresh")
_late, _late_token, _grey = _net("later"), _net("later_tokens"), _net("later_grey")
_mixed, _vector = _net("later_mixed"), _net("later_vectors")


def _tuned() -> list[Pair]:
    resnet = _conv("resnet", width=12, depth=2)
    mobilenet = _conv("mobilenet", width=12, depth=2)
    vit = _token("vit", width=64, depth=3, heads=4)
    convnext = _token("convnext", width=12, depth=2)
    mixer = _token("mixer", width=48, depth=3)
    vgg = _conv("vgg", width=12, depth=2)
    rows = [
        ("resnet-head", "head", resnet, resnet, "small"),
        ("resnet-wider", "wider", resnet, _conv("resnet", width=18, depth=2), "small"),
        ("mobilenet-wider", "wider", mobilenet, _conv("mobilenet", width=20, depth=2), "small"),
        ("vit-wider-deeper", "wider", vit, _token("vit", width=96, depth=4, heads=6), "digits"),
        ("mixer-wider", "wider", mixer, _token("mixer", width=72, depth=3), "small"),
        ("resnet-deeper", "deeper", resnet, _conv("resnet", width=12, depth=4), "small"),
        ("vgg-deeper", "deeper", vgg, _conv("vgg", width=12, depth=3), "small"),
        ("convnext-kernel", "kernel", convnext, _token("convnext", width=12, depth=2, kernel=7), "small"),
        ("mobilenet-kernel", "kernel", mobilenet, _conv("mobilenet", width=12, depth=2, kernel=5), "digits"),
        ("resnet-silu", "activation", resnet, _conv("resnet", width=12, depth=2, act="silu"), "small"),
        ("resnet-narrower", "narrower", resnet, _conv("resnet", width=8, depth=2), "small"),
        ("vit-narrower", "narrower", vit, _token("vit", width=48, depth=3, heads=3), "digits"),
        ("convnext-narrower", "narrower", convnext, _token("convnext", width=8, depth=2), "digits"),
        ("resnet-shallower", "shallower", resnet, _conv("resnet", width=12, depth=1), "small"),
        ("vgg-to-resnet", "family", vgg, _conv("resnet", width=14, depth=2), "small"),
        ("resnet-to-mobilenet", "family", resnet, _conv("mobilenet", width=14, depth=2), "small"),
        ("resnet-to-bottleneck", "family", resnet, _conv("resnet", width=24, depth=2, block="bottleneck"), "small"),
        ("vit-to-mixer", "family", vit, _token("mixer", width=64, depth=3), "digits"),
        ("resnet-to-convnext", "family", resnet, _token("convnext", width=14, depth=2), "small"),
        ("resnet-to-vit", "family", resnet, _token("vit", width=48, depth=3, heads=3), "digits"),
        ("vit-to-resnet", "family", vit, _conv("resnet", width=14, depth=2), "small"),
    ]
    return [Pair(name, relation, source, target, "capitals", data) for name, relation, source, target, data in rows]


def _fresh() -> list[Pair]:
    preact = _new("preact", width=12, depth=2)
    vit = _new("vit_scaled", width=48, depth=4, heads=4)
    gmlp = _new("gmlp", width=48, depth=4)
    smaller = _new("vit_scaled", width=40, depth=3, heads=4)
    rows = [
        ("preact-to-vit", "family", preact, smaller, "digits"),
        ("vit-to-preact", "family", vit, _new("preact", width=14, depth=1), "digits"),
        ("vit-to-gmlp", "family", vit, _new("gmlp", width=40, depth=3), "small"),
        ("gmlp-to-vit", "family", gmlp, smaller, "small"),
        ("preact-to-poolformer", "family", preact, _new("poolformer", width=14, depth=1), "small"),
        ("preact-narrower", "narrower", preact, _new("preact", width=9, depth=2), "small"),
    ]
    return [Pair(name, relation, source, target, "capitals", data) for name, relation, source, target, data in rows]


def _reported() -> list[Pair]:
    resnet = _held("resnet_d", width=10, depth=1)
    separate = _held("vit_cls", width=48, depth=4, heads=3)
    squeeze = _held("mbconv", width=10, depth=1)
    scaled = _held("convnext_scaled", width=16, depth=1)
    mixer = _held("mixer_patch2", width=32, depth=3)
    plain = _held("plain", width=10)
    rows = [
        ("resnet_d-head", "head", resnet, resnet, "greek_small"),
        ("mbconv-wider", "wider", squeeze, _held("mbconv", width=14, depth=1), "greek_small"),
        ("resnet_d-wider", "wider", resnet, _held("resnet_d", width=20, depth=1), "shapes"),
        ("convnext_scaled-wider", "wider", scaled, _held("convnext_scaled", width=24, depth=1), "greek_small"),
        ("vit_cls-wider", "wider", separate, _held("vit_cls", width=80, depth=4, heads=5), "shapes"),
        ("resnet_d-deeper", "deeper", resnet, _held("resnet_d", width=10, depth=2), "greek_small"),
        ("mixer-deeper", "deeper", mixer, _held("mixer_patch2", width=32, depth=5), "greek_small"),
        ("mbconv-kernel", "kernel", squeeze, _held("mbconv", width=10, depth=1, kernel=5), "shapes"),
        (
            "convnext_scaled-kernel",
            "kernel",
            scaled,
            _held("convnext_scaled", width=16, depth=1, kernel=5),
            "greek_small",
        ),
        ("plain-hardswish", "activation", plain, _held("plain", width=10, act="hardswish"), "greek_small"),
        ("vit_cls-narrower", "narrower", separate, _held("vit_cls", width=32, depth=4, heads=2), "shapes"),
        ("mbconv-narrower", "narrower", squeeze, _held("mbconv", width=7, depth=1), "greek_small"),
        ("resnet_d-narrower", "narrower", resnet, _held("resnet_d", width=7, depth=1), "greek_small"),
        ("vit_cls-shallower", "shallower", separate, _held("vit_cls", width=48, depth=2, heads=3), "shapes"),
        ("plain-to-resnet_d", "family", plain, _held("resnet_d", width=12, depth=1), "greek_small"),
        ("resnet_d-to-mbconv", "family", resnet, _held("mbconv", width=12, depth=1), "greek_small"),
        ("resnet_d-to-regnet", "family", resnet, _held("regnet", width=16, depth=1), "greek_small"),
        ("vit_cls-to-mixer", "family", separate, _held("mixer_patch2", width=40, depth=3), "shapes"),
        ("mbconv-to-convnext", "family", squeeze, _held("convnext_scaled", width=14, depth=1), "greek_small"),
        ("mbconv-to-vit_cls", "family", squeeze, _held("vit_cls", width=32, depth=4, heads=2), "shapes"),
        ("vit_cls-to-regnet", "family", separate, _held("regnet", width=16, depth=1), "greek_small"),
    ]
    return [Pair(name, relation, source, target, "greek", data) for name, relation, source, target, data in rows]


def _later() -> list[Pair]:
    flat = _late("vgg_flat", width=12)
    group = _late("resnet_gn", width=12)
    dense = _late("densenet", growth=8)
    mobile = _late("mobile_v3", width=10)
    mixed = _late("convmixer", width=32)
    registers = _late_token("vit_registers", width=48, depth=3)
    swin = _late_token("windows", width=24)
    hybrid = _late_token("hybrid", width=48)
    mlp, lenet, cnn = _grey("mlp", width=64), _grey("lenet", width=12), _grey("cnn_bn", width=16)
    token, rows = _grey("vit_token", width=32), _grey("lstm", width=40)
    narrow_vit = _late_token("vit_registers", width=32, depth=3)
    compact, doubles = _mixed("compact", width=40), _mixed("doubles", width=10)
    paths, gates = _mixed("inception", width=8), _mixed("gated_resnet", width=12)
    added, normed, read = _vector("added_mlp", width=48), _vector("norm_mlp", width=64), _vector("gru", width=40)
    coloured = [
        ("vgg_flat-wider", "wider", flat, _late("vgg_flat", width=18), "small"),
        ("resnet_gn-deeper", "deeper", group, _late("resnet_gn", width=12, depth=2), "small"),
        ("mobile_v3-kernel", "kernel", mobile, _late("mobile_v3", width=10, kernel=5), "small"),
        ("windows-wider", "wider", swin, _late_token("windows", width=36), "digits"),
        ("hybrid-deeper", "deeper", hybrid, _late_token("hybrid", width=48, depth=3), "small"),
        ("resnet_gn-narrower", "narrower", group, _late("resnet_gn", width=8), "digits"),
        ("mobile_v3-narrower", "narrower", mobile, _late("mobile_v3", width=7), "small"),
        ("densenet-narrower", "narrower", dense, _late("densenet", growth=6), "small"),
        ("convmixer-shallower", "shallower", mixed, _late("convmixer", width=32, depth=3), "digits"),
        ("vit_registers-narrower", "narrower", registers, narrow_vit, "small"),
        ("vit_registers-to-vgg_flat", "family", registers, _late("vgg_flat", width=10), "digits"),
        ("vit_registers-to-resnet_gn", "family", registers, _late("resnet_gn", width=12, depth=2), "small"),
        ("resnet_gn-to-vit_registers", "family", group, narrow_vit, "small"),
        ("vgg_flat-to-resnet_gn", "family", flat, _late("resnet_gn", width=12, depth=2), "small"),
        ("resnet_gn-to-vgg_flat", "family", group, _late("vgg_flat", width=18), "small"),
        ("convmixer-to-vit_registers", "family", mixed, narrow_vit, "small"),
        ("vit_registers-to-convmixer", "family", registers, _late("convmixer", width=32, depth=3), "digits"),
        ("densenet-to-mobile_v3", "family", dense, _late("mobile_v3", width=7), "small"),
        ("mobile_v3-to-shuffle", "family", mobile, _late("shuffle", width=24), "small"),
        ("windows-to-mobile_v1", "family", swin, _late("mobile_v1", width=12), "digits"),
        ("hybrid-to-resmlp", "family", hybrid, _late_token("resmlp", width=48), "small"),
        ("compact-to-gated_resnet", "family", compact, _mixed("gated_resnet", width=10), "small"),
        ("compact-to-doubles", "family", compact, _mixed("doubles", width=12), "digits"),
        ("doubles-to-compact", "family", doubles, _mixed("compact", width=32), "digits"),
        ("inception-to-doubles", "family", paths, _mixed("doubles", width=12), "small"),
        ("gated_resnet-to-inception", "family", gates, _mixed("inception", width=7), "small"),
    ]
    grey = [
        ("mlp-wider", "wider", mlp, _grey("mlp", width=96), "small"),
        ("lstm-wider", "wider", rows, _grey("lstm", width=60), "digits"),
        ("lenet-narrower", "narrower", lenet, _grey("lenet", width=8, hidden=32), "small"),
        ("mlp-narrower", "narrower", mlp, _grey("mlp", width=48), "digits"),
        ("mlp-to-cnn_bn", "family", mlp, _grey("cnn_bn", width=12), "digits"),
        ("cnn_bn-to-mlp", "family", cnn, _grey("mlp", width=96), "small"),
        ("vit_token-to-lenet", "family", token, _grey("lenet", width=8, hidden=32), "small"),
        ("lenet-to-vit_token", "family", lenet, _grey("vit_token", width=24, depth=2), "digits"),
        ("cnn_bn-to-columns", "family", cnn, _grey("columns", width=32), "digits"),
        ("norm_mlp-to-added_mlp", "family", normed, _vector("added_mlp", width=40), "small"),
        ("added_mlp-to-norm_mlp", "family", added, _vector("norm_mlp", width=48), "digits"),
        ("gru-to-added_mlp", "family", read, _vector("added_mlp", width=40), "small"),
    ]
    return [Pair(*row[:4], "capitals", row[4]) for row in coloured] + [
        Pair(*row[:4], "capitals" + GREY, row[4] + GREY) for row in grey
    ]


PAIRS = {"tuned": _tuned(), "fresh": _fresh(), "reported": _reported(), "later": _later()}

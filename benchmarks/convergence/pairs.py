"""The pairs of source and target: a tuned half, fresh ones to check choices on, and a half kept for the report."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.convergence.networks import Net

CHANGED = ("head", "wider", "deeper", "kernel", "activation")
SMALLER = ("narrower", "shallower")
HALVES = ("tuned", "fresh", "reported")


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


PAIRS = {"tuned": _tuned(), "fresh": _fresh(), "reported": _reported()}

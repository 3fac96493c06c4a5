"""Targets with sources of graded closeness: a part to look at while the score is worked on, and a part held back."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.convergence.networks import Net


@dataclass(frozen=True)
class Group:
    """A target for `target_data`, and sources trained on `source_data`; the target's own network is one of them."""

    part: str
    target: Net
    others: tuple[Net, ...]
    source_data: str
    target_data: str

    @property
    def sources(self) -> tuple[Net, ...]:
        """The target's own network, whose start is the limit, then the others."""
        return (self.target, *self.others)


def _net(file: str, factory: str, **args: int | str) -> Net:
    return Net(file, factory, tuple(args.items()))


def _seen() -> list[Group]:
    resnet = _net("nets", "resnet", width=12, depth=2)
    mobilenet = _net("nets", "mobilenet", width=12, depth=2)
    vgg = _net("nets", "vgg", width=12, depth=2)
    convnext = _net("nets_tokens", "convnext", width=12, depth=2)
    mixer = _net("nets_tokens", "mixer", width=48, depth=3)
    vit = _net("nets_tokens", "vit", width=64, depth=3, heads=4)
    groups = [
        (
            _net("nets", "resnet", width=14, depth=2),
            (resnet, _net("nets", "resnet", width=8, depth=2), vgg, mobilenet, convnext, vit),
        ),
        (
            _net("nets", "mobilenet", width=14, depth=2),
            (mobilenet, _net("nets", "mobilenet", width=12, depth=2, kernel=5), resnet, vgg, convnext, mixer),
        ),
        (
            _net("nets_tokens", "vit", width=48, depth=3, heads=3),
            (vit, _net("nets_tokens", "vit", width=32, depth=2, heads=2), mixer, convnext, resnet, mobilenet),
        ),
        (_net("nets_tokens", "convnext", width=14, depth=2), (convnext, resnet, mobilenet, vgg, mixer)),
        (_net("nets_tokens", "mixer", width=40, depth=3), (mixer, vit, convnext, resnet)),
        (_net("nets", "vgg", width=14, depth=2), (vgg, resnet, mobilenet, convnext, vit)),
    ]
    return [
        Group("seen", target, (*others, *_CHANGED[target.factory]), "capitals", "small") for target, others in groups
    ]


_CHANGED = {
    "resnet": (
        _net("nets", "resnet", width=14, depth=2, kernel=5),
        _net("nets", "resnet", width=14, depth=2, act="silu"),
        _net("nets", "resnet", width=14, depth=1),
        _net("nets", "resnet", width=14, depth=3),
        _net("nets", "resnet", width=20, depth=2),
        _net("nets", "resnet", width=24, depth=2, block="bottleneck"),
    ),
    "mobilenet": (
        _net("nets", "mobilenet", width=14, depth=2, kernel=5),
        _net("nets", "mobilenet", width=14, depth=2, act="silu"),
        _net("nets", "mobilenet", width=14, depth=1),
        _net("nets", "mobilenet", width=20, depth=2),
    ),
    "vit": (
        _net("nets_tokens", "vit", width=48, depth=2, heads=3),
        _net("nets_tokens", "vit", width=48, depth=4, heads=3),
        _net("nets_tokens", "vit", width=48, depth=3, heads=3, act="relu"),
    ),
    "convnext": (
        _net("nets_tokens", "convnext", width=14, depth=2, kernel=3),
        _net("nets_tokens", "convnext", width=14, depth=2, kernel=7),
        _net("nets_tokens", "convnext", width=14, depth=2, act="relu"),
        _net("nets_tokens", "convnext", width=14, depth=1),
    ),
    "mixer": (
        _net("nets_tokens", "mixer", width=40, depth=2),
        _net("nets_tokens", "mixer", width=40, depth=4),
        _net("nets_tokens", "mixer", width=56, depth=3),
    ),
    "vgg": (
        _net("nets", "vgg", width=14, depth=2, kernel=5),
        _net("nets", "vgg", width=14, depth=2, act="silu"),
        _net("nets", "vgg", width=14, depth=1),
        _net("nets", "vgg", width=14, depth=3),
    ),
}
"""For each factory of a target, networks that differ from it in one way: kernel, activation, depth or width."""


def _held() -> list[Group]:
    resnet = _net("held_out", "resnet_d", width=10, depth=1)
    regnet = _net("held_out", "regnet", width=16, depth=1)
    squeeze = _net("held_out", "mbconv", width=10, depth=1)
    plain = _net("held_out", "plain", width=10)
    scaled = _net("held_out", "convnext_scaled", width=16, depth=1)
    mixer = _net("held_out", "mixer_patch2", width=32, depth=3)
    vit = _net("held_out", "vit_cls", width=48, depth=4, heads=3)
    groups = [
        (
            _net("held_out", "resnet_d", width=12, depth=1),
            (resnet, _net("held_out", "resnet_d", width=10, depth=2), plain, regnet, squeeze, vit),
        ),
        (
            _net("held_out", "mbconv", width=12, depth=1),
            (squeeze, _net("held_out", "mbconv", width=10, depth=1, kernel=5), resnet, regnet, plain, scaled),
        ),
        (
            _net("held_out", "convnext_scaled", width=24, depth=1),
            (scaled, _net("held_out", "convnext_scaled", width=16, depth=1, kernel=5), squeeze, resnet, mixer, vit),
        ),
    ]
    return [Group("held", target, others, "greek", "greek_small") for target, others in groups]


GROUPS = (*_seen(), *_held())

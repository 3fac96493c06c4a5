"""A network that stands whole within another one is taken whole, and what is around it takes nothing of its inside."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from tli_cli import Options, apply_tli

MAPS = Options(method="maps")


def conv(inner: int, outer: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    layers = nn.Conv2d(inner, outer, 3, stride, dilation, dilation, bias=False), nn.BatchNorm2d(outer)
    return nn.Sequential(*layers)


class Residual(nn.Module):
    def __init__(self, inner: int, outer: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(inner, outer, stride, dilation), conv(outer, outer)
        skip = nn.Sequential(nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer))
        self.skip = skip if inner != outer else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.conv2(self.conv1(x).relu()) + self.skip(x)).relu()


class Plain(nn.Module):
    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(inner, outer), conv(outer, outer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv2(self.conv1(x).relu()).relu()


class Encoder(nn.Module):
    def __init__(self, channels: int = 3, dilated: bool = False) -> None:
        super().__init__()
        self.stem = conv(channels, 8, 2)
        self.layer1 = nn.Sequential(Residual(8, 8), Residual(8, 8))
        self.layer2 = nn.Sequential(Residual(8, 16, 2), Residual(16, 16))
        last = {"stride": 1, "dilation": 2} if dilated else {"stride": 2}
        self.layer3 = nn.Sequential(Residual(16, 32, **last), Residual(32, 32))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        maps = [self.stem(x).relu()]
        for layer in (self.layer1, self.layer2, self.layer3):
            maps.append(layer(maps[-1]))
        return maps


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.fc = Encoder(), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.encoder(x)[-1].mean((2, 3)))


class Segmenter(nn.Module):
    """Blocks of a decoder that take the encoder's maps, as wide as those of the encoder."""

    def __init__(self, channels: int = 3, dilated: bool = False) -> None:
        super().__init__()
        self.encoder = Encoder(channels, dilated)
        self.decoder = nn.ModuleList([Plain(32 + 16, 16), Plain(16 + 8, 8), Plain(8 + 8, 8)])
        self.head = nn.Conv2d(8, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        *maps, x = self.encoder(x)
        for block, finer in zip(self.decoder, reversed(maps), strict=True):
            x = block(torch.cat((nn.functional.interpolate(x, finer.shape[2:]), finer), 1))
        return self.head(x)


def seeded(make: type[nn.Module], *args: object) -> nn.Module:
    torch.manual_seed(1)
    return make(*args).eval()


@pytest.mark.parametrize(("channels", "dilated"), [(3, False), (3, True), (1, False), (9, False)])
def test_an_encoder_arrives_whole_and_its_decoder_takes_nothing_of_it(channels: int, dilated: bool) -> None:
    source, target = seeded(Classifier), seeded(Segmenter, channels, dilated)
    plan = apply_tli(target, source, example=(2, channels, 32, 32), teacher_example=(2, 3, 32, 32), options=MAPS)
    for step in plan.steps:
        if not step.target.startswith("encoder."):
            assert (step.action, step.exact) == ("keep", False), step.target
        elif step.target != "encoder.stem.0.weight":
            assert (step.resizer, step.pieces[0].source) == ("copy", step.target)


def test_a_network_of_more_blocks_is_none_that_another_one_stands_in() -> None:
    """Its added blocks change nothing, wherever they stand."""

    class Deeper(Classifier):
        def __init__(self) -> None:
            super().__init__()
            self.encoder.layer3.append(Residual(32, 32))

    source, target = seeded(Classifier).double(), seeded(Deeper).double()
    apply_tli(target, source, example=(2, 3, 32, 32), options=MAPS)
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    assert torch.allclose(source(x), target(x), rtol=1e-9)


class Beside(nn.Module):
    """A block as the encoder's last ones beside it, which a layer of the network's own reads."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.more = Encoder(), nn.Sequential(Plain(32, 32))
        self.last = nn.Conv2d(64, 12, 5)
        self.head = nn.Conv2d(12, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.encoder(x)[-1]
        return self.head(self.last(nn.functional.pad(torch.cat((self.more(x), x), 1), (2, 2, 2, 2))).relu())


def test_a_block_is_not_said_to_change_nothing_that_a_fresh_layer_reads() -> None:
    source, target = seeded(Classifier), seeded(Beside)
    plan = apply_tli(target, source, example=(2, 3, 32, 32), options=MAPS)
    assert plan.by_target["last.weight"].action == "keep"
    assert not any(step.exact for step in plan.steps if step.target.startswith("more."))


class Dense(nn.Module):
    def __init__(self, decoder: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.layers = nn.ModuleList(nn.Conv2d(16 + 8 * i, 8, 3, padding=1) for i in range(4))
        self.wide = nn.Conv2d(48, 48, 1) if decoder else None
        self.also = nn.Conv2d(3, 8, 1) if decoder else None
        self.head = nn.Conv2d(48, 4, 3) if decoder else nn.Linear(48, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        image, maps = x, [self.stem(x)]
        for layer in self.layers:
            maps.append(layer(torch.cat(maps, 1)).relu())
        x = torch.cat(maps, 1)
        if self.wide is None:
            return self.head(x.mean((2, 3)))
        others = torch.cat([self.also(image)] * 6, 1)
        return self.head(self.wide(x + others))


def test_channels_that_a_decoder_cuts_into_parts_are_those_of_the_layer_that_makes_them() -> None:
    source, target = seeded(Dense, False), seeded(Dense, True)
    plan = apply_tli(target, source, example=(2, 3, 16, 16), options=MAPS)
    held = [step for step in plan.steps if step.target.startswith(("stem", "layers"))]
    assert all((step.resizer, step.pieces[0].source) == ("copy", step.target) for step in held)


class Chain(nn.Module):
    def __init__(self, decoder: bool) -> None:
        super().__init__()
        widths = (3, 8, 16, 32)
        self.features = nn.ModuleList(conv(a, b) for a, b in pairwise(widths))
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in ((16, 32), (8, 16))) if decoder else None
        self.head = nn.Conv2d(8, 4, 1) if decoder else nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = [x]
        for layer in self.features:
            maps.append(nn.functional.max_pool2d(layer(maps[-1]).relu(), 2))
        x = maps.pop()
        for layer in self.up or ():
            finer = maps.pop()
            x = layer(nn.functional.interpolate(x, finer.shape[2:])) + finer
        return self.head(x) if self.up is not None else self.head(x.mean((2, 3)))


def test_what_a_decoder_adds_to_the_maps_of_a_plain_network_does_not_start_at_zero() -> None:
    source, target = seeded(Chain, False), seeded(Chain, True)
    plan = apply_tli(target, source, example=(2, 3, 32, 32), options=MAPS)
    assert all(plan.by_target[f"features.{i}.0.weight"].resizer == "copy" for i in range(3))
    assert all(plan.by_target[f"up.{i}.weight"].initial == "target" for i in range(2))


class Shallow(nn.Module):
    """A decoder that reads a map from the midst of the encoder, which holds the stage behind it and does not run it;
    its layer is as wide as the shortcut there."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.decoder = nn.Sequential(nn.Conv2d(16, 32, 1, bias=False), nn.BatchNorm2d(32))
        self.head = nn.Conv2d(32, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        encoder = self.encoder
        return self.head(self.decoder(encoder.layer2(encoder.layer1(encoder.stem(x).relu()))).relu())


def test_a_stage_that_is_held_and_not_run_takes_its_namesake_and_nothing_else_does() -> None:
    source, target = seeded(Classifier), seeded(Shallow)
    plan = apply_tli(target, source, example=(2, 3, 32, 32), options=MAPS)
    for step in plan.steps:
        if step.target.startswith("encoder."):
            assert (step.resizer, step.pieces[0].source, step.exact) == ("copy", step.target, True), step.target
        else:
            assert (step.action, step.exact) == ("keep", False), step.target


def test_a_stage_that_the_source_does_not_run_is_copied_and_not_called_exact() -> None:
    source, target = seeded(Shallow), seeded(Classifier)
    plan = apply_tli(target, source, example=(2, 3, 32, 32), options=MAPS)
    for step in plan.steps:
        if step.target.startswith("encoder."):
            assert (step.resizer, step.pieces[0].source) == ("copy", step.target), step.target
            assert step.exact != step.target.startswith("encoder.layer3."), step.target


class Padded(Residual):
    """A block whose shortcut has no layers: the map is pooled, and channels of zeros are added to it."""

    def __init__(self, inner: int, outer: int, stride: int = 1) -> None:
        super().__init__(inner, outer, stride)
        self.skip, self.stride, self.more = nn.Identity(), stride, outer - inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skip = nn.functional.avg_pool2d(x, 1, self.stride)
        skip = torch.cat((skip, torch.zeros_like(skip).repeat(1, self.more // skip.shape[1], 1, 1)), 1)
        return (self.conv2(self.conv1(x).relu()) + skip).relu()


class WithoutLayers(Segmenter):
    def __init__(self) -> None:
        super().__init__()
        self.encoder.layer2[0], self.encoder.layer3[0] = Padded(8, 16, 2), Padded(16, 32, 2)


def test_an_encoder_of_other_shortcuts_gives_its_decoder_nothing() -> None:
    source, target = seeded(Classifier), seeded(WithoutLayers)
    plan = apply_tli(target, source, example=(2, 3, 32, 32), options=MAPS)
    for step in plan.steps:
        if step.target.startswith("encoder."):
            assert [piece.source for piece in step.pieces] == [step.target], step.target
        else:
            assert (step.action, step.exact) == ("keep", False), step.target


class Pyramid(nn.Module):
    """A decoder of another kind around the same encoder, whose last stage is dilated."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder(3, dilated=True)
        self.lateral = nn.ModuleList(nn.Conv2d(width, 16, 1) for width in (32, 16, 8))
        self.smooth = nn.ModuleList([Plain(16, 32), Plain(16, 24)])
        self.head = nn.Conv2d(56, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, *maps = self.encoder(x)
        size = maps[0].shape[2:]
        rows = [layer(one) for layer, one in zip(self.lateral, reversed(maps), strict=True)]
        x = sum(nn.functional.interpolate(row, size) for row in rows)
        return self.head(torch.cat([layer(x) for layer in self.smooth], 1))


@pytest.mark.parametrize(("giver", "taker"), [(Segmenter, Pyramid), (Pyramid, Segmenter)])
def test_two_decoders_of_one_encoder_take_nothing_of_its_inside(giver: type[nn.Module], taker: type[nn.Module]) -> None:
    plan = apply_tli(seeded(taker), seeded(giver), example=(2, 3, 32, 32), options=MAPS)
    for step in plan.steps:
        taken = [piece.source for piece in step.pieces]
        if step.target.startswith("encoder."):
            assert taken == [step.target], step.target
        else:
            assert not any(name.startswith("encoder.") for name in taken), step.target


class Row(nn.Module):
    """Blocks of one width, and for an auto-encoder two more of them in another row behind a layer of its own."""

    def __init__(self, decoder: bool) -> None:
        super().__init__()
        self.stem = conv(3, 8, 2)
        self.blocks = nn.Sequential(*(Residual(8, 8) for _ in range(4)))
        if decoder:
            self.embed, self.head = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 12, 1)
            self.decoder_blocks = nn.Sequential(*(Residual(8, 8) for _ in range(2)))
        else:
            self.fc = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.stem(x).relu())
        return self.fc(x.mean((2, 3))) if hasattr(self, "fc") else self.head(self.decoder_blocks(self.embed(x)))


@pytest.mark.parametrize("decoder", [True, False])
def test_a_decoder_of_the_same_blocks_in_another_row_is_around_the_encoder(decoder: bool) -> None:
    source, target = seeded(Row, not decoder), seeded(Row, decoder)
    plan = apply_tli(target, source, example=(2, 3, 16, 16), options=MAPS)
    for step in plan.steps:
        taken = [piece.source for piece in step.pieces]
        if step.target.startswith(("stem.", "blocks.")):
            assert taken == [step.target] and step.exact, step.target
        else:
            assert not taken and not step.exact, step.target

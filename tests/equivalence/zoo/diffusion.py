"""An autoencoder and a U-Net as the first latent diffusion code names them and as a later library does.

The one counts its decoder's stages down and keeps all blocks of the U-Net in two lists; the other defines the middle
behind the decoder, and keeps the residual blocks and the attentions of a stage in lists side by side.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import interpolate, scaled_dot_product_attention

WIDTHS = (8, 16, 16)


def _norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(4, width)


class _Named(nn.Module):
    """A residual block with a step's embedding: `norm1`, `conv1`, `time_emb_proj`, `conv_shortcut`."""

    def __init__(self, before: int, width: int, step: int = 0) -> None:
        super().__init__()
        self.norm1, self.conv1 = _norm(before), nn.Conv2d(before, width, 3, padding=1)
        if step:
            self.time_emb_proj = nn.Linear(step, width)
        self.norm2, self.conv2 = _norm(width), nn.Conv2d(width, width, 3, padding=1)
        if before != width:
            self.conv_shortcut = nn.Conv2d(before, width, 1)

    def forward(self, x: torch.Tensor, step: torch.Tensor | None = None) -> torch.Tensor:
        inner = self.conv1(self.norm1(x).relu())
        if step is not None:
            inner = inner + self.time_emb_proj(step.relu())[:, :, None, None]
        inner = self.conv2(self.norm2(inner).relu())
        return inner + (self.conv_shortcut(x) if hasattr(self, "conv_shortcut") else x)  # type: ignore[no-any-return]


class _Sequences(nn.Module):
    """The same block: `in_layers`, `emb_layers`, `out_layers`, `skip_connection`."""

    def __init__(self, before: int, width: int, step: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(_norm(before), nn.ReLU(), nn.Conv2d(before, width, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.ReLU(), nn.Linear(step, width))
        self.out_layers = nn.Sequential(_norm(width), nn.ReLU(), nn.Dropout(), nn.Conv2d(width, width, 3, padding=1))
        self.skip_connection = nn.Conv2d(before, width, 1) if before != width else nn.Identity()

    def forward(self, x: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        inner = self.out_layers(self.in_layers(x) + self.emb_layers(step)[:, :, None, None])
        return self.skip_connection(x) + inner  # type: ignore[no-any-return]


class _Attention(nn.Module):
    def __init__(self, width: int, bias: bool = True) -> None:
        super().__init__()
        self.norm = _norm(width)
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width, bias) for _ in range(3))
        self.proj_out = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places = self.norm(x).flatten(2).transpose(1, 2)
        out = scaled_dot_product_attention(self.to_q(places), self.to_k(places), self.to_v(places))
        return x + self.proj_out(out).transpose(1, 2).reshape(x.shape)  # type: ignore[no-any-return]


class _Resampling(nn.Module):
    def __init__(self, width: int, down: bool) -> None:
        super().__init__()
        self.conv, self.down = nn.Conv2d(width, width, 3, 2 if down else 1, 1), down

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x if self.down else interpolate(x, scale_factor=2.0))  # type: ignore[no-any-return]


def _holding(**parts: nn.Module) -> nn.Module:
    module = nn.Module()
    for name, part in parts.items():
        module.add_module(name, part)
    return module


class _Half(nn.Module):
    """An encoder or a decoder; `later` says whose names it has."""

    def __init__(self, ends: tuple[int, int], down: bool, later: bool) -> None:
        super().__init__()
        row = WIDTHS if down else WIDTHS[::-1]
        self.conv_in = nn.Conv2d(ends[0], row[0], 3, padding=1)
        stages = []
        for i, width in enumerate(row):
            blocks = nn.ModuleList([_Named(row[max(i - 1, 0)], width)])
            resampling = [_Resampling(width, down)] if i + 1 < len(row) else []
            if later:
                more = {f"{'down' if down else 'up'}samplers": nn.ModuleList(resampling)} if resampling else {}
                stages.append(_holding(resnets=blocks, **more))
            else:
                more = {f"{'down' if down else 'up'}sample": resampling[0]} if resampling else {}
                stages.append(_holding(block=blocks, **more))
        names = ("down_blocks", "up_blocks", "mid_block") if later else ("down", "up", "mid")
        middle = [_Named(WIDTHS[-1], WIDTHS[-1]) for _ in range(2)]
        mid = _holding(resnets=nn.ModuleList(middle)) if later else _holding(block_1=middle[0], block_2=middle[1])
        held = nn.ModuleList(stages if down or later else stages[::-1])
        for name, module in ((names[not down], held), (names[2], mid))[:: 1 if down or later else -1]:
            self.add_module(name, module)
        self.norm_out, self.conv_out = _norm(row[-1]), nn.Conv2d(row[-1], ends[1], 3, padding=1)
        self._order = stages, middle, down

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        stages, middle, down = self._order
        rows = [[part for held in stage.children() for part in _listed(held)] for stage in stages]
        x = self.conv_in(x)
        for part in [part for row in ([*rows, middle] if down else [middle, *rows]) for part in row]:
            x = part(x)
        return self.conv_out(self.norm_out(x).relu())  # type: ignore[no-any-return]


def _listed(module: nn.Module) -> list[nn.Module]:
    return list(module) if isinstance(module, nn.ModuleList) else [module]


class Autoencoder(nn.Module):
    def __init__(self, later: bool = False) -> None:
        super().__init__()
        self.encoder, self.decoder = _Half((3, 4), True, later), _Half((4, 3), False, later)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.encoder(x))  # type: ignore[no-any-return]


class Latent(_Half):
    """A decoder of latents, of four channels or with others beside them."""

    def __init__(self, channels: int) -> None:
        super().__init__((channels, 3), down=False, later=True)


class _Unet(nn.Module):
    """What both U-Nets do: `down` and `up` are lists of lists of parts, each of which is joined with one before it."""

    def __init__(self) -> None:
        super().__init__()
        self.time_embed = nn.Linear(3, 12)

    def run(self, x: torch.Tensor, first: nn.Module, down: list, middle: list, up: list, last: list) -> torch.Tensor:  # type: ignore[type-arg]
        step = self.time_embed(x.mean((2, 3)))
        x = first(x)
        kept = [x]
        for parts in down:
            x = _through(parts, x, step)
            kept.append(x)
        x = _through(middle, x, step)
        for parts in up:
            x = _through(parts, torch.cat([x, kept.pop()], 1), step)
        return last[1](last[0](x).relu())  # type: ignore[no-any-return]


def _through(parts: list[nn.Module], x: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    for part in parts:
        x = part(x, step) if isinstance(part, (_Named, _Sequences)) else part(x)
    return x


class Listed(_Unet):
    """`input_blocks`, `middle_block`, `output_blocks`."""

    def __init__(self) -> None:
        super().__init__()
        one, two = 8, 16
        down = [[_Sequences(one, one, 12), _Attention(one)], [_Resampling(one, True)],
                [_Sequences(one, two, 12), _Attention(two)]]  # fmt: skip
        self.input_blocks = nn.ModuleList([nn.ModuleList([nn.Conv2d(3, one, 3, padding=1)]), *map(nn.ModuleList, down)])
        self.middle_block = nn.ModuleList([_Sequences(two, two, 12), _Attention(two), _Sequences(two, two, 12)])
        up = [[_Sequences(two + two, two, 12), _Attention(two)],
              [_Sequences(two + one, two, 12), _Attention(two), _Resampling(two, False)],
              [_Sequences(two + one, one, 12), _Attention(one)],
              [_Sequences(one + one, one, 12), _Attention(one)]]  # fmt: skip
        self.output_blocks = nn.ModuleList(map(nn.ModuleList, up))
        self.out = nn.Sequential(_norm(one), nn.ReLU(), nn.Conv2d(one, 3, 3, padding=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, *down = self.input_blocks
        return self.run(x, first[0], down, self.middle_block, self.output_blocks, [self.out[0], self.out[2]])  # type: ignore[arg-type]


class Staged(_Unet):
    """`down_blocks`, `up_blocks` and then `mid_block`, which hold `attentions` and `resnets`."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        one, two = 8, 16
        self.conv_in = nn.Conv2d(3, one, 3, padding=1)
        down = [_stage([(one, one)], bias, _Resampling(one, True)), _stage([(one, two)], bias)]
        self.down_blocks = nn.ModuleList(down)
        self.up_blocks = nn.ModuleList([
            _stage([(two + two, two), (two + one, two)], bias, _Resampling(two, False)),
            _stage([(two + one, one), (one + one, one)], bias),
        ])  # fmt: skip
        self.mid_block = _stage([(two, two)], bias)
        self.mid_block.resnets.append(_Named(two, two, 12))  # type: ignore[operator, union-attr]
        self.conv_norm_out, self.conv_out = _norm(one), nn.Conv2d(one, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        down = [parts for stage in self.down_blocks for parts in _steps(stage, False)]
        up = [parts for stage in self.up_blocks for parts in _steps(stage, True)]
        middle = [*_steps(self.mid_block, False)[0], self.mid_block.resnets[1]]  # type: ignore[index]
        return self.run(x, self.conv_in, down, middle, up, [self.conv_norm_out, self.conv_out])


def _stage(sizes: list[tuple[int, int]], bias: bool, resampling: _Resampling | None = None) -> nn.Module:
    parts = {"attentions": nn.ModuleList(_Attention(width, bias) for _, width in sizes),
             "resnets": nn.ModuleList(_Named(before, width, 12) for before, width in sizes)}  # fmt: skip
    return _holding(**parts, **({"samplers": nn.ModuleList([resampling])} if resampling else {}))


def _steps(stage: nn.Module, joined: bool) -> list[list[nn.Module]]:
    """Return the parts of a stage, cut where something is joined or kept."""
    steps = [list(pair) for pair in zip(stage.resnets, stage.attentions, strict=False)]  # type: ignore[call-overload]
    last = list(getattr(stage, "samplers", []))
    return [*steps[:-1], [*steps[-1], *last]] if joined else [*steps, last] if last else steps

"""Networks of other kinds: U-Nets, generators, recurrent, audio, volumes, two inputs, tables, mixers."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as functional
from torch import nn

from tests.wild.parts import EPS, activation, norm_over_channels, norm_over_last, reparametrised

Design = Mapping[str, Any]


def double_conv(d: Design, inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a in (inputs, outputs):
        layers += [nn.Conv2d(a, outputs, d["kernel"], padding=d["kernel"] // 2, bias=d["biased"])]
        layers += [norm_over_channels(d["norm"], outputs, 2, d["norm_groups"]), activation(d["act"], outputs)]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    def __init__(self, d: Design) -> None:
        super().__init__()
        width, up = d["width"], d["up"]
        counts = [width * 2**i for i in range(d["levels"] + 1)]
        self.d = d
        self.outc = nn.Conv2d(width, d["classes"], 1)
        self.inc = double_conv(d, 3, width)
        self.downs = nn.ModuleList([double_conv(d, a, b) for a, b in pairwise(counts)])
        if d["down"] == "conv":
            self.strided = nn.ModuleList([nn.Conv2d(a, a, 3, 2, 1) for a in counts[:-1]])
        pairs = list(zip(counts[1:], counts, strict=False))[::-1]
        if up == "transposed":
            self.ups = nn.ModuleList([nn.ConvTranspose2d(a, b, 2, 2) for a, b in pairs])
        elif up == "shuffle":
            self.ups = nn.ModuleList([nn.Sequential(nn.Conv2d(a, 4 * b, 1), nn.PixelShuffle(2)) for a, b in pairs])
        else:
            self.ups = nn.ModuleList([nn.Conv2d(a, b, 1) for a, b in pairs])
        joined = 1 if d["skip"] == "add" else 2
        self.merges = nn.ModuleList([double_conv(d, joined * b, b) for _, b in pairs])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips = []
        x = self.inc(x)
        for index, down in enumerate(self.downs):
            skips.append(x)
            x = self.strided[index](x) if self.d["down"] == "conv" else functional.max_pool2d(x, 2)
            x = down(x)
        for up, merge in zip(self.ups, self.merges, strict=True):
            if self.d["up"] == "resized":
                x = functional.interpolate(x, scale_factor=2, mode="nearest")
            x = up(x)
            skip = skips.pop()
            x = x + skip if self.d["skip"] == "add" else torch.cat(
                [skip, x] if self.d["skip"] == "skip_first" else [x, skip], 1)  # fmt: skip
            x = merge(x)
        return self.outc(x)


class Generator(nn.Module):
    """A vector to an image, with transposed convolutions."""

    def __init__(self, d: Design) -> None:
        super().__init__()
        width = d["width"]
        self.fc = nn.Linear(10, 4 * width * 16)
        self.width = 4 * width
        layers: list[nn.Module] = []
        for a, b in ((4 * width, 2 * width), (2 * width, width)):
            layer = reparametrised(d["reparametrised"], nn.ConvTranspose2d(a, b, 4, 2, 1, bias=d["biased"]))
            layers += [layer, norm_over_channels(d["norm"], b, 2, d["norm_groups"]), activation(d["act"], b)]
        self.main = nn.Sequential(*layers, nn.Conv2d(width, 3, 3, padding=1), nn.Tanh())

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.main(self.fc(z).view(-1, self.width, 4, 4))


class AutoEncoder(nn.Module):
    """Variational: two heads for one code, of which the mean goes on."""

    def __init__(self, d: Design) -> None:
        super().__init__()
        width, code = d["width"], d["code"]
        self.enc = nn.Sequential(nn.Conv2d(3, width, 4, 2, 1), activation(d["act"], width),
                                 nn.Conv2d(width, 2 * width, 4, 2, 1), activation(d["act"], 2 * width))  # fmt: skip
        self.mu, self.logvar = nn.Linear(2 * width * 16, code), nn.Linear(2 * width * 16, code)
        self.expand = nn.Linear(code, 2 * width * 16)
        self.dec = nn.Sequential(nn.ConvTranspose2d(2 * width, width, 4, 2, 1), activation(d["act"], width),
                                 nn.ConvTranspose2d(width, 3, 4, 2, 1))  # fmt: skip

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h = torch.flatten(self.enc(x), 1)
        mu, logvar = self.mu(h), self.logvar(h)
        y = self.expand(mu)
        return self.dec(y.view(y.shape[0], -1, 4, 4)), logvar


class Recurrent(nn.Module):
    """Words through a recurrent network to classes, tags, or logits of words."""

    def __init__(self, d: Design) -> None:
        super().__init__()
        width, both = d["width"], d["both_ways"]
        make = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[d["cell"]]
        self.d = d
        self.emb = nn.Embedding(d["vocabulary"], d["embedded"])
        self.rnn = make(d["embedded"], width, d["depth"], batch_first=True, bidirectional=both)
        outputs = width * (2 if both else 1)
        self.norm = norm_over_last(d["norm"], outputs) if d["last_norm"] else nn.Identity()
        self.attn = nn.Linear(outputs, 1) if d["reads"] == "attended" else None
        self.fc = nn.Linear(outputs, d["classes"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, _ = self.rnn(self.emb(x))
        y = self.norm(y)
        if self.attn is not None:
            y = (torch.softmax(self.attn(y), 1) * y).sum(1)
        elif self.d["reads"] == "last":
            y = y[:, -1]
        elif self.d["reads"] == "mean":
            y = y.mean(1)
        return self.fc(y)


class ConvRecurrent(nn.Module):
    """Convolutions over a spectrogram, a recurrent network over its columns, symbols out (CRNN)."""

    def __init__(self, d: Design) -> None:
        super().__init__()
        width = d["width"]
        self.cnn = nn.Sequential(
            nn.Conv2d(1, width, 3, 1, 1), nn.BatchNorm2d(width, eps=EPS), nn.ReLU(), nn.MaxPool2d((2, 1)),
            nn.Conv2d(width, 2 * width, 3, 1, 1), nn.ReLU(), nn.MaxPool2d((2, 1)))  # fmt: skip
        self.rnn = nn.GRU(2 * width * 2, d["hidden"], bidirectional=True)
        self.fc = nn.Linear(2 * d["hidden"], d["classes"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.cnn(x)
        n, c, h, t = y.shape
        y, _ = self.rnn(y.view(n, c * h, t).permute(2, 0, 1))
        return self.fc(y).transpose(0, 1)


class Waves(nn.Module):
    """Dilated causal convolutions with gates and skips (WaveNet), or plain residual ones (TCN)."""

    def __init__(self, d: Design) -> None:
        super().__init__()
        width, skip, kernel = d["width"], d["skipped"], d["kernel"]
        self.gated = d["gated"]
        self.start = reparametrised(d["reparametrised"], nn.Conv1d(2, width, 1))
        inner = 2 * width if self.gated == "split" else width
        self.dilated = nn.ModuleList([nn.Conv1d(width, inner, kernel, dilation=2**i) for i in range(d["depth"])])
        self.gates = nn.ModuleList(
            [nn.Conv1d(width, width, kernel, dilation=2**i) for i in range(d["depth"] if self.gated == "two" else 0)]
        )
        self.residuals = nn.ModuleList([nn.Conv1d(width, width, 1) for _ in range(d["depth"])])
        self.skips = nn.ModuleList([nn.Conv1d(width, skip, 1) for _ in range(d["depth"])])
        self.norm = norm_over_channels(d["norm"], skip, 1, d["norm_groups"])
        self.end = nn.Conv1d(skip, d["classes"], 1)
        self.kernel = kernel

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.start(x)
        total: torch.Tensor | float = 0.0
        for i, layer in enumerate(self.dilated):
            padded = functional.pad(x, ((self.kernel - 1) * 2**i, 0))
            y = layer(padded)
            if self.gated == "split":
                a, b = y.split(x.shape[1], 1)
                y = torch.tanh(a) * torch.sigmoid(b)
            elif self.gated == "two":
                y = torch.tanh(y) * torch.sigmoid(self.gates[i](padded))
            else:
                y = functional.relu(y)
            total = total + self.skips[i](y)
            x = x + self.residuals[i](y)
        return self.end(functional.relu(self.norm(total)))  # type: ignore[arg-type]


class Volumes(nn.Module):
    """3-D convolutions, or (2+1)-D ones, in residual blocks."""

    def __init__(self, d: Design) -> None:
        super().__init__()
        width, k = d["width"], d["kernel"]
        self.stem = nn.Conv3d(2, width, 3, padding=1)
        split, p = d["split"], k // 2
        self.convs = nn.ModuleList([
            nn.Sequential(nn.Conv3d(width, width, (1, k, k), padding=(0, p, p), bias=False), nn.ReLU(),
                          nn.Conv3d(width, width, (k, 1, 1), padding=(p, 0, 0), bias=False))
            if split else nn.Conv3d(width, width, k, padding=p, bias=False) for _ in range(d["depth"])])  # fmt: skip
        self.norms = nn.ModuleList(
            [norm_over_channels(d["norm"], width, 3, d["norm_groups"]) for _ in range(d["depth"])]
        )
        self.act = activation(d["act"], width)
        self.fc = nn.Linear(width, d["classes"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = self.act(x + norm(conv(x)))
        return self.fc(x.mean(dim=(-3, -2, -1)))


class Towers(nn.Module):
    """Images and words, each through its tower, to one space; one tower may serve both inputs."""

    def __init__(self, d: Design) -> None:
        super().__init__()
        width, joint = d["width"], d["joint"]
        self.siamese = d["siamese"]
        self.image = nn.Sequential(
            nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width, eps=EPS), activation(d["act"], width),
            nn.Conv2d(width, 2 * width, 3, 2, 1), activation(d["act"], 2 * width),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * width, joint))  # fmt: skip
        if not self.siamese:
            self.words = nn.Embedding(d["vocabulary"], width)
            self.text = nn.Sequential(nn.Linear(width, d["hidden"]), nn.ReLU(), nn.Linear(d["hidden"], joint))
        self.logit_scale = nn.Parameter(torch.tensor(1.3))
        self.fuse = nn.Linear(3 * joint, d["classes"])

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        u = self.image(a)
        v = self.image(b) if self.siamese else self.text(self.words(b).mean(1))
        similar = self.logit_scale.exp() * functional.normalize(u, dim=-1) @ functional.normalize(v, dim=-1).t()
        return self.fuse(torch.cat([u, v, (u - v).abs()], 1)), similar


class Recommender(nn.Module):
    """Tables of embeddings and numbers; factors multiplied, a deep part, or a cross part (DLRM, DeepFM, DCN)."""

    TABLES = (7, 11, 7)

    def __init__(self, d: Design) -> None:
        super().__init__()
        width, hidden = d["width"], d["hidden"]
        self.kind = d["kind"]
        self.tables = nn.ModuleList([nn.Embedding(n, width) for n in self.TABLES])
        self.first = nn.ModuleList([nn.Embedding(n, 1) for n in self.TABLES])
        self.bottom = nn.Sequential(nn.Linear(4, hidden), nn.ReLU(), nn.Linear(hidden, width))
        count = (len(self.TABLES) + 1) * width
        if self.kind == "dots":
            count = width + (len(self.TABLES) + 1) * len(self.TABLES) // 2
        if self.kind == "cross":
            self.kernels = nn.ParameterList([nn.Parameter(0.3 * torch.randn(count)) for _ in range(d["depth"])])
            self.biases = nn.ParameterList([nn.Parameter(torch.zeros(count)) for _ in range(d["depth"])])
        self.deep = nn.Sequential(
            nn.Linear(count, hidden), nn.BatchNorm1d(hidden, eps=EPS), nn.ReLU(), nn.Linear(hidden, 1)
        )

    def forward(self, numbers: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        dense = self.bottom(numbers)
        factors = torch.stack([dense, *(table(ids[:, i]) for i, table in enumerate(self.tables))], 1)
        linear = sum(table(ids[:, i]) for i, table in enumerate(self.first))
        if self.kind == "dots":
            product = torch.bmm(factors, factors.transpose(1, 2))
            row, column = torch.tril_indices(factors.shape[1], factors.shape[1], offset=-1)
            x = torch.cat([dense, product[:, row, column]], 1)
        else:
            x = factors.flatten(1)
        if self.kind == "cross":
            x0 = x
            for kernel, bias in zip(self.kernels, self.biases, strict=True):
                x = x0 * (x @ kernel)[:, None] + bias + x
        out = self.deep(x) + linear
        if self.kind == "factors":
            out = out + 0.5 * (factors.sum(1).pow(2) - factors.pow(2).sum(1)).sum(1, keepdim=True)
        return torch.sigmoid(out)


class Mixer(nn.Module):
    """Maps over tokens and over channels in turn; gated in space, or scaled affinely (gMLP, ResMLP)."""

    def __init__(self, d: Design) -> None:
        super().__init__()
        width, kind = d["width"], d["kind"]
        self.kind = kind
        self.stem = nn.Conv2d(3, width, 4, 4)
        norm, depth, inner = d["norm"], range(d["depth"]), d["ratio"] * width
        self.n1 = nn.ModuleList([norm_over_last(norm, width) for _ in depth])
        self.n2 = nn.ModuleList([norm_over_last(norm, width) for _ in depth])
        hidden = d["hidden"]
        self.tok1 = nn.ModuleList([nn.Linear(16, 16 if kind == "single" else hidden) for _ in depth])
        self.tok2 = nn.ModuleList([nn.Linear(hidden, 16) for _ in (depth if kind == "mlp" else ())])
        self.ch1 = nn.ModuleList([nn.Linear(width, inner) for _ in depth])
        self.ch2 = nn.ModuleList([nn.Linear(inner, width) for _ in depth])
        self.head = nn.Linear(width, d["classes"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).flatten(2).mT
        for i in range(len(self.n1)):
            y = self.tok1[i](self.n1[i](x).mT)
            x = x + (self.tok2[i](functional.gelu(y)) if self.kind == "mlp" else y).mT
            x = x + self.ch2[i](functional.gelu(self.ch1[i](self.n2[i](x))))
        return self.head(x.mean(1))


class Rows(nn.Module):
    """A network over vectors: plain, residual, highway, or with the input read again half way (NeRF)."""

    def __init__(self, d: Design) -> None:
        super().__init__()
        width, depth, kind = d["width"], d["depth"], d["kind"]
        self.kind, self.half = kind, depth // 2
        self.entry = nn.Linear(8, width)
        again = {self.half: width + 8} if kind == "again" else {}
        self.layers = nn.ModuleList([nn.Linear(again.get(i, width), width) for i in range(depth)])
        self.transform = nn.ModuleList([nn.Linear(width, width) for _ in range(depth if kind == "highway" else 0)])
        norms = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
        make = norms.get(d["norm"])
        self.norms = nn.ModuleList([make(width, eps=EPS) if make else nn.Identity() for _ in range(depth)])
        self.film = nn.Linear(3, 2 * width) if d["film"] else None
        self.out = nn.Linear(width, d["classes"])
        self.act = activation(d["act"], width)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        given = x
        x = self.act(self.entry(x))
        for i, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            if self.kind == "again" and i == self.half:
                x = torch.cat([x, given], -1)
            if self.kind == "residual":
                x = x + self.act(norm(layer(x)))
            elif self.kind == "highway":
                t = torch.sigmoid(self.transform[i](x))
                x = t * self.act(norm(layer(x))) + (1 - t) * x
            else:
                x = self.act(norm(layer(x)))
        if self.film is not None:
            gamma, beta = self.film(condition).chunk(2, -1)
            x = x * (1 + gamma) + beta
        return self.out(x)


class Translator(nn.Module):
    """An encoder and a decoder with attention across, of torch's own modules or of cells unrolled by hand."""

    def __init__(self, d: Design) -> None:
        super().__init__()
        width, self.kind = d["width"], d["kind"]
        self.src, self.tgt = nn.Embedding(13, width), nn.Embedding(d["vocabulary"], width)
        if self.kind == "torch":
            self.core = nn.Transformer(width, d["heads"], d["depth"], d["depth"], d["hidden"], batch_first=True,
                                       norm_first=d["norm_first"], activation="gelu", layer_norm_eps=EPS)  # fmt: skip
        else:
            self.enc = nn.GRU(width, d["hidden"], batch_first=True)
            self.cell = nn.GRUCell(width + d["hidden"], d["hidden"])
            self.score = nn.Linear(d["hidden"], d["hidden"], bias=False)
        self.out = nn.Linear(width if self.kind == "torch" else d["hidden"], d["vocabulary"])

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        if self.kind == "torch":
            return self.out(self.core(self.src(a), self.tgt(b)))
        memory, state = self.enc(self.src(a))
        state, outs = state[0], []
        for token in self.tgt(b).unbind(1):
            weights = (memory @ self.score(state).unsqueeze(-1)).softmax(1)
            state = self.cell(torch.cat([token, (weights * memory).sum(1)], -1), state)
            outs.append(state)
        return self.out(torch.stack(outs, 1))

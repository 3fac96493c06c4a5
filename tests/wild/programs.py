"""Programs drawn from instructions, as networks of any width."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from random import Random

import torch
from torch import nn

from tests.wild.instructions import INSTRUCTIONS, PLACES, Instruction

EXAMPLE = (torch.randn(2, PLACES, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64),)
WEIGHTS = {"layer": 4, "norm": 3, "activation": 3, "join": 4, "learned": 2, "channels": 2}
"""How often an instruction of a kind is drawn, over one of another kind."""
WIDEST = 3
CHANGEABLE = ("activation", "places", "channels", "number", "attention")
"""Kinds of which any two hold the same tensors."""


@dataclass(frozen=True)
class Line:
    """An instruction by its kind and name, and the values that it takes."""

    kind: str
    name: str
    taken: tuple[int, ...]

    @property
    def instruction(self) -> Instruction:
        return INSTRUCTIONS[self.kind][self.name]


@dataclass(frozen=True)
class Program:
    """Lines, each of which gives one more value behind the two that a network begins with, as wide as `widths` say."""

    lines: tuple[Line, ...]
    widths: tuple[int, ...]

    @property
    def ends(self) -> list[int]:
        """The values that no line takes."""
        return [i for i in range(len(self.widths)) if not any(i in line.taken for line in self.lines)]


def drawn(seed: int) -> Program:
    """Return a program of two to six lines."""
    rng, lines, widths = Random(seed), list[Line](), [1, 1]
    length = rng.randint(2, 6)
    while len(lines) < length:
        kind = rng.choices(list(INSTRUCTIONS), [WEIGHTS.get(kind, 1) for kind in INSTRUCTIONS])[0]
        name = rng.choice(list(INSTRUCTIONS[kind]))
        found = INSTRUCTIONS[kind][name]
        first = len(widths) - 1 if rng.random() < 0.75 else rng.randrange(len(widths))
        taken = (first, *(rng.randrange(len(widths)) for _ in range(found.taken - 1)))
        width, rest = divmod(widths[first] * found.grows, found.parts)
        if not rest and width <= WIDEST and len({widths[i] for i in taken}) == 1:
            lines.append(Line(kind, name, taken))
            widths.append(width)
    return Program(tuple(lines), tuple(widths))


def changed(program: Program, rng: Random) -> Program | None:
    """Return a program with the same tensors, of which one line does something else; None if it has none such."""
    places = [i for i, line in enumerate(program.lines) if line.kind in CHANGEABLE]
    if not places:
        return None
    at = rng.choice(places)
    line = program.lines[at]
    other = replace(line, name=rng.choice([name for name in INSTRUCTIONS[line.kind] if name != line.name]))
    return replace(program, lines=(*program.lines[:at], other, *program.lines[at + 1 :]))


def moved(program: Program) -> list[Program]:
    """Return the programs with the same tensors of which one line takes other values, or the same in another order."""
    found = []
    for i, line in enumerate(program.lines):
        offered = [j for j in range(i + 2) if program.widths[j] == program.widths[line.taken[0]]]
        for taken in product(offered, repeat=len(line.taken)):
            other = replace(program, lines=(*program.lines[:i], replace(line, taken=taken), *program.lines[i + 1 :]))
            found += [other] if taken != line.taken and other.ends == program.ends else []
    return found


class Network(nn.Module):
    """The network of a program; what it gives for each place is the sum of what all ends give."""

    def __init__(self, program: Program, width: int) -> None:
        super().__init__()
        self.program = program
        self.begin = nn.ModuleList([nn.Linear(4, width), nn.Linear(4, width)])
        made = ((line.instruction.make, program.widths[line.taken[0]] * width) for line in program.lines)
        self.steps = nn.ModuleList(nn.Identity() if make is None else make(size) for make, size in made)
        self.heads = nn.ModuleList(nn.Linear(program.widths[end] * width, 3) for end in program.ends)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = [self.begin[0](x), self.begin[1](x.flip(1))]
        for line, module in zip(self.program.lines, self.steps, strict=True):
            values.append(line.instruction.run(module, [values[i] for i in line.taken]))
        found = [head(values[end]) for head, end in zip(self.heads, self.program.ends, strict=True)]
        return torch.stack(found).sum(0)

"""Recurrent layers of torch: their gates stay together, in the order in which both kinds have them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tli_cli import api, apply_tli
from tli_cli.initial import GATES
from tli_cli.options import Options
from tli_cli.planning.starts.stacked import NEARLY


class Reader(nn.Module):
    """Tells something of each token."""

    def __init__(self, kind: str, width: int = 12, layers: int = 1, both: bool = False) -> None:
        super().__init__()
        torch.manual_seed(layers)
        self.table = nn.Embedding(20, 12)
        self.rnn = getattr(nn, kind)(12, width, layers, batch_first=True, bidirectional=both)
        self.head = nn.Linear((1 + both) * width, 20)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.rnn(self.table(tokens))[0])


def taken(source: str, target: str) -> dict[str, set[str]]:
    plan = api.match(f"{__name__}:{source}", f"{__name__}:{target}", options=Options(input_shape=(6,)))
    return {step.target: {piece.source for piece in step.pieces} for step in plan.steps if "rnn." in step.target}


@pytest.mark.parametrize(("source", "target"), [("LSTM", "GRU"), ("GRU", "LSTM"), ("GRU", "GRU"), ("LSTM", "LSTM")])
def test_what_reads_an_input_and_what_reads_a_state_come_from_the_like(source, target):
    found = taken(f"Reader?kind={source}", f"Reader?kind={target}")
    assert len(found) == 4 and all(given == {name} for name, given in found.items())


def test_no_gate_of_a_deeper_network_comes_from_another_gate():
    source, target = Reader("GRU"), Reader("GRU", layers=2)
    apply_tli(target, source, example=torch.zeros(1, 6, dtype=torch.long))
    gates = [value.detach().chunk(3) for value in source.rnn.parameters()]
    for value in target.rnn.parameters():
        for place, gate in enumerate(value.detach().chunk(3)):
            others = [g[i] for g in gates for i in range(3) if i != place and g[i].shape == gate.shape]
            assert not any(torch.equal(gate, other) for other in others)


@pytest.mark.parametrize(
    ("kind", "source", "target", "both"),
    [
        ("LSTM", (16, 1), (16, 2), False),
        ("GRU", (16, 2), (24, 4), False),
        ("LSTM", (12, 1), (16, 3), True),
        ("RNN", (16, 1), (16, 2), False),
    ],
)
def test_what_a_stack_gains_passes_on_nearly_what_it_gets(kind, source, target, both):
    small, large = (Reader(kind, *sizes, both=both) for sizes in (source, target))
    tokens = torch.randint(20, (64, 6), generator=torch.Generator().manual_seed(0))
    plan = apply_tli(large, small, example=tokens)
    added = [step for step in plan.steps if step.reason == NEARLY]
    assert {step.initial for step in added} & {*GATES} and not any(step.exact for step in added)
    with torch.no_grad():
        given, wanted = (model.eval()(tokens) - model.head.bias for model in (large, small))
    assert torch.nn.functional.cosine_similarity(given, wanted, dim=-1).mean() > 0.98


def test_the_gates_of_another_kind_are_taken_in_order():
    source, target = Reader("GRU"), Reader("LSTM")
    apply_tli(target, source, example=torch.zeros(1, 6, dtype=torch.long))
    theirs, mine = source.rnn.weight_hh_l0.detach().chunk(3), target.rnn.weight_hh_l0.detach().chunk(4)
    assert all(torch.equal(one, other) for one, other in zip(mine, theirs, strict=False))

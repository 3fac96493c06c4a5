"""A table that a bare checkpoint has beside others, and the target lacks, may be added to what these give."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.core.support import distance, promises
from tests.models import randomised
from tests.models_tokens import Encoder
from tli_cli import Options, apply_tli

TOKENS = (torch.randint(9, (2, 5), generator=torch.Generator().manual_seed(0)),)


class Text(nn.Module):
    def __init__(self, types: bool) -> None:
        super().__init__()
        self.embeddings = nn.Module()
        self.embeddings.word_embeddings = nn.Embedding(9, 8)
        if types:
            self.embeddings.token_type_embeddings = nn.Embedding(1, 8)
        self.layers = nn.Sequential(Encoder(8, 2, 4, 16, False, False), Encoder(8, 2, 4, 16, False, False))
        self.head = nn.Linear(8, 3)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        found = self.embeddings.word_embeddings(tokens)
        if hasattr(self.embeddings, "token_type_embeddings"):
            found = found + self.embeddings.token_type_embeddings(torch.zeros_like(tokens))
        return self.head(self.layers(found))


@pytest.mark.parametrize("types", [True, False])
def test_a_table_beside_it_that_the_target_lacks_is_said(types: bool, tmp_path: Path) -> None:
    given, wanted = randomised(Text(types), 1), randomised(Text(types=False), 2)
    torch.save(given.state_dict(), tmp_path / "source.pt")
    plan = apply_tli(wanted, tmp_path / "source.pt", example=TOKENS, options=Options(method="maps", head="keep"))
    assert promises(plan) is (distance(given, wanted, TOKENS) < 1e-9) is (not types)
    said = plan.by_target["embeddings.word_embeddings.weight"].reason
    assert ("token_type_embeddings" in said) is types

"""Tables of positions of texts are taken by row; fairseq's models have two rows ahead of the first position's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.equivalence.harness import EXACT, compare, transfer

SIDES = [("hf:bert", "hf:roberta"), ("hf:roberta", "hf:bert")]


@pytest.mark.parametrize(("source", "target"), SIDES)
@pytest.mark.parametrize("bare", [False, True])
def test_bert_and_roberta_compute_the_same_with_the_same_tables(
    source: str, target: str, bare: bool, tmp_path: Path
) -> None:
    result = transfer(tmp_path, source, target, shape=None, suffix=".safetensors", traced=not bare, bare_target=bare)
    assert compare(result, None) < EXACT
    assert set(result.adapted) == {"embeddings.position_embeddings.weight"} and not result.kept.keys() - {
        "embeddings.position_ids"
    }


@pytest.mark.parametrize("bare", [False, True])
def test_a_tokens_position_is_its_own_where_the_other_library_has_none(bare: bool, tmp_path: Path) -> None:
    ways = {"traced": not bare, "bare_target": bare, "suffix": ".safetensors", "shape": (3, 32, 32)}
    for source, target in ((first := "hf:vit", second := "images:timm_vit?no_embed_class=True"), (second, first)):
        result = transfer(tmp_path, source, target, **ways)
        assert compare(result, (3, 32, 32)) < EXACT
        assert not result.kept and not result.report.plan.unused
        assert bare != all(step.exact for step in result.report.plan.steps)

"""Tokens with rows of their own in a table of positions, and tokens without."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from tests.core.support import promises
from tli_cli import Options, apply_tli, match
from tli_cli.catalogue.libraries import import_timm

SIZES = {"img_size": 32, "patch_size": 8, "depth": 2, "num_heads": 2, "mlp_ratio": 2, "num_classes": 5}


def vit(**changes):
    width = changes.pop("embed_dim", 16)
    model = import_timm().create_model("vit_base_patch16_224", embed_dim=width, **SIZES, **changes).eval()
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(torch.randn_like(value) * 0.3)
    return model.double()


@pytest.mark.parametrize(("before", "after"), [({}, {"no_embed_class": True}), ({"no_embed_class": True}, {}),
                                               ({}, {"no_embed_class": True, "embed_dim": 32})])  # fmt: skip
def test_what_a_row_gives_a_token_is_the_tokens_own(before, after) -> None:
    source, target = vit(**before), vit(**after)
    image = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    plan = apply_tli(target, source, example=image.float(), options=Options(method="maps"))
    assert promises(plan) and plan.initialised == 0 and not plan.unused
    assert plan.relation == ("wider" if "embed_dim" in after else "adapted")
    assert torch.allclose(target(image), source(image), rtol=0, atol=1e-5)


@pytest.mark.parametrize("changes", [({}, {"no_embed_class": True}), ({"no_embed_class": True}, {})])
def test_so_it_is_with_a_bare_file_under_other_names(changes, tmp_path) -> None:
    source, target = vit(**changes[0]), vit(**changes[1])
    tensors = {n.replace("blocks", "layers").replace("mlp", "ffn"): t.float() for n, t in source.state_dict().items()}
    save_file(tensors, path := tmp_path / "source.safetensors")
    image = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    apply_tli(target, path, example=image.float(), options=Options(method="maps"))
    assert torch.allclose(target(image), source(image), rtol=0, atol=1e-5)


def test_other_methods_fold_nothing_and_claim_nothing() -> None:
    plan = apply_tli(vit(no_embed_class=True), vit(), options=Options(method="combo"))
    assert not plan.by_target["pos_embed"].exact and len(plan.by_target["cls_token"].pieces) == 1


def test_positions_without_channels_are_a_table_of_their_own(tmp_path) -> None:
    for name in ("source", "target"):
        values = {
            "conv.weight": torch.randn(4, 3, 2, 2),
            "stages.0.pos_emb": torch.randn(9),
            "stages.0.pos": torch.ones(1),
        }
        save_file(values, tmp_path / f"{name}.safetensors")
    plan = match(str(tmp_path / "source.safetensors"), str(tmp_path / "target.safetensors"))
    assert plan.initialised == 0


def test_tables_of_as_many_rows_are_copied_between_files(tmp_path) -> None:
    values = {name: value.float() for name, value in vit().state_dict().items()}
    save_file(values, tmp_path / "source.safetensors")
    torch.save(
        {n.replace("cls_token", "zeta").replace("pos_embed", "eta"): v for n, v in values.items()}, tmp_path / "t.pt"
    )
    steps = match(str(tmp_path / "source.safetensors"), str(tmp_path / "t.pt")).by_target
    assert steps["zeta"].resizer == "copy" and len(steps["zeta"].pieces) == 1

"""One thing changed between two models of one kind: it is adapted by its rule, and all the rest arrives byte for
byte."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from timm.layers import resample_abs_pos_embed, resize_rel_pos_bias_table
from timm.layers.patch_embed import resample_patch_embed

from tests.equivalence.harness import EXACT, Injected, compare, difference, outputs, transfer
from tli_cli.options import Options

VIT, DEIT, SWIN, BEIT = "images:timm_vit", "images:timm_deit", "images:timm_swin", "images:timm_beit"
RESNET, CONVNEXT = "images:timm_resnet", "images:timm_convnext"
CLOSE = 2e-6


def changed(result: Injected) -> set[str]:
    """Return the tensors that are not a source tensor's bytes; every one of them must say why."""
    held = [tensor for tensor in result.source.state_dict().values()]
    different = {
        name
        for name, tensor in result.tensors.items()
        if not any(tensor.shape == other.shape and torch.equal(tensor, other) for other in held)
    }
    said = {step.target for step in result.report.plan.steps if step.reason}
    assert different <= said
    return different


def close(given: torch.Tensor, wanted: torch.Tensor) -> bool:
    return bool((given.double() - wanted.double()).abs().max() < CLOSE * wanted.abs().max())


@pytest.mark.parametrize(("model", "tokens"), [(VIT, 1), (DEIT, 2)])
@pytest.mark.parametrize(("before", "after"), [(32, 64), (64, 32)])
def test_an_image_size_resamples_positions_and_keeps_tokens(
    model: str, tokens: int, before: int, after: int, tmp_path: Path
) -> None:
    result = transfer(tmp_path, f"{model}?img_size={before}", f"{model}?img_size={after}", shape="guessed")
    assert changed(result) == {"pos_embed"}
    old, new = result.source.state_dict()["pos_embed"], result.tensors["pos_embed"]
    assert torch.equal(old[:, :tokens], new[:, :tokens])
    assert close(new, resample_abs_pos_embed(old, [after // 8] * 2, num_prefix_tokens=tokens))


@pytest.mark.parametrize("change", ["no_embed_class=True", "class_token=False&global_pool=avg"])
def test_positions_without_tokens_are_the_others_as_they_are(change: str, tmp_path: Path) -> None:
    result = transfer(tmp_path, VIT, f"{VIT}?{change}", shape="guessed")
    old, new = result.source.state_dict()["pos_embed"], result.tensors["pos_embed"]
    assert torch.equal(new, old[:, 1:])
    back = transfer(tmp_path, f"{VIT}?{change}", VIT, shape="guessed")
    old, new = back.source.state_dict()["pos_embed"], back.tensors["pos_embed"]
    assert torch.equal(new[:, 1:], old)


@pytest.mark.parametrize(("source", "target"), [("images:tv_vit?image_size=32", "images:tv_vit?image_size=64"),
                                                ("hf:vit?image_size=32", "hf:vit?image_size=64"),
                                                (VIT, "images:tv_vit?image_size=64")])  # fmt: skip
def test_an_image_size_in_other_libraries(source: str, target: str, tmp_path: Path) -> None:
    result = transfer(tmp_path, source, target, shape="guessed")
    [(name, reason)] = result.adapted.items()
    assert reason == "grid 4->8"
    old = next(t for n, t in result.source.state_dict().items() if "pos" in n)
    assert close(result.tensors[name], resample_abs_pos_embed(old, [8, 8]))


@pytest.mark.parametrize(("before", "after"), [(4, 8), (8, 4)])
def test_a_window_interpolates_swin_bias_tables(before: int, after: int, tmp_path: Path) -> None:
    size = {4: 64, 8: 128}
    source, target = (f"{SWIN}?window_size={w}&img_size={size[w]}" for w in (before, after))
    result = transfer(tmp_path, source, target, shape="guessed")
    tables = {name for name in result.tensors if "bias_table" in name}
    assert tables and changed(result) == tables
    for name in tables:
        old, new = result.source.state_dict()[name], result.tensors[name]
        assert close(new, resize_rel_pos_bias_table(old, (after, after), tuple(new.shape)))


@pytest.mark.parametrize("model", [f"{BEIT}?img_size=", "hf:beit?image_size="])
def test_an_image_size_interpolates_beit_bias_tables(model: str, tmp_path: Path) -> None:
    result = transfer(tmp_path, f"{model}32", f"{model}64", shape="guessed")
    tables = {name for name in result.tensors if "bias_table" in name}
    assert tables and changed(result) == tables
    for name in tables:
        old, new = result.source.state_dict()[name], result.tensors[name]
        assert torch.equal(old[-3:], new[-3:])
        assert close(new, resize_rel_pos_bias_table(old, (8, 8), tuple(new.shape)))


def test_an_image_size_changes_nothing_in_a_maxvit_without_tables(tmp_path: Path) -> None:
    model = "images:timm_maxvit"
    result = transfer(tmp_path, model, f"{model}?img_size=128", shape="guessed", load=False)
    assert not changed(result)


@pytest.mark.parametrize(("patch", "image"), [(16, 64), (4, 16)])
def test_a_patch_size_resamples_the_kernel_by_the_pseudo_inverse(patch: int, image: int, tmp_path: Path) -> None:
    result = transfer(tmp_path, VIT, f"{VIT}?patch_size={patch}&img_size={image}", shape="guessed")
    assert changed(result) == {"patch_embed.proj.weight"}
    old = result.source.state_dict()["patch_embed.proj.weight"]
    assert close(result.tensors["patch_embed.proj.weight"], resample_patch_embed(old, [patch, patch]))


@pytest.mark.parametrize("before", [1, 2, 3, 4])
@pytest.mark.parametrize("after", [1, 2, 3, 5, 6])
def test_any_number_of_input_channels(before: int, after: int, tmp_path: Path) -> None:
    result = transfer(tmp_path, f"{VIT}?in_chans={before}", f"{VIT}?in_chans={after}", shape="guessed")
    assert changed(result) == ({"patch_embed.proj.weight"} if before != after else set())
    grey = torch.randn(2, 1, 32, 32, dtype=torch.float64)
    many = [outputs(m, grey.expand(-1, n, -1, -1)) for m, n in ((result.source, before), (result.target, after))]
    assert difference(*many) < EXACT
    if after >= before:
        image = torch.randn(2, before, 32, 32, dtype=torch.float64)
        repeated = image[:, torch.arange(after) % before]
        assert difference(outputs(result.source, image), outputs(result.target, repeated)) < EXACT


@pytest.mark.parametrize("after", [1, 6])
def test_input_channels_agree_with_timm(after: int, tmp_path: Path) -> None:
    from timm.models import adapt_input_conv

    result = transfer(tmp_path, RESNET, f"{RESNET}?in_chans={after}", shape="guessed")
    assert changed(result) == {"conv1.weight"}
    assert close(result.tensors["conv1.weight"], adapt_input_conv(after, result.source.state_dict()["conv1.weight"]))


def test_a_larger_kernel_keeps_the_outputs(tmp_path: Path) -> None:
    result = transfer(tmp_path, f"{CONVNEXT}?kernel_sizes=5", CONVNEXT)
    assert all("conv_dw.weight" in name for name in changed(result))
    assert compare(result, (3, 64, 64)) < EXACT


def test_an_activation_changes_no_tensor(tmp_path: Path) -> None:
    result = transfer(tmp_path, RESNET, f"{RESNET}?act_layer=gelu")
    assert not changed(result)
    assert not result.kept


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (VIT, f"{VIT}?depth=3"),
        (CONVNEXT, f"{CONVNEXT}?depths=1,3,1,1"),
        (f"{CONVNEXT}?depths=1,1,2,1", f"{CONVNEXT}?depths=2,1,4,2"),
        (f"{SWIN}?img_size=32&window_size=2", f"{SWIN}?img_size=32&window_size=2&depths=2,4"),
    ],
)
def test_an_inserted_block_keeps_the_outputs_and_all_other_tensors(source: str, target: str, tmp_path: Path) -> None:
    shape = (3, 32, 32)
    result = transfer(tmp_path, source, target, shape=shape)
    assert compare(result, shape) < EXACT
    assert all("identity" in reason for reason in result.kept.values())
    assert not result.adapted and not result.report.plan.unused


def test_a_removed_block_leaves_all_other_tensors_as_they_are(tmp_path: Path) -> None:
    result = transfer(tmp_path, f"{VIT}?depth=3", VIT, shape=(3, 32, 32))
    assert not changed(result)
    assert len(result.report.plan.unused) == 12


def test_inflation_to_video_keeps_the_outputs_on_a_still(tmp_path: Path) -> None:
    result = transfer(tmp_path, "video:frames", "video:clips", shape="guessed")
    assert all(reason == "kernel 1->3" for reason in result.adapted.values()) and result.adapted
    image = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    clip = image[:, :, None].expand(-1, -1, 4, -1, -1)
    assert difference(outputs(result.source, image), outputs(result.target, clip)) < EXACT


def test_another_vocabulary_keeps_rows_by_index(tmp_path: Path) -> None:
    target = "hf:gpt2?vocab_size=70&n_positions=40"
    result = transfer(tmp_path, "text:decoder", target, shape=None)
    words, old = result.tensors["transformer.wte.weight"], result.source.state_dict()["tok.weight"]
    assert torch.equal(words[:61], old)
    assert words[61:].abs().min() > 0
    assert torch.equal(result.tensors["transformer.wpe.weight"][:32], result.source.state_dict()["pos.weight"])
    assert set(result.adapted) <= {"transformer.wte.weight", "lm_head.weight", "transformer.wpe.weight"}


def test_a_fresh_head_is_the_only_thing_left_out(tmp_path: Path) -> None:
    result = transfer(tmp_path, VIT, f"{VIT}?num_classes=7", shape=(3, 32, 32))
    assert result.kept.keys() == {"head.weight", "head.bias"} == changed(result)
    assert set(result.report.plan.unused) == {"head.weight", "head.bias"}


@pytest.mark.parametrize("classes", [10, 7])
def test_a_head_starts_afresh_where_that_is_asked_for_whatever_its_classes(classes: int, tmp_path: Path) -> None:
    target = f"{VIT}?num_classes={classes}"
    result = transfer(tmp_path, VIT, target, shape=(3, 32, 32), options=Options(head="fresh"))
    assert result.kept.keys() == {"head.weight", "head.bias"} == changed(result)


def test_a_head_mapped_by_labels_keeps_its_rows(tmp_path: Path) -> None:
    rows = tmp_path / "labels.txt"
    rows.write_text("0 3\n1 9\n2 0\n")
    target = "images:tv_vit?num_classes=4"
    result = transfer(tmp_path, VIT, target, shape=(3, 32, 32), options=Options(head=f"map:{rows}"))
    new, old = result.tensors["heads.head.weight"], result.source.state_dict()["head.weight"]
    assert torch.equal(new[:3], old[[3, 9, 0]])
    assert not (new[3] == old).all(dim=1).any()
    assert result.adapted.keys() == {"heads.head.weight", "heads.head.bias"}


def test_a_kept_head_keeps_the_rows_there_are(tmp_path: Path) -> None:
    result = transfer(tmp_path, VIT, f"{VIT}?num_classes=12", shape=(3, 32, 32), options=Options(head="keep"))
    assert torch.equal(result.tensors["head.weight"][:10], result.source.state_dict()["head.weight"])


def test_places_beside_a_token_are_those_of_a_square_map_where_no_code_cuts_them_into_rows(tmp_path: Path) -> None:
    model = "images:timm_tnt?img_size="
    result = transfer(tmp_path, f"{model}64", f"{model}96", shape="guessed")
    old, new = result.source.state_dict()["patch_pos"], result.tensors["patch_pos"]
    assert changed(result) == {"patch_pos"}
    assert close(new, resample_abs_pos_embed(old, [6, 6]))

"""Rows of blocks that are defined otherwise than they run: decoders, middles, and lists of blocks side by side."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.equivalence.harness import EXACT, build, compare, save, transfer
from tli_cli import apply_tli, match

SHAPE = (3, 16, 16)
PAIRS = (("Autoencoder", "Autoencoder?later=1"), ("Listed", "Staged"))
BOTH = [*PAIRS, *(pair[::-1] for pair in PAIRS)]


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize(("source", "target"), BOTH)
def test_files_alone(source: str, target: str, suffix: str, tmp_path: Path) -> None:
    result = transfer(tmp_path, f"diffusion:{source}", f"diffusion:{target}", shape=SHAPE, suffix=suffix, traced=False,
                      bare_target=True)  # fmt: skip
    assert not result.kept
    assert compare(result, SHAPE) < EXACT


def test_a_decoder_whose_widths_do_not_tell_its_direction_is_not_called_exact(tmp_path: Path) -> None:
    def written(name: str, stage: str) -> str:
        shapes = {f"{stage}.{i}.{part}.weight": (8, 8, 3, 3) for i in range(3) for part in ("conv1", "conv2")}
        tensors = {"stem.weight": torch.randn(8, 3, 3, 3), **{n: torch.randn(s) for n, s in shapes.items()}}
        save_file(tensors, tmp_path / name)
        return str(tmp_path / name)

    plan = match(written("a.safetensors", "up"), written("b.safetensors", "decoder.up_blocks"))
    assert all("from which end" in step.reason and not step.exact for step in plan.steps if "conv" in step.target)


def test_what_two_names_put_in_other_places_is_not_called_exact(tmp_path: Path) -> None:
    names = ("middle_block.conv1", "middle_block.conv2", "output_blocks.0.conv1", "output_blocks.0.conv2")
    save_file({f"{n}.weight": torch.randn(8, 8, 3, 3) for n in names[2:]}, tmp_path / "a.safetensors")
    save_file({f"{n}.weight": torch.randn(8, 8, 3, 3) for n in names[:2]}, tmp_path / "b.safetensors")
    plan = match(str(tmp_path / "a.safetensors"), str(tmp_path / "b.safetensors"))
    assert not any(step.exact for step in plan.steps if step.action == "transfer")


def test_layers_of_another_size_keep_their_names_among_layers_of_one_name(tmp_path: Path) -> None:
    model = build("diffusion:Autoencoder?later=1", 1)
    for name, width in (("source", 4), ("target", 8)):
        model.quant_conv = torch.nn.Conv2d(2 * width, 2 * width, 1)
        model.post_quant_conv = torch.nn.Conv2d(width, width, 1)
        model.encoder.conv_out = torch.nn.Conv2d(16, 2 * width, 3)
        model.decoder.conv_in = torch.nn.Conv2d(width, 16, 3)
        save(model, tmp_path / f"{name}.safetensors")
    plan = match(str(tmp_path / "source.safetensors"), str(tmp_path / "target.safetensors"))
    assert all(step.action == "transfer" and step.pieces[0].source == step.target for step in plan.steps)


def test_channels_besides_those_of_a_latent_start_at_zero(tmp_path: Path) -> None:
    source, target = build("diffusion:Latent?channels=4", 1), build("diffusion:Latent?channels=9", 2)
    plan = apply_tli(target, source, example=(2, 9, 16, 16), teacher_example=(2, 4, 16, 16))
    assert all(step.exact for step in plan.steps)
    sample = torch.randn(2, 9, 16, 16)
    torch.testing.assert_close(target(sample), source(sample[:, :4]))


def test_blocks_in_lists_side_by_side_are_fed_from_blocks_in_one_row(tmp_path: Path) -> None:
    def fed(target: str) -> dict[str, str]:
        plan = apply_tli(build(f"diffusion:{target}"), build("diffusion:Listed"), example=(2, *SHAPE))
        return {step.target: step.pieces[0].source for step in plan.steps if step.action == "transfer"}

    same, other = fed("Staged"), fed("Staged?bias=0")
    gone = ("to_q.bias", "to_k.bias", "to_v.bias")
    assert other == {name: source for name, source in same.items() if not name.endswith(gone)}

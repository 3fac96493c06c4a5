"""In files without a graph, a copy is not exact where nothing beside it comes from beside its partner."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from tli_cli import Options, apply_tli, match
from tli_cli.catalogue import load
from tli_cli.plan import Plan

State = dict[str, torch.Tensor]


def conv(path: str, outer: int, inner: int, kernel: int = 3) -> State:
    return {f"{path}.weight": torch.randn(outer, inner, kernel, kernel)}


def norm(path: str, width: int) -> State:
    roles = ("weight", "bias", "running_mean", "running_var")
    return {f"{path}.{role}": torch.ones(width) for role in roles}


def backbone(prefix: str) -> State:
    found = conv(f"{prefix}conv1", 8, 3) | norm(f"{prefix}bn1", 8)
    for stage, width, inner in ((1, 8, 8), (2, 16, 8), (3, 32, 16)):
        for block in (0, 1):
            at = f"{prefix}layer{stage}.{block}"
            found |= conv(f"{at}.conv1", width, width if block else inner) | norm(f"{at}.bn1", width)
            found |= conv(f"{at}.conv2", width, width) | norm(f"{at}.bn2", width)
    return found


def perceptron(path: str) -> State:
    return {f"{path}.0.weight": torch.randn(24, 32)} | norm(f"{path}.1", 24) | {f"{path}.3.weight": torch.randn(8, 24)}


def plan_of(folder: Path, source: State, target: State, suffix: str) -> Plan:
    for name, state in (("source", source), ("target", target)):
        path = folder / f"{name}{suffix}"
        if suffix == ".pt":
            torch.save(state, path)
        else:
            from safetensors.torch import save_file

            save_file(state, path)
    return match(str(folder / f"source{suffix}"), str(folder / f"target{suffix}"), options=Options(method="maps"))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_projectors_of_one_file_give_nothing_exact_to_the_decoder_of_another(suffix: str, tmp_path: Path) -> None:
    source = backbone("backbone.") | perceptron("projector") | {"predictor.0.weight": torch.randn(24, 8)}
    source |= norm("predictor.1", 24) | {"predictor.3.weight": torch.randn(8, 24)}
    decoder = conv("decoder.blocks.0.conv1.0", 24, 48) | norm("decoder.blocks.0.conv1.1", 24)
    decoder |= conv("decoder.blocks.0.conv2.0", 24, 24) | norm("decoder.blocks.0.conv2.1", 24)
    decoder |= conv("decoder.pool.0", 24, 32, 1) | norm("decoder.pool.1", 24)
    plan = plan_of(tmp_path, source, backbone("encoder.") | decoder, suffix)
    for step in plan.steps:
        assert step.exact == step.target.startswith("encoder."), (step.target, step.reason)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_the_classifier_of_a_decoder_is_another_one_than_that_of_a_classifier(suffix: str, tmp_path: Path) -> None:
    source = backbone("") | {"classifier.weight": torch.randn(5, 32), "classifier.bias": torch.randn(5)}
    decoder = {f"decode_head.linears.{i}.weight": torch.randn(32, width) for i, width in enumerate((8, 16, 32))}
    decoder |= conv("decode_head.classifier", 5, 32, 1) | {"decode_head.classifier.bias": torch.randn(5)}
    plan = plan_of(tmp_path, source, backbone("") | decoder, suffix)
    for step in plan.steps:
        assert step.exact != step.target.startswith("decode_head."), (step.target, step.reason)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_what_stands_before_all_names_says_nothing_of_a_place(suffix: str, tmp_path: Path) -> None:
    """`encoder` before all that is shared is no encoder behind what embeds its input."""

    def named(name: str) -> str:
        return f"encoder.{name}" if name.startswith("layer") else f"embeddings.{name}"

    source = {named(name): tensor for name, tensor in backbone("").items()}
    target = {f"level.encoder.net.{name}": tensor for name, tensor in source.items()}
    target |= {f"level.decoder.layers.{i}.weight": torch.randn(8, 8) for i in range(2)}
    plan = plan_of(tmp_path, source, target, suffix)
    for step in plan.steps:
        assert step.exact == ("decoder" not in step.target), (step.target, step.reason)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_what_is_around_a_network_that_is_recognised_is_in_no_graph(suffix: str, tmp_path: Path) -> None:
    known = load("timm:mobilenetv3_small_050?num_classes=0").tensors
    encoder = {f"encoder.{t.name}": torch.ones(t.shape, dtype=getattr(torch, t.dtype)) for t in known}
    wide = next(t.shape[0] for t in reversed(known) if len(t.shape) == 4)
    pyramid = conv("decoder.p5", 16, wide, 1) | {"decoder.p5.bias": torch.randn(16)} | conv("decoder.p4", 16, 16)
    pooling = conv("decoder.aspp.0.0", 16, wide, 1) | norm("decoder.aspp.0.1", 16) | conv("decoder.aspp.1.0", 32, 16)
    pyramid |= conv("segmentation_head.0", 5, 16)
    pooling |= conv("segmentation_head.0", 5, 32)
    plan = plan_of(tmp_path, encoder | pyramid, encoder | pooling, suffix)
    for step in plan.steps:
        assert step.exact == step.target.startswith("encoder."), (step.target, step.reason)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_shortcuts_of_one_side_do_not_keep_the_rest_from_its_namesakes(suffix: str, tmp_path: Path) -> None:
    source = backbone("")
    for stage, width, inner in ((2, 16, 8), (3, 32, 16)):
        source |= conv(f"layer{stage}.0.downsample.0", width, inner, 1) | norm(f"layer{stage}.0.downsample.1", width)
    decoder = conv("decoder.0.conv1", 16, 48) | norm("decoder.0.bn1", 16) | conv("decoder.0.conv2", 16, 16)
    decoder |= conv("decoder.1.conv1", 8, 24) | norm("decoder.1.bn1", 8) | conv("decoder.1.conv2", 8, 8)
    plan = plan_of(tmp_path, source, backbone("encoder.") | decoder, suffix)
    for step in plan.steps:
        if step.target.startswith("encoder."):
            assert [piece.source for piece in step.pieces] == [step.target.removeprefix("encoder.")]
        else:
            assert not step.exact, (step.target, step.reason)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_what_has_other_names_around_what_both_name_alike_is_something_else(suffix: str, tmp_path: Path) -> None:
    def chain(*paths: str) -> State:
        widths = (32, 16, 24, 12)
        shapes = zip(widths[1:], widths, strict=False)
        return {f"{path}.weight": torch.randn(shape) for path, shape in zip(paths, shapes, strict=True)}

    source = backbone("body.") | chain("neck.first", "neck.second", "neck.third")
    plan = plan_of(tmp_path, source, backbone("body.") | chain("mixer.one", "mixer.two", "mixer.three"), suffix)
    for step in plan.steps:
        assert step.resizer == "copy"
        assert step.exact == step.target.startswith("body."), (step.target, step.reason)


@pytest.mark.parametrize("lone", ["batch norm", "scale"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_beside_a_norm_or_a_scale_that_goes_nowhere_nothing_is_exact(suffix: str, lone: str, tmp_path: Path) -> None:
    source = conv("stem", 8, 3) | {"head.weight": torch.randn(5, 8)}
    for block in range(3):
        source |= conv(f"layers.{block}.conv1", 8, 8) | conv(f"layers.{block}.conv2", 8, 8)
    target = dict(source)
    for block in range(3):
        path = f"layers.{block}.between"
        source |= norm(path, 8) if lone == "batch norm" else {f"{path}.gamma": torch.ones(8)}
    for step in plan_of(tmp_path, source, target, suffix).steps:
        assert step.resizer == "copy" and step.exact != step.target.startswith("layers"), (step.target, step.reason)


def decoder(layers: int) -> State:
    found = {"embed_tokens.weight": torch.randn(40, 16), "norm.weight": torch.ones(16)}
    shapes = {f"self_attn.{name}_proj": (16, 16) for name in "qkvo"}
    shapes |= {"mlp.gate_proj": (24, 16), "mlp.up_proj": (24, 16), "mlp.down_proj": (16, 24)}
    for layer in range(layers):
        found |= {f"layers.{layer}.{name}.weight": torch.randn(shape) for name, shape in shapes.items()}
        found |= {f"layers.{layer}.{name}_layernorm.weight": torch.ones(16) for name in ("input", "post_attention")}
    return found | {"lm_head.weight": torch.randn(40, 16)}


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_beside_a_copy_in_an_added_block_stand_copies(suffix: str, tmp_path: Path) -> None:
    plan = plan_of(tmp_path, decoder(3), decoder(5), suffix)
    assert plan.relation == "deeper"
    assert {step.reason for step in plan.steps} == {"", "added block starts as the identity"}


class Narrowed(nn.Module):
    """A stem, a residual branch and a head, with a layer between these or without."""

    def __init__(self, neck: bool = False) -> None:
        super().__init__()
        self.stem, self.norm, self.branch, self.head = (
            nn.Linear(6, 16), nn.LayerNorm(16), nn.Linear(16, 16), nn.Linear(16, 5),
        )  # fmt: skip
        self.neck = nn.Linear(16, 16) if neck else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).relu()
        x = x + self.branch(self.norm(x))
        return self.head(x if self.neck is None else self.neck(x))


@pytest.mark.parametrize("neck", [True, False])
def test_a_file_with_more_than_the_network_says_that_nothing_tells_where_that_is_run(neck: bool) -> None:
    example = torch.randn(2, 6)
    plan = apply_tli(Narrowed(), Narrowed(neck).state_dict(), example=example, options=Options(head="keep"))
    said = "nothing says where the layer neck of the source is run"
    assert any(note.startswith(said) for note in plan.notes) == neck
    assert said not in str(apply_tli(Narrowed(), Narrowed(neck), example=example).notes)

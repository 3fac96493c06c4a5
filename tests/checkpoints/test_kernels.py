"""Files in the layout of TensorFlow, Keras and Flax: read as weights, and written as they were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tli_cli.api import inject
from tli_cli.checkpoints import open_checkpoint
from tli_cli.errors import TliError
from tli_cli.options import Options

Tensors = dict[str, torch.Tensor]


def kept(folder: Path, tensors: Tensors) -> str:
    path = folder / "kernels.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return str(path)


def read(folder: Path, tensors: Tensors) -> Tensors:
    checkpoint = open_checkpoint(kept(folder, tensors))
    found = {spec.name: checkpoint.read(spec.name) for spec in checkpoint.tensors}
    assert {name: tuple(tensor.shape) for name, tensor in found.items()} == {
        spec.name: spec.shape for spec in checkpoint.tensors
    }
    return found


@pytest.mark.parametrize("separator", [".", "/"])
@pytest.mark.parametrize("kind", [nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d])
def test_a_kernel_gives_and_takes_what_the_weight_does(kind: type, separator: str, tmp_path: Path) -> None:
    layer = nn.Linear(3, 5) if kind is nn.Linear else kind(3, 5, 2)
    weight = layer.weight.detach()
    kernel = weight.permute(*range(2, weight.ndim), 1, 0)
    found = read(tmp_path, {f"a{separator}kernel": kernel, f"a{separator}bias": layer.bias.detach()})
    assert torch.equal(found["a.weight"], weight) and torch.equal(found["a.bias"], layer.bias)


def test_heads_of_their_own_axis_are_rows_and_columns(tmp_path: Path) -> None:
    heads, width, stream = 2, 3, 4
    tensors = {f"attn/{name}/kernel": torch.randn(stream, heads, width) for name in ("query", "key", "value")}
    tensors |= {f"attn/{name}/bias": torch.randn(heads, width) for name in ("query", "key", "value")}
    tensors |= {"attn/out/kernel": torch.randn(heads, width, stream), "attn/out/bias": torch.randn(stream)}
    tensors |= {"conv/kernel": torch.randn(heads, width, stream), "conv/bias": torch.randn(stream)}
    found = read(tmp_path, tensors)
    assert torch.equal(found["attn.query.weight"], tensors["attn/query/kernel"].reshape(stream, -1).t())
    assert torch.equal(found["attn.query.bias"], tensors["attn/query/bias"].flatten())
    assert torch.equal(found["attn.out.weight"], tensors["attn/out/kernel"].reshape(-1, stream).t())
    assert torch.equal(found["conv.weight"], tensors["conv/kernel"].permute(2, 1, 0))


def test_matrices_with_a_letter_before_their_names_are_kernels_with_heads_first(tmp_path: Path) -> None:
    heads, width, stream = 2, 3, 4
    tensors = {f"blocks.0.attn.W_{name}": torch.randn(heads, stream, width) for name in "QKV"}
    tensors |= {f"blocks.0.attn.b_{name}": torch.randn(heads, width) for name in "QKV"}
    tensors |= {"blocks.0.attn.W_O": torch.randn(heads, width, stream), "blocks.0.attn.b_O": torch.randn(stream)}
    tensors |= {"blocks.0.ln1.w": torch.randn(stream), "blocks.0.ln1.b": torch.randn(stream)}
    tensors |= {"blocks.0.mlp.W_in": torch.randn(stream, 8), "blocks.0.mlp.b_in": torch.randn(8)}
    tensors |= {"blocks.0.mlp.W_out": torch.randn(8, stream), "blocks.0.mlp.b_out": torch.randn(stream)}
    tensors |= {"embed.W_E": torch.randn(9, stream), "pos_embed.W_pos": torch.randn(7, stream)}
    tensors |= {"unembed.W_U": torch.randn(stream, 9), "unembed.b_U": torch.randn(9)}
    found = read(tmp_path, tensors)
    query = tensors["blocks.0.attn.W_Q"]
    assert torch.equal(found["blocks.0.attn.Q.weight"], query.permute(0, 2, 1).reshape(-1, stream))
    assert torch.equal(found["blocks.0.attn.Q.bias"], tensors["blocks.0.attn.b_Q"].flatten())
    assert torch.equal(found["blocks.0.attn.O.weight"], tensors["blocks.0.attn.W_O"].reshape(-1, stream).t())
    assert torch.equal(found["blocks.0.mlp.in.weight"], tensors["blocks.0.mlp.W_in"].t())
    assert torch.equal(found["unembed.weight"], tensors["unembed.W_U"].t())
    for name in ("embed.W_E", "pos_embed.W_pos", "blocks.0.ln1.w"):
        assert torch.equal(found[f"{name.rpartition('.')[0]}.weight"], tensors[name])


def test_depthwise_kernels_tables_and_norms(tmp_path: Path) -> None:
    sample = torch.randn(1, 3, 6, 6)
    layer = nn.Conv2d(3, 6, 3, groups=3, bias=False)
    kernel = layer.weight.detach().reshape(3, 2, 3, 3).permute(2, 3, 0, 1)
    tensors = {"dw/depthwise_kernel:0": kernel, "bn/gamma:0": torch.randn(6), "bn/beta:0": torch.randn(6)}
    tensors |= {"bn/moving_mean:0": torch.randn(6), "bn/moving_variance:0": torch.rand(6)}
    tensors |= {"tokens/embeddings:0": torch.randn(7, 6), "scale/gamma:0": torch.randn(6)}
    found = read(tmp_path, tensors)
    expected = layer(sample)
    layer.weight.data = found["dw.weight"]
    assert torch.equal(layer(sample), expected)
    norm = {f"bn.{name}" for name in ("weight", "bias", "running_mean", "running_var")}
    assert found.keys() == {"dw.weight", "tokens.weight", "scale.gamma", *norm}


@pytest.mark.parametrize(
    "tensors",
    [
        {"a.kernel": torch.zeros(3, 4), "a.bias": torch.zeros(3)},
        {"a.kernel": torch.zeros(3, 4), "b.weight": torch.zeros(3, 4)},
        {"a.kernel": torch.zeros(3, 4), "a.weight": torch.zeros(3)},
    ],
    ids=["another layout", "weights beside", "both in one layer"],
)
def test_what_contradicts_the_layout_is_read_as_it_is(tensors: Tensors, tmp_path: Path) -> None:
    assert read(tmp_path, tensors).keys() == tensors.keys()


def test_a_target_in_that_layout_is_written_in_it(tmp_path: Path) -> None:
    source = {"fc1.weight": torch.randn(5, 3), "fc1.bias": torch.randn(5), "fc2.weight": torch.randn(2, 5)}
    target = {"fc1/kernel": torch.zeros(3, 5), "fc1/bias": torch.zeros(5), "fc2/kernel": torch.zeros(5, 2)}
    save_file(source, tmp_path / "source.safetensors")
    out = tmp_path / "out.safetensors"
    inject(str(tmp_path / "source.safetensors"), kept(tmp_path, target), out, options=Options(head="keep"))
    found = load_file(out)
    assert found.keys() == target.keys()
    assert torch.equal(found["fc1/kernel"], source["fc1.weight"].t())
    assert torch.equal(found["fc2/kernel"], source["fc2.weight"].t())


NET = """
from torch import nn

def net():
    convolutions = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 6, 3, padding=1, stride=2), nn.ReLU()]
    return nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(6 * 16, 12), nn.ReLU(), nn.Linear(12, 5))
"""


def with_channels_last(folder: Path, names: dict[str, str]) -> tuple[Tensors, str, str]:
    """Return the tensors of a network, a file of its kernels, and the reference of its class."""
    (folder / "net.py").write_text(NET)
    scope: dict[str, type[nn.Module]] = {}
    exec(NET, scope)
    own = {name: tensor.clone() for name, tensor in scope["net"]().state_dict().items()}
    tensors = {}
    for name, tensor in own.items():
        path, _, role = name.partition(".")
        if name == "5.weight":
            tensor = tensor.reshape(12, 6, 4, 4).permute(0, 2, 3, 1).reshape(12, -1)
        kernel = tensor.permute(*range(2, tensor.ndim), 1, 0) if tensor.ndim > 1 else tensor
        tensors[f"{names.get(path, path)}.{'kernel' if role == 'weight' else role}"] = kernel
    return own, kept(folder, tensors), f"{folder / 'net.py'}:net"


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("names", [{}, {"0": "conv1", "2": "conv2", "5": "dense1", "7": "dense2"}])
def test_flattened_maps_have_their_channels_last(names: dict[str, str], bare: bool, tmp_path: Path) -> None:
    own, source, code = with_channels_last(tmp_path, names)
    target = str(tmp_path / "target.safetensors") if bare else code
    save_file({name: torch.zeros_like(tensor) for name, tensor in own.items()}, tmp_path / "target.safetensors")
    options = Options(input_shape=None if bare else (3, 8, 8), head="keep")
    report = inject(source, target, tmp_path / "out.safetensors", options=options)
    found = load_file(tmp_path / "out.safetensors")
    claimed = {step.target for step in report.plan.steps if step.exact}
    assert all(torch.equal(found[name], tensor) for name, tensor in own.items() if bare is False or name in claimed)
    assert claimed >= own.keys() - {"5.weight"}


def test_what_is_run_takes_flattened_maps_as_its_class_does(tmp_path: Path) -> None:
    _, source, code = with_channels_last(tmp_path, {})
    given = Options(input_shape=(3, 8, 8), source_arch=code, verify=True, force=True)
    report = inject(source, code, tmp_path / "out.safetensors", options=given)
    assert report.verification is not None and report.verification < 1e-9
    with pytest.raises(TliError, match="channels are last"):
        inject(source, code, tmp_path / "out.safetensors", options=replace(given, method="fit"))


@pytest.mark.parametrize(
    ("kernel", "bias", "norm"),
    [
        ("weights", "biases", {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean"}),
        ("w", "b", {"scale": "weight", "offset": "bias", "~/mean_ema/average": "running_mean"}),
        ("W", "b", {"gamma": "weight", "beta": "bias", "mean/EMA": "running_mean"}),
        ("w", "b", {"g": "weight", "b": "bias"}),
    ],
    ids=["TF-slim", "Haiku", "tensorpack", "GPT-2"],
)
def test_each_library_says_kernels_in_its_words(kernel: str, bias: str, norm: dict[str, str], tmp_path: Path) -> None:
    layer = nn.Conv2d(3, 5, 2)
    tensors = {f"a/{kernel}": layer.weight.detach().permute(2, 3, 1, 0), f"a/{bias}": layer.bias.detach()}
    tensors |= {f"a/norm/{said}": torch.randn((5,) if "g" in norm else (1, 1, 1, 5)) for said in norm}
    found = read(tmp_path, tensors)
    assert torch.equal(found["a.weight"], layer.weight) and torch.equal(found["a.bias"], layer.bias)
    for said, role in norm.items():
        assert torch.equal(found[f"a.norm.{role}"], tensors[f"a/norm/{said}"].flatten())


@pytest.mark.parametrize("shape", [(5, 3), (4, 4)])
def test_matrices_of_own_code_are_no_kernels_unless_a_bias_shows_it(shape: tuple[int, int], tmp_path: Path) -> None:
    tensors = {"a.w": torch.randn(shape), "a.b": torch.randn(shape[0])}
    assert read(tmp_path, tensors).keys() == tensors.keys()


def test_einsums_take_the_stream_or_give_it(tmp_path: Path) -> None:
    heads, stream, width = 2, 5, 3
    tensors = {"layer_0/attn/q_einsum/w": torch.randn(heads, stream, width),
               "layer_0/attn/kv_einsum/w": torch.randn(2, 1, stream, width),
               "layer_0/attn/attn_vec_einsum/w": torch.randn(heads, width, stream)}  # fmt: skip
    found = read(tmp_path, tensors)
    x = torch.randn(stream)
    for name, made in (("q", "nsh,s->nh"), ("kv", "cksh,s->ckh")):
        got = found[f"layer_0.attn.{name}_einsum.weight"] @ x
        torch.testing.assert_close(got, torch.einsum(made, tensors[f"layer_0/attn/{name}_einsum/w"], x).flatten())
    y, out = torch.randn(heads, width), found["layer_0.attn.attn_vec_einsum.weight"]
    torch.testing.assert_close(
        out @ y.flatten(), torch.einsum("nhs,nh->s", tensors["layer_0/attn/attn_vec_einsum/w"], y)
    )

"""One network under two sets of names, in files alone: modules tell what belongs together, and where they do not, no
step is called exact."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.equivalence.harness import randomise
from tli_cli import match
from tli_cli.architecture import TensorSpec
from tli_cli.describe.from_names.names import describe_names
from tli_cli.describe.vocabulary_places import DECODER, ENCODER, module_place
from tli_cli.matching.sides import Side
from tli_cli.matching.units import Unit
from tli_cli.matching.values import Matching, Pair
from tli_cli.plan import Plan

Rules = tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]


def modules(**children: nn.Module) -> nn.Module:
    module = nn.Module()
    for name, child in children.items():
        setattr(module, name, child)
    return module


def renamed(name: str, rules: Rules) -> str:
    for pattern, new in rules:
        name = re.sub(pattern, new, name)
    return name


def plan_of(
    folder: Path, model: nn.Module, rules: Rules, suffix: str, *, defined_otherwise: bool = False
) -> tuple[Plan, dict[str, str]]:
    """Return the plan from `model` to itself under the names that `rules` make, defined in the order of these if that
    is another one, and what each tensor there is."""
    randomise(model, 1)
    source = dict(model.state_dict())
    called = {renamed(name, rules): name for name in source}
    called = dict(sorted(called.items())) if defined_otherwise else called
    assert len(called) == len(source)
    for file, tensors in (("source", source), ("target", {new: source[name] for new, name in called.items()})):
        path = folder / f"{file}{suffix}"
        save_file(tensors, path) if suffix == ".safetensors" else torch.save(tensors, path)
    return match(str(folder / f"source{suffix}"), str(folder / f"target{suffix}")), called


def wrong(plan: Plan, called: dict[str, str], *, exact: bool | None = None) -> list[str]:
    """Return the tensors that are not made of what they are, and those alone that are called exact if so asked."""
    return [
        step.target
        for step in plan.steps
        if [name for piece in step.pieces for name in piece.names] != [called[step.target]]
        and not step.target.endswith("num_batches_tracked")
        and (exact is None or step.exact is exact)
    ]


def claimed(plan: Plan) -> set[str]:
    return {step.target for step in plan.steps if step.exact}


def light(width: int) -> nn.Module:
    depthwise = nn.Conv2d(width, width, 3, groups=width, bias=False)
    return modules(conv1=nn.Conv2d(width, width, 1, bias=False), conv2=depthwise, bn=nn.BatchNorm2d(width))


def streams() -> nn.Module:
    def block(width: int) -> nn.Module:
        longer = {
            f"conv2{letter}": nn.Sequential(*(light(width) for _ in range(n))) for letter, n in (("b", 2), ("c", 3))
        }
        return modules(
            conv1=nn.Conv2d(width, width, 1), conv2a=light(width), **longer, conv3=nn.Conv2d(width, width, 1)
        )

    return modules(stem=nn.Conv2d(3, 8, 3), stages=nn.Sequential(block(8), block(8)), head=nn.Linear(8, 5))


STREAMS: Rules = (
    (r"conv2a\.", "streams.0.0."), (r"conv2([bc])\.", lambda m: f"streams.{'abc'.index(m[1])}."),
    (r"(\d)\.conv1", r"\1.pw"), (r"(\d)\.conv2", r"\1.dw"), (r"stages\.(\d)\.pw", r"stages.\1.reduce"),
    (r"conv3", "expand"),
)  # fmt: skip


def test_modules_are_told_by_what_they_hold_however_deep_they_stand(tmp_path: Path) -> None:
    plan, called = plan_of(tmp_path, streams(), STREAMS, ".safetensors")
    assert not wrong(plan, called)


def mixing() -> nn.Module:
    def block() -> nn.Module:
        return modules(
            pos_embed=nn.Conv2d(8, 8, 3, groups=8), norm1=nn.BatchNorm2d(8), conv1=nn.Conv2d(8, 8, 1),
            conv2=nn.Conv2d(8, 8, 1), attn=nn.Conv2d(8, 8, 5, groups=8), norm2=nn.BatchNorm2d(8),
            mlp=modules(fc1=nn.Conv2d(8, 16, 1), fc2=nn.Conv2d(16, 8, 1)),
        )  # fmt: skip

    return modules(stem=nn.Conv2d(3, 8, 4), blocks=nn.Sequential(block(), block()), head=nn.Linear(8, 5))


def test_batch_norms_that_both_hold_are_not_taken_into_layers(tmp_path: Path) -> None:
    source = mixing()
    rules: Rules = (
        (r"\.attn", ".mixer.b_dw"), (r"\.conv1", ".mixer.a_in"), (r"\.conv2", ".mixer.c_out"), ("pos_embed", "cpe"),
        (r"norm1", "mixer_norm"), (r"norm2", "ffn_norm"), (r"mlp", "ffn"),
    )  # fmt: skip
    plan, called = plan_of(tmp_path, source, rules, ".safetensors")
    assert not [step.target for step in plan.steps if step.action == "keep" and "norm" in step.target]
    assert not wrong(plan, called, exact=True)


def pyramid() -> nn.Module:
    def unit() -> nn.Module:
        return modules(out_conv=nn.Conv2d(8, 8, 1), conv1=nn.Conv2d(8, 8, 3), conv2=nn.Conv2d(8, 8, 3))

    brought = {f"layer{i + 1}_rn": nn.Conv2d(width, 8, 3, bias=False) for i, width in enumerate((4, 6, 12))}
    return modules(**brought, **{f"refinenet{i + 1}": unit() for i in range(3)}, head=nn.Conv2d(8, 1, 3))


def test_nothing_tells_from_which_end_a_pyramid_is_counted(tmp_path: Path) -> None:
    rules: Rules = ((r"layer(\d)_rn", r"neck.convs.\1"), (r"refinenet(\d)\.", lambda m: f"fusion.{3 - int(m[1])}."))
    plan, called = plan_of(tmp_path, pyramid(), rules, ".pt", defined_otherwise=True)
    assert wrong(plan, called)
    assert not wrong(plan, called, exact=True)


def hourglass(depth: int) -> nn.Module:
    def unit() -> nn.Module:
        return modules(bn=nn.BatchNorm2d(8), conv=nn.Conv2d(8, 8, 3))

    inner = hourglass(depth - 1) if depth > 1 else unit()
    return modules(up1=unit(), low1=unit(), low2=inner, low3=unit())


def level(found: re.Match[str]) -> str:
    return f"hg.depth.{2 - min(found[1].count('low2'), 2)}.{('up1', 'low1', 'low3', None).index(found[2])}."


def test_modules_within_each_other_are_no_row(tmp_path: Path) -> None:
    model = modules(hg=hourglass(3), stem=nn.Conv2d(3, 8, 3), tail=nn.Conv2d(8, 5, 1))
    rules: Rules = ((r"hg\.((?:low2\.)*)(up1|low1|low3)?\.?", level),)
    plan, called = plan_of(tmp_path, model, rules, ".pt", defined_otherwise=True)
    assert wrong(plan, called)
    assert not wrong(plan, called, exact=True)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_modules_of_one_name_within_each_other_may_be_rows(suffix: str, tmp_path: Path) -> None:
    def unit() -> nn.Module:
        return modules(body=nn.Sequential(nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3)))

    body = nn.Sequential(*(unit() for _ in range(3)), nn.Conv2d(8, 8, 3))
    model = modules(head=nn.Sequential(nn.Conv2d(3, 8, 3)), body=body, tail=nn.Sequential(nn.Conv2d(8, 3, 3)))
    rules: Rules = (
        (r"^head\.0", "conv_first"), (r"^body\.3", "conv_after_body"), (r"^tail\.0", "conv_last"),
        (r"^body\.(\d)\.body\.0", r"body.\1.conv1"), (r"^body\.(\d)\.body\.2", r"body.\1.conv2"),
    )  # fmt: skip
    plan, called = plan_of(tmp_path, model, rules, suffix)
    assert not wrong(plan, called)
    assert claimed(plan) == called.keys()


def test_stages_that_are_fed_from_one_list_stand_behind_each_other(tmp_path: Path) -> None:
    def block(width: int) -> nn.Module:
        return modules(norm1=nn.LayerNorm(width), fc1=nn.Linear(width, 2 * width), fc2=nn.Linear(2 * width, width))

    stages = nn.ModuleList(nn.Sequential(block(width)) for width in (8, 12, 16))
    embeds = nn.ModuleList(nn.Conv2d(a, b, 2) for a, b in ((3, 8), (8, 12), (12, 16)))
    model = modules(encoder=modules(embeds=embeds, block=stages), head=nn.Linear(16, 5))
    number = {str(i): str(i + 1) for i in range(3)}
    rules: Rules = (
        (r"^encoder\.embeds\.(\d)", lambda m: f"patch_embed{number[m[1]]}"),
        (r"^encoder\.block\.(\d)", lambda m: f"block{number[m[1]]}"),
    )
    plan, called = plan_of(tmp_path, model, rules, ".pt")
    assert not wrong(plan, called)
    assert claimed(plan) == called.keys()


def kinds(shapes: dict[str, tuple[int, ...]]) -> dict[str, str]:
    described = describe_names([TensorSpec(name, shape, "F32") for name, shape in shapes.items()])
    return {layer.path: layer.kind for layer in described.layers}


def test_vectors_beside_norms_are_scales_whatever_they_are_called() -> None:
    norms = {f"b.0.norm{i}.{role}": (8,) for i in (1, 2) for role in ("weight", "bias")}
    vectors = {"b.0.gamma": (1, 8, 1, 1), "b.0.beta": (1, 8, 1, 1)}
    assert kinds(norms | vectors) == {
        "b.0.norm1": "norm",
        "b.0.norm2": "norm",
        "b.0.gamma": "scale",
        "b.0.beta": "scale",
    }


def test_an_encoder_and_a_decoder_of_one_width_are_no_copies() -> None:
    held = {"attn.temperature": (2, 1, 1), "attn.qkv.weight": (24, 8, 1, 1), "attn.project_out.weight": (8, 8, 1, 1),
            "attn.qkv_dwconv.weight": (24, 1, 3, 3), "ffn.project_in.weight": (32, 8, 1, 1),
            "ffn.dwconv.weight": (32, 1, 3, 3), "ffn.project_out.weight": (8, 16, 1, 1)}  # fmt: skip
    held |= {f"norm{i}.body.{role}": (8,) for i in (1, 2) for role in ("weight", "bias")}
    parts = ("encoder_level2.0", "encoder_level2.1", "decoder_level2.0", "decoder_level2.1")
    named = {f"{part}.{name}": shape for part in parts for name, shape in sorted(held.items())}
    described = describe_names([TensorSpec(name, shape, "F32") for name, shape in named.items()])
    assert not Side(described).copies


@pytest.mark.parametrize(
    ("name", "place"),
    [("encoder", ENCODER), ("encoder_level2", ENCODER), ("down2_3", ENCODER), ("dec_stage1", DECODER), ("level2", 0.0)],
)
def test_stages_may_be_numbered_with_a_word(name: str, place: float) -> None:
    assert module_place(f"{name}.0")[0] == place


def test_what_feeds_something_is_no_copy_that_is_left_out() -> None:
    first, again, target = (Unit(i, path, "dense", (8, 8)) for i, path in enumerate(("a", "b", "t")))
    matching = Matching((Pair(target, again, 1.0),), (target,), (first, again), spared=((again, first),))
    assert matching.once.sources == (first, again)


def test_a_scale_is_no_surplus_where_the_source_has_another_left_over(tmp_path: Path) -> None:
    def network(scale: str, width: int) -> dict[str, torch.Tensor]:
        rows = {
            f"layers.{i}.fc{n}.weight": torch.randn(shape)
            for i in range(2)
            for n, shape in ((1, (16, 8)), (2, (8, 16)))
        }
        return rows | {f"layers.{i}.{scale}": torch.randn(width) for i in range(2)}

    paths = [str(tmp_path / name) for name in ("source.pt", "target.pt")]
    torch.save(network("temperature", 5), paths[0])
    torch.save(network("gamma", 8), paths[1])
    assert not [s.target for s in match(*paths).steps if s.exact and s.target.endswith("gamma")]

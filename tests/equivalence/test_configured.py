"""Directories as libraries write them: the configuration beside the tensors says what names and shapes do not."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.equivalence.harness import (
    EXACT,
    Injected,
    batch,
    build,
    compare,
    load_strictly,
    outputs,
    reference,
    save,
)  # fmt: skip
from tli_cli import apply_tli
from tli_cli.api import inject, match, score
from tli_cli.checkpoints import open_checkpoint
from tli_cli.describe.from_names.heads import configured_head_width, configured_heads
from tli_cli.errors import TliError
from tli_cli.options import Options
from tli_cli.plan import Plan
from tli_cli.providers.module import TRACEABLE_EXPERTS
from tli_cli.providers.plausible import is_plausible


def write(name: str, seed: int, folder: Path, shard: str = "50MB") -> tuple[torch.nn.Module, str]:
    """Save the zoo's model `name` as its library does, and return it with the directory."""
    model = build(name, seed)
    model.save_pretrained(folder, max_shard_size=shard)
    return model, str(folder)


@pytest.mark.parametrize(("name", "own"), [("hf:gpt_neox", "text:parallel"), ("hf:phi3", "own_text:llama")])
def test_a_directory_in_shards_is_what_its_configuration_says(name, own, tmp_path):
    source, directory = write(name, 1, tmp_path / "source", shard="20KB")
    target = build(own, 2)
    assert len(list(Path(directory).glob("*.safetensors"))) > 1
    report = inject(directory, reference(own), tmp_path / "out.safetensors")
    tensors = load_file(tmp_path / "out.safetensors")
    load_strictly(target, tensors)
    assert compare(Injected(source, target, tensors, report), None) < EXACT
    assert not [note for note in report.plan.notes if "inferred" in note]


@pytest.mark.parametrize("target", ["", "/model.safetensors"])
def test_names_in_files_are_not_those_of_the_class(target, tmp_path):
    source = build("images:timm_vit", 1)
    model, directory = write("hf:vit", 2, tmp_path / "target")
    held = save(source, tmp_path / "source.safetensors")
    assert set(load_file(f"{directory}/model.safetensors")) != set(model.state_dict())
    out = tmp_path / "target" / "model.safetensors"
    report = inject(str(held), directory + target, out, options=Options(force=True))
    model.load_state_dict(type(model).from_pretrained(directory).state_dict())
    assert compare(Injected(source, model, {}, report), (3, 32, 32)) < EXACT


def test_the_class_of_a_configuration_is_named_for_its_files(tmp_path):
    _, directory = write("hf:vit", 1, tmp_path / "source")
    options = Options(source_arch=f"hf:{directory}")
    plan = match(directory, reference("images:timm_vit"), options=options)
    assert plan.exact


@pytest.mark.parametrize("named", [True, False])
def test_a_directory_is_run_to_verify_what_was_made_of_it(named, tmp_path):
    _, directory = write("hf:vit", 1, tmp_path / "source")
    options = Options(verify=True, source_arch=f"hf:{directory}" if named else None)
    report = inject(directory, f"hf:{directory}?num_hidden_layers=4", tmp_path / "out.safetensors", options=options)
    assert report.verification is not None and report.verification < EXACT, report.warnings


def test_a_table_that_older_classes_kept_changes_nothing(tmp_path):
    model, directory = write("hf:bert", 1, tmp_path / "source")
    held = load_file(f"{directory}/model.safetensors")
    save_file(held | {"embeddings.position_ids": torch.arange(16)[None]}, f"{directory}/model.safetensors")
    assert score(directory, f"hf:{directory}").forward == 1
    report = inject(directory, f"hf:{directory}", tmp_path / "out.safetensors", options=Options(verify=True))
    assert report.verification == 0 and report.plan.unused == ("embeddings.position_ids",)
    load_strictly(model, load_file(tmp_path / "out.safetensors"))


@pytest.mark.parametrize("suffix", ["", "/config.json"])
def test_experts_that_files_keep_apart_are_one_tensor_of_the_class(suffix, tmp_path):
    _, directory = write("hf:mixtral", 1, tmp_path / "source", shard="20KB")
    grown, wider = write(
        "hf:mixtral?hidden_size=96&num_attention_heads=8&num_key_value_heads=4&num_hidden_layers=3",
        2,
        tmp_path / "target",
    )
    assert len(load_file(f"{wider}/model.safetensors")) > len(grown.state_dict())
    target, out = f"hf:{wider}{suffix}" if suffix else wider, tmp_path / "out" / "model.safetensors"
    out.parent.mkdir()
    report = inject(directory, target, out, options=Options(verify=True, max_shard_size=50_000))
    assert report.verification is not None and report.verification < EXACT, report.warnings
    written = set(open_checkpoint(out.parent).stored_names.values())
    assert written == set(grown.state_dict() if suffix else load_file(f"{wider}/model.safetensors"))


@pytest.mark.parametrize("width", [96, 64])
def test_an_embedding_makes_up_for_the_root_of_another_width(width, tmp_path):
    _, source = write("hf:gemma", 1, tmp_path / "source")
    _, target = write(f"hf:gemma?hidden_size={width}", 2, tmp_path / "target")
    report = inject(source, target, tmp_path / "out.safetensors", options=Options(verify=True))
    assert all(step.exact for step in report.plan.steps)
    assert report.verification is not None and report.verification < 100 * EXACT, report.warnings
    again = Plan.from_json(report.plan.to_json())
    inject(source, target, tmp_path / "again.safetensors", plan=again)
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "out.safetensors").read_bytes()


def test_a_bare_file_may_have_the_number_in_the_target_s_code_too(tmp_path):
    source, directory = write("hf:gemma", 1, tmp_path / "source")
    (tmp_path / "source" / "config.json").unlink()
    _, target = write("hf:gemma?num_hidden_layers=3", 2, tmp_path / "target")
    inject(directory, f"hf:{target}", tmp_path / "out.safetensors")
    held = load_file(tmp_path / "out.safetensors")
    norms = [name for name in source.state_dict() if name.endswith("norm.weight")]
    assert norms and all(torch.equal(held[name], source.state_dict()[name]) for name in norms)


def test_a_norm_with_a_number_in_its_code_is_fed_from_one_without(tmp_path):
    source, llama = write("hf:llama", 1, tmp_path / "source")
    plan = inject(llama, f"hf:{write('hf:gemma', 2, tmp_path / 'target')[1]}", tmp_path / "out.safetensors").plan
    step = next(step for step in plan.steps if step.target.endswith("layers.0.input_layernorm.weight"))
    assert step.pieces[0].added == (0.0, 1.0)
    held = load_file(tmp_path / "out.safetensors")[step.target]
    torch.testing.assert_close(held + 1, source.state_dict()[step.pieces[0].source])


def test_experts_of_a_live_model_are_traced_however_they_are_run():
    source, target = build("hf:mixtral", 1), build("hf:mixtral?num_hidden_layers=3", 2)
    before = source.config._experts_implementation
    plan = apply_tli(target, source)
    assert all(step.exact for step in plan.steps)
    assert source.config._experts_implementation == before != TRACEABLE_EXPERTS


def test_experts_are_fed_from_a_network_that_has_one_of_each():
    theta = "rope_theta=10000.0"
    source, target = build(f"hf:llama?{theta}", 1), build(f"hf:mixtral?{theta}", 2)
    plan = apply_tli(target, source)
    router = target.state_dict()["model.layers.0.mlp.gate.weight"]
    kept = {step.target for step in plan.steps if step.action == "keep"}
    assert kept == {f"model.layers.{i}.mlp.gate.weight" for i in range(2)} and router.std() > 0
    assert not all(step.exact for step in plan.steps)
    tokens = batch(source, None)
    theirs, mine = outputs(source, tokens)[0], outputs(target, tokens)[0]
    assert float((theirs - mine).abs().max() / theirs.abs().max()) < EXACT


def test_one_expert_feeds_a_network_that_has_one_of_each():
    source, target = build("hf:mixtral", 1), build("hf:llama", 2)
    apply_tli(target, source)
    theirs, mine = source.state_dict(), target.state_dict()
    halves = theirs["model.layers.1.mlp.experts.gate_up_proj"][1].chunk(2)
    assert torch.equal(mine["model.layers.1.mlp.gate_proj.weight"], halves[0])
    assert torch.equal(mine["model.layers.1.mlp.up_proj.weight"], halves[1])
    assert torch.equal(mine["model.layers.1.mlp.down_proj.weight"], theirs["model.layers.1.mlp.experts.down_proj"][1])


@pytest.mark.parametrize(
    ("change", "said"), [("num_local_experts=6", "widen 3->6"), ("num_experts_per_tok=1", "topk 1")]
)
def test_the_choice_of_experts_is_not_kept(change, said):
    plan = apply_tli(build(f"hf:mixtral?{change}", 2), build("hf:mixtral", 1), options=Options(dry_run=True))
    router = next(step for step in plan.steps if step.target == "model.layers.0.mlp.gate.weight")
    assert not router.exact and said in router.reason


class LookedUp(nn.Module):
    """Experts that are looked up by the numbers of the largest scores, which some libraries keep within bounds."""

    def __init__(self, experts: int, bounded: bool = False) -> None:
        super().__init__()
        self.router, self.bounded = nn.Linear(6, experts, bias=False), bounded
        self.weight = nn.Parameter(torch.randn(experts, 6, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shares, numbers = self.router(x).softmax(-1).topk(2)
        numbers = numbers.reshape(-1).clamp(0, len(self.weight) - 1) if self.bounded else numbers.reshape(-1)
        each = self.weight[numbers] @ x.repeat_interleave(2, 0).unsqueeze(-1)
        return (each.squeeze(-1) * shares.reshape(-1, 1)).view(len(x), 2, 6).sum(1)


class Listed(nn.Module):
    """Experts in a list, of which those that were chosen by any sample are run one after the other."""

    def __init__(self, experts: int) -> None:
        super().__init__()
        self.router = nn.Linear(6, experts, bias=False)
        self.experts = nn.ModuleList(nn.Linear(6, 6) for _ in range(experts))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shares, numbers = self.router(x).softmax(-1).topk(2)
        chosen = nn.functional.one_hot(numbers, len(self.experts)).permute(2, 1, 0)
        made = torch.zeros_like(x)
        for number in chosen.sum((1, 2)).greater(0).nonzero():
            place, sample = torch.where(chosen[number].squeeze(0))
            made.index_add_(0, sample, self.experts[number](x[sample]) * shares[sample, place, None])
        return made


@pytest.mark.parametrize("net", [LookedUp, partial(LookedUp, bounded=True), Listed])
def test_a_router_of_more_experts_chooses_others(net):
    source, wider, same = net(3), net(6), net(3)
    assert "router.weight" not in {step.target for step in apply_tli(wider, source, example=(4, 6)).steps if step.exact}
    assert all(step.exact for step in apply_tli(same, source, example=(4, 6)).steps)


def test_numbers_in_the_code_of_a_configuration_are_known(tmp_path):
    plans = []
    for multiplier in (0.5, 0.25):
        _, source = write("hf:granite?residual_multiplier=0.5", 1, tmp_path / "source")
        _, target = write(f"hf:granite?residual_multiplier={multiplier}", 2, tmp_path / "target")
        plans.append(match(source, target))
    assert all(step.exact for step in plans[0].steps)
    assert {step.target.rpartition(".")[0] for step in plans[1].steps if not step.exact} >= {
        "model.layers.0.self_attn.o_proj", "model.layers.1.mlp.down_proj"
    }  # fmt: skip


def test_names_that_two_ways_to_turn_heads_have_tell_neither(tmp_path):
    held = save(build("hf:llama", 1), tmp_path / "source.safetensors")
    plan = match(str(held), reference("hf:helium"))
    assert {step.target.split(".", 3)[-1] for step in plan.steps if not step.exact} == {
        "self_attn.q_proj.weight", "self_attn.k_proj.weight"
    }  # fmt: skip
    assert any("may turn in pairs" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("config", "plausible"),
    [({"num_hidden_layers": 3, "block_multiple_of": 256, "max_window_layers": 99}, True),
     ({"a": {"depths": [2, 900]}}, False), ({"n_layer": 900}, False), ({"num_blocks": 900}, False),
     ({"encoder_layers": 900}, False), ({"num_experts": 512}, True), ({"num_local_experts": 10**7}, False),
     ({"text_config": {"n_routed_experts": 10**7}}, False),
     ({"num_labels": 1000}, True), ({"text_config": {"num_labels": 10**7}}, False)],
)  # fmt: skip
def test_what_counts_layers_must_not_exceed_the_tensors(config, plausible):
    assert is_plausible(config, 40) is plausible


def test_a_configuration_of_a_billion_layers_is_refused_before_it_is_built(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama", "num_hidden_layers": 1000000000}')
    with pytest.raises(TliError, match="more than 1,000 layers"):
        match(f"hf:{tmp_path}", "resnet18")


@pytest.mark.parametrize("said", [[5, None, {}], 5, "os.system"])
def test_models_that_are_no_names_are_one_message(said, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "architectures": said}))
    with pytest.raises(TliError, match=r"remote code is never run|no configuration"):
        match("resnet18", f"hf:{tmp_path}")


def test_without_the_library_names_and_shapes_decide(tmp_path, monkeypatch):
    _, directory = write("hf:gpt_neox", 1, tmp_path / "source")
    monkeypatch.setitem(sys.modules, "transformers", None)
    plan = match(directory, reference("text:parallel"))
    assert any("config.json is not used: " in note and "pip install transformers" in note for note in plan.notes)


@pytest.mark.parametrize(
    "changed", [{"hidden_size": 64}, {"num_hidden_layers": 10**9}, {"model_type": "odd"}, {"num_hidden_layers": "x"}]
)
def test_a_configuration_of_another_model_is_passed_over(changed, tmp_path):
    _, directory = write("hf:gpt_neox", 1, tmp_path / "source")
    file = tmp_path / "source" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))
    plan = match(directory, reference("text:parallel"))
    assert any("inferred" in note for note in plan.notes)
    assert any("config.json is not used: " in note for note in plan.notes)


@pytest.mark.parametrize("arguments", [{}, {"img_size": 32, "patch_size": 8}])
def test_timm_s_configuration_names_the_model(arguments, tmp_path):
    timm = pytest.importorskip("timm")
    name = "vit_tiny_patch16_224"
    model = timm.create_model(name, num_classes=7, **arguments)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(
        json.dumps({"architecture": name, "num_classes": 7, **({"model_args": arguments} if arguments else {})})
    )
    plan = match(str(tmp_path), f"timm:{name}?num_classes=7" + "".join(f"&{k}={v}" for k, v in arguments.items()))
    assert plan.exact
    assert not plan.notes


def test_heads_stand_in_any_part_of_a_configuration():
    open_clip = {
        "model_cfg": {"vision_cfg": {"width": 1024, "head_width": 64}, "text_cfg": {"width": 768, "heads": 12}}
    }
    assert configured_heads(open_clip, 1024) == (16, 16)
    assert configured_heads(open_clip, 768) == (12, 12)
    assert configured_head_width(open_clip) == 64
    assert configured_heads({"dim": 4096, "n_heads": 32, "n_kv_heads": 8}, 4096) == (32, 8)
    assert configured_head_width({"a": {"dim": 64, "n_heads": 4}, "b": {"dim": 64, "n_heads": 8}}) == 0

"""Where the order of a file's layers was lost, names must tell layers of one shape apart for a step to be exact."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.core.support import build, doubted
from tests.models import example_for
from tli_cli import apply_tli, inject, match
from tli_cli.options import Options
from tli_cli.plan import Plan

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


def block(norms: tuple[str, str], attention: tuple[str, ...] = ATTENTION, mlp: str = "fc") -> dict[str, torch.Tensor]:
    tensors = {"embed.weight": torch.randn(11, 8), "norm.weight": torch.randn(8), "norm.bias": torch.randn(8)}
    for i in range(2):
        for norm in norms:
            tensors |= {f"layers.{i}.{norm}.{role}": torch.randn(8) for role in ("weight", "bias")}
        tensors |= {f"layers.{i}.attn.{name}.weight": torch.randn(8, 8) for name in attention}
        tensors |= {
            f"layers.{i}.mlp.{mlp}1.weight": torch.randn(16, 8),
            f"layers.{i}.mlp.{mlp}2.weight": torch.randn(8, 16),
        }
    return tensors


def plan_of(folder: Path, source: dict[str, torch.Tensor], suffix: str = ".safetensors") -> Plan:
    for name, tensors in (("source", source), ("target", block(("norm1", "norm2")))):
        path = folder / f"{name}{suffix}"
        save_file(tensors, path) if suffix == ".safetensors" else torch.save(tensors, path)
    return match(str(folder / f"source{suffix}"), str(folder / f"target{suffix}"))


@pytest.mark.parametrize(
    "names", [("norm1", "norm2"), ("ln_1", "ln_2"), ("input_layernorm", "post_attention_layernorm")]
)
def test_names_that_tell_are_believed(names: tuple[str, str], tmp_path: Path) -> None:
    assert not doubted(plan_of(tmp_path, block(names, mlp="lin")))


def test_names_that_tell_nothing_leave_nothing_exact(tmp_path: Path) -> None:
    found = doubted(plan_of(tmp_path, block(("zeta", "alpha"))))
    assert found.keys() == {f"layers.{i}.norm{n}.{role}" for i in (0, 1) for n in (1, 2) for role in ("weight", "bias")}
    assert all("its names do not tell it from layers." in reason for reason in found.values())


@pytest.mark.parametrize(("said", "exact"), [("bias", True), ("delta", False)])
def test_a_bias_under_an_unknown_name_is_not_called_lacking(said: str, exact: bool, tmp_path: Path) -> None:
    source = {name.replace("norm1.bias", f"norm1.{said}"): t for name, t in block(("norm1", "norm2")).items()}
    steps = {step.target: step for step in plan_of(tmp_path, source).steps}
    assert all(steps[f"layers.{i}.norm1.bias"].exact == exact for i in (0, 1))


def test_the_order_of_a_file_is_believed(tmp_path: Path) -> None:
    assert not doubted(plan_of(tmp_path, block(("zeta", "alpha")), ".pt"))


def test_one_layer_that_no_name_tells_is_what_is_left(tmp_path: Path) -> None:
    assert not doubted(plan_of(tmp_path, block(("norm1", "alpha"))))


def test_a_layer_is_not_exact_where_another_is_named_for_it(tmp_path: Path) -> None:
    for name, attention in (("source", ("wk", "wq", "proj", "query")), ("target", ("wk", "to_q", "o", "key"))):
        torch.save(block(("norm1", "norm2"), attention), tmp_path / f"{name}.pt")
    plan = match(str(tmp_path / "source.pt"), str(tmp_path / "target.pt"))
    step = plan.by_target["layers.0.attn.key.weight"]
    assert step.pieces[0].source == "layers.0.attn.query.weight" and not step.exact
    assert step.reason == "layers.0.attn.wk is named for it"


def test_parts_of_heads_of_which_the_number_is_guessed_are_not_exact(tmp_path: Path) -> None:
    fused = {f"layers.{i}.attn.query_key_value.weight": torch.randn(24, 8) for i in (0, 1)}
    found = doubted(plan_of(tmp_path, block(("norm1", "norm2"), ("o_proj",)) | fused))
    assert found.keys() == {f"layers.{i}.attn.{part}_proj.weight" for i in (0, 1) for part in "qkv"}
    assert all("how its heads are cut is not known" in reason for reason in found.values())


@pytest.mark.parametrize(("rows", "told"), [(("trunk", "pool"), False), (("encoder", "decoder"), True),
                                               (("encoder.down", "encoder.mid"), True)])  # fmt: skip
def test_rows_of_blocks_that_no_name_tells_are_not_exact(rows: tuple[str, str], told: bool, tmp_path: Path) -> None:
    def network(*names: str) -> dict[str, torch.Tensor]:
        held = {k.removeprefix("layers."): t for k, t in block(("norm1", "norm2")).items() if k.startswith("layers.")}
        return {f"{name}.{key}": torch.randn_like(tensor) for name in names for key, tensor in held.items()}

    paths = [tmp_path / f"{name}.safetensors" for name in ("source", "target")]
    others = {
        "encoder": ("enc", "dec"),
        "encoder.down": ("enc.down_blocks", "enc.mid_block"),
        "trunk": ("alpha", "beta"),
    }
    for path, names in zip(paths, (rows, others[rows[0]]), strict=True):
        save_file(network(*names), path)
    found = doubted(match(*map(str, paths)))
    if told:
        assert not found
    else:
        assert all("nothing tells its block" in found[f"{name}.0.mlp.fc1.weight"] for name in ("alpha", "beta"))


@pytest.mark.parametrize(
    ("names", "told"),
    [(ATTENTION, True), (("wq", "wk", "wv", "wo"), False), (("attn_q", "attn_k", "attn_v", "attn_out"), False)],
)
def test_a_file_whose_neighbours_turn_is_not_exact_where_halves_do(
    names: tuple[str, ...], told: bool, tmp_path: Path
) -> None:
    found = doubted(plan_of(tmp_path, block(("norm1", "norm2"), names)))
    turned = {f"layers.{i}.attn.{name}.weight" for i in (0, 1) for name in ("q_proj", "k_proj")}
    assert (found == {}) if told else (found.keys() == turned and all("in pairs" in why for why in found.values()))


@pytest.mark.parametrize("back", [False, True])
def test_a_weight_and_one_that_is_normed_are_the_same_by_what_they_make(back: bool, tmp_path: Path) -> None:
    plain = block(("norm1", "norm2"))
    normed = {n: t for n, t in plain.items() if "fc1" not in n}
    for name in plain.keys() - normed.keys():
        path = name.removesuffix(".weight")
        normed |= {f"{path}.weight_g": torch.rand(16, 1), f"{path}.weight_v": torch.randn(16, 8)}
    source, target = (normed, plain) if back else (plain, normed)
    save_file(source, tmp_path / "source.safetensors")
    save_file(target, tmp_path / "target.safetensors")
    report = inject(*(str(tmp_path / f"{n}.safetensors") for n in ("source", "target")), tmp_path / "out.safetensors")
    assert not doubted(report.plan)
    made = load_file(tmp_path / "out.safetensors")
    for i in (0, 1):
        torch.testing.assert_close(used(made, f"layers.{i}.mlp.fc1"), used(source, f"layers.{i}.mlp.fc1"))


def used(tensors: dict[str, torch.Tensor], path: str) -> torch.Tensor:
    if f"{path}.weight" in tensors:
        return tensors[f"{path}.weight"]
    direction = tensors[f"{path}.weight_v"]
    return direction * tensors[f"{path}.weight_g"] / direction.norm(dim=1, keepdim=True)


def test_a_role_that_the_other_side_does_not_know_tells_nothing(tmp_path: Path) -> None:
    named = {"conv1": 0, "conv2": 1, "shortcut_conv": 2}
    kernels = [torch.randn(8, 8, 1, 1) for _ in range(6)]
    source = {f"stage.{i}.{name}.weight": kernels[3 * i + at] for i in (0, 1) for name, at in named.items()}
    target = {f"stage.{i}.branch{at}.weight": torch.randn(8, 8, 1, 1) for i in (0, 1) for at in range(3)}
    head = {"fc.weight": torch.randn(5, 8), "fc.bias": torch.randn(5)}
    for name, tensors in (("source", source), ("target", target)):
        save_file(tensors | head, tmp_path / f"{name}.safetensors")
    plan = match(str(tmp_path / "source.safetensors"), str(tmp_path / "target.safetensors"))
    assert doubted(plan).keys() == target.keys()


@pytest.mark.parametrize("name", ["alpha", "zeta"])
def test_a_bias_is_not_exact_where_neither_size_nor_name_shows_its_layer(name: str, tmp_path: Path) -> None:
    sides = {"source": ("zeta", 5), "target": (name, 3)}
    for side, (first, width) in sides.items():
        rest = {f"layers.{i}.fc{n}.weight": torch.randn(8, 8) for i in range(2) for n in (1, 2)}
        held = {f"{first}.weight": torch.randn(8, width), f"{first}.bias": torch.randn(8), **rest}
        save_file(held, tmp_path / f"{side}.safetensors")
    plan = match(str(tmp_path / "source.safetensors"), str(tmp_path / "target.safetensors"))
    step = plan.by_target[f"{name}.bias"]
    assert step.action == "transfer" and step.exact == (name == "zeta")


def blocks(names: tuple[str, str, str, str]) -> dict[str, torch.Tensor]:
    """Return convolutions with norms, of which the last two of each block are of one width; `names` are what the first
    convolution, the first norm, the second and the second are called."""
    tensors = {"stem.weight": torch.randn(8, 3, 3, 3)}
    for i, width in enumerate((8, 16)):
        shapes = (16, width, 3, 3), (16,), (16, 16, 1, 1), (16,)
        for name, shape in zip(names, shapes, strict=True):
            tensors[f"stages.{i}.{name}.weight"] = torch.randn(shape)
            if len(shape) == 1:
                roles = ("bias", "running_mean", "running_var")
                tensors |= {f"stages.{i}.{name}.{role}": torch.rand(16) for role in roles}
    return tensors | {"head.weight": torch.randn(5, 16)}


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("wide.map", "wide.norm", "narrow.map", "narrow.norm"), True),
        (("zeta.map", "alpha.norm", "beta.map", "eta.norm"), False),
    ],
)
def test_a_norm_alone_with_a_layer_in_its_module_is_told_by_that(names, told: bool, tmp_path: Path) -> None:
    source, target = tmp_path / "source.pt", tmp_path / "target.safetensors"
    torch.save(blocks(("conv1", "bn1", "conv2", "bn2")), source)
    save_file(blocks(names), target)
    steps = match(str(source), str(target)).by_target
    assert {steps[f"stages.1.{names[at]}.weight"].exact for at in (1, 3)} == {told}
    if told:
        assert [steps[f"stages.1.{names[at]}.weight"].pieces[0].source for at in (1, 3)] == [
            f"stages.1.bn{number}.weight" for number in (1, 2)
        ]


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(11, 8), nn.Linear(8, 5, bias=False)
        widths = {"gate_proj": (8, 12), "up_proj": (8, 12), "down_proj": (12, 8)}
        layers = ({name: nn.Linear(*width, bias=False) for name, width in widths.items()} for _ in range(2))
        self.layers = nn.ModuleList(nn.ModuleDict({"mlp": nn.ModuleDict(layer)}) for layer in layers)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens)
        for mlp in (layer["mlp"] for layer in self.layers):
            x = x + mlp["down_proj"](nn.functional.silu(mlp["gate_proj"](x)) * mlp["up_proj"](x))
        return self.head(x)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("w1", "w3", "w2"), True), (("fc_1", "fc_2", "proj"), True), (("gate_up_proj", "", "down_proj"), True),
        (("linear_b", "linear_a", "linear_c"), False), (("1", "0", "2"), False), (("Wi", "", "Wo"), False),
    ],
)  # fmt: skip
def test_a_gate_that_shapes_alone_tell_is_not_exact(names: tuple[str, str, str], told: bool, tmp_path: Path) -> None:
    net, source = Gated(), Gated().state_dict()
    for i in range(2):
        gate, up, down = (source.pop(f"layers.{i}.mlp.{n}.weight") for n in ("gate_proj", "up_proj", "down_proj"))
        factors = (gate, up) if names[1] else (torch.cat([up, gate]),)
        named = zip((n for n in names if n), (*factors, down), strict=True)
        source |= {f"layers.{i}.mlp.{name}.weight": tensor for name, tensor in named}
    save_file(source, path := tmp_path / "source.safetensors")
    plan = apply_tli(net, path, example=torch.randint(0, 11, (2, 4)))
    assert {i for i, mlp in enumerate(("gate_proj", "up_proj")) if f"layers.0.mlp.{mlp}.weight" in doubted(plan)} == (
        set() if told else {0, 1}
    )


def test_a_fused_projection_stays_in_parts_where_the_other_side_has_these_by_name(tmp_path: Path) -> None:
    """More blocks than the source has hold more of their shape than it, and gates have that of the projection."""
    for name, depth in (("source", 2), ("target", 3)):
        net = {"embed.weight": torch.randn(11, 8), "head.weight": torch.randn(11, 8)}
        for i in range(depth):
            parts = [torch.randn(rows, 8) for rows in (8, 4, 4)]
            split = (
                zip(("q_proj", "k_proj", "v_proj"), parts, strict=True) if depth == 2 else [("qkv", torch.cat(parts))]
            )
            net |= {f"layers.{i}.attn.{part}.weight": tensor for part, tensor in split}
            net[f"layers.{i}.attn.o_proj.weight"] = torch.randn(8, 8)
            gates = {"gate_proj": 16, "up_proj": 16} if depth == 2 else {"gate_up_proj": 32}
            net |= {f"layers.{i}.mlp.{gate}.weight": torch.randn(rows, 8) for gate, rows in gates.items()}
            net[f"layers.{i}.mlp.down_proj.weight"] = torch.randn(8, 16)
        save_file(net, tmp_path / f"{name}.safetensors")
    plan = match(str(tmp_path / "source.safetensors"), str(tmp_path / "target.safetensors"))
    fused = [step for step in plan.steps if "qkv" in step.target]
    assert [len(step.pieces) for step in fused] == [3, 3, 3]


@pytest.mark.parametrize("live", [True, False])
def test_a_head_that_a_file_keeps_as_the_table_of_tokens_is_fed_from_it(live: bool, tmp_path: Path) -> None:
    giver, taker, (tokens,) = build("decoder", 1), build("decoder", 2, tied=False), example_for("decoder")
    below = {name: name if name.startswith("lm_head") else f"model.{name}" for name in taker.state_dict()}
    files = tmp_path / "source.safetensors", tmp_path / "target.safetensors", tmp_path / "out.safetensors"
    for net, path in zip((giver, taker), files, strict=False):
        kept = {below[n]: t.clone() for n, t in net.state_dict().items() if net is taker or n != "lm_head.weight"}
        save_file(kept, path)
    if live:
        plan = apply_tli(taker, files[0], example=tokens)
    else:
        plan = inject(str(files[0]), str(files[1]), files[2]).plan
        made = load_file(files[2])
        taker.load_state_dict({name: made[said] for name, said in below.items()})
    assert torch.allclose(giver(tokens), taker(tokens), atol=1e-6)
    assert plan.relation == "same" and set(doubted(plan)) == {"lm_head.weight" if live else below["lm_head.weight"]}


@pytest.mark.parametrize("held", [("conv1", "conv2"), ("level1", "level2", "level3")])
def test_a_chain_of_convolutions_brings_no_maps_to_one_width(held: tuple[str, ...], tmp_path: Path) -> None:
    def network(place: str, row: str) -> dict[str, torch.Tensor]:
        tensors = {f"{place}{held[0]}.weight": torch.randn(8, 5, 3)}
        tensors |= {f"{place}{name}.weight": torch.randn(8, 8, 3) for name in held[1:]}
        blocks = {name.replace("layers", f"{place}{row}"): tensor for name, tensor in block(("norm1", "norm2")).items()}
        return tensors | {name: tensor for name, tensor in blocks.items() if row in name}

    for name, (place, row) in {"source": ("encoder.", "blocks"), "target": ("model.enc.", "layers")}.items():
        tensors = network(place, row)
        torch.save({n: t for n, t in tensors.items() if f".{len(held)}." not in n}, tmp_path / f"{name}.pt")
    found = doubted(match(str(tmp_path / "source.pt"), str(tmp_path / "target.pt")))
    assert not any("from which end" in said for said in found.values())


@pytest.mark.parametrize(("router", "turned"), [("feed_forward.gate", True), ("moe.router", False)])
def test_files_of_mixtral_turn_as_those_of_llama_do(router: str, turned: bool, tmp_path: Path) -> None:
    norms = ("input_layernorm", "post_attention_layernorm")
    target = {n.replace(".attn.", ".self_attn."): t for n, t in block(norms).items() if ".mlp." not in n}
    source = block(("attention_norm", "ffn_norm"), ("wq", "wk", "wv", "wo"))
    source = {n.replace(".attn.", ".attention."): t for n, t in source.items() if ".mlp." not in n}
    for name, tensors, gate in (("source", source, router), ("target", target, "mlp.gate")):
        routers = {f"layers.{i}.{gate}.weight": torch.randn(3, 8) for i in range(2)}
        save_file(tensors | routers, tmp_path / f"{name}.safetensors")
    found = doubted(match(str(tmp_path / "source.safetensors"), str(tmp_path / "target.safetensors")))
    assert any("of heads whose width is a guess" in said for said in found.values()) == turned


@pytest.mark.parametrize(("names", "split"), [(("ff_proj", "ff_out"), ("up", "gate")), (("w12", "w3"), ("gate", "up"))])
def test_names_tell_which_half_of_a_fused_gate_comes_first(names, split, tmp_path: Path) -> None:
    halves = {name: torch.randn(12, 8) for name in ("gate", "up")}
    rest = {f"blocks.0.{name}.weight": torch.randn(8, 8) for name in ("q_proj", "k_proj", "v_proj", "attn_out")}
    down = torch.randn(8, 12)
    held = rest | {f"blocks.0.{names[0]}.weight": torch.cat([halves[name] for name in split])}
    save_file(held | {f"blocks.0.{names[1]}.weight": down}, tmp_path / "source.safetensors")
    wanted = rest | {f"blocks.0.{name}_proj.weight": torch.randn(12, 8) for name in ("gate", "up")}
    save_file(wanted | {"blocks.0.down_proj.weight": down}, tmp_path / "target.safetensors")
    out = tmp_path / "out.safetensors"
    report = inject(str(tmp_path / "source.safetensors"), str(tmp_path / "target.safetensors"), out)
    made = load_file(out)
    assert all(torch.equal(made[f"blocks.0.{name}_proj.weight"], halves[name]) for name in halves)
    assert all(step.exact for step in report.plan.steps)


class Numbered(nn.Module):
    """A list that counts activations too: behind a norm, or behind what stands beside it in the list."""

    def __init__(self, early: bool) -> None:
        super().__init__()
        act, inner = nn.ReLU(), nn.Sequential(nn.Linear(12, 12))
        rest = (act, inner) if early else (inner, act)
        self.row = nn.Sequential(nn.Linear(8, 12), nn.LayerNorm(12), *rest, nn.Linear(12, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.row(x)


@pytest.mark.parametrize("early", [True, False])
def test_no_activation_stands_between_neighbours_of_a_list_that_counts_activations(early: bool, tmp_path: Path) -> None:
    torch.save(Numbered(early=False).state_dict(), tmp_path / "source.pt")
    wanted = Numbered(early)
    plan = apply_tli(wanted, str(tmp_path / "source.pt"), example=torch.randn(2, 8), options=Options(method="maps"))
    inner = [step for step in plan.steps if step.target.startswith(f"row.{3 if early else 2}.0")]
    assert inner and all(step.exact != early for step in inner)


@pytest.mark.parametrize("turned", [True, False])
def test_weights_without_biases_are_turned_where_the_width_of_tables_shows_it(turned: bool, tmp_path: Path) -> None:
    gated = {f"layers.0.mlp.{name}_proj.weight": torch.randn(12, 8) for name in ("gate", "up")}
    held = gated | {f"layers.0.self_attn.{name}_proj.weight": torch.randn(8, 8) for name in "qkvo"}
    held |= {"layers.0.mlp.down_proj.weight": torch.randn(8, 12), "lm_head.weight": torch.randn(20, 8)}
    beside = {"embed_tokens.weight": torch.randn(20, 8), "norm.weight": torch.randn(8)}
    stored = {name: t.t().contiguous() if turned else t for name, t in held.items()}
    save_file(stored | beside, tmp_path / "source.safetensors")
    save_file({name: torch.randn_like(t) for name, t in (held | beside).items()}, tmp_path / "target.safetensors")
    out = tmp_path / "out.safetensors"
    report = inject(str(tmp_path / "source.safetensors"), str(tmp_path / "target.safetensors"), out)
    made = load_file(out)
    assert all(torch.equal(made[name], tensor) for name, tensor in held.items())
    assert all(step.exact for step in report.plan.steps)

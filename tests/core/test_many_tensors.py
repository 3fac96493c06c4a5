"""What planning costs does not grow faster than the number of tensors."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tli_cli.architecture import Architecture, AxisTree, TensorSpec
from tli_cli.describe.from_names.names import describe_names
from tli_cli.options import Options
from tli_cli.planning.between import plan_injection
from tli_cli.planning.spaces import leaf_maps
from tli_cli.planning.spaces.leaf_maps import Place


def _mixture(width: int, experts: int = 6) -> Architecture:
    shapes = {"embed_tokens.weight": (32, width), "norm.weight": (width,), "lm_head.weight": (32, width)}
    for layer in range(3):
        for name in ("q", "k", "v", "o"):
            shapes[f"layers.{layer}.self_attn.{name}_proj.weight"] = (width, width)
        shapes[f"layers.{layer}.mlp.gate.weight"] = (experts, width)
        for expert in range(experts):
            for name in ("gate", "up", "down"):
                shape = (2 * width, width) if name != "down" else (width, 2 * width)
                shapes[f"layers.{layer}.mlp.experts.{expert}.{name}_proj.weight"] = shape
    return describe_names([TensorSpec(name, shape) for name, shape in sorted(shapes.items())])


def test_a_source_is_looked_through_once_for_where_its_channels_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Architecture] = []

    def places_of(architecture: Architecture) -> Mapping[AxisTree, list[Place]]:
        looked.append(architecture)
        return found(architecture)

    found = leaf_maps.places_of
    monkeypatch.setattr(leaf_maps, "places_of", places_of)
    plan = plan_injection(_mixture(32), [_mixture(64)], Options(method="maps"), "constructor")
    assert sum(m.rule == "strongest" for m in plan.maps) > 18
    assert len(looked) == 1


def test_experts_stand_in_the_order_of_their_numbers_with_what_each_computes_in_turn() -> None:
    paths = [layer.path for layer in _mixture(8, experts=12).layers if ".1.mlp.experts." in layer.path]
    wanted = [(expert, name) for expert in range(12) for name in ("gate", "up", "down")]
    assert paths == [f"layers.1.mlp.experts.{expert}.{name}_proj" for expert, name in wanted]

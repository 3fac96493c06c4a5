"""Which tensors of a checkpoint are like which of a network of its class."""

from __future__ import annotations

import pytest

from tli_cli.architecture import Architecture, TensorSpec
from tli_cli.kinship.naming import in_its_order, templates

BLOCKS = {f"layers.{i}.fc{n}.weight": (8, 8) for i in range(6) for n in (1, 2)}


def like(checkpoint: dict[str, tuple[int, ...]], network: dict[str, tuple[int, ...]]) -> dict[str, str]:
    known = Architecture(tuple(TensorSpec(*item) for item in network.items()), ())
    found = templates([TensorSpec(*item) for item in checkpoint.items()], known)
    return {name: likeness.template for name, likeness in found.items() if likeness.template != name}


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [("stem.conv", "stem.0"), ("classifier", "fc"), ("embed.tokens.table", "embed.tokens.words")],
)
def test_the_one_layer_of_a_module_that_is_left_over_on_both_sides(mine: str, theirs: str) -> None:
    found = like(BLOCKS | {f"{mine}.weight": (8, 3)}, BLOCKS | {f"{theirs}.weight": (8, 3)})
    assert found == {f"{mine}.weight": f"{theirs}.weight"}


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ({"cls.dense.weight": (8, 8)}, {"pooler.dense.weight": (8, 8)}),
        ({"text_projection.weight": (8, 8)}, {"middle.weight": (8, 8)}),
        ({"stem.conv.weight": (8, 3)}, {"stem.0.weight": (8, 4)}),
        ({"stem.conv.weight": (8, 3)}, {"stem.0.weight": (8, 3), "stem.1.weight": (8, 3)}),
    ],
    ids=["another module", "no head", "another shape", "two that fit"],
)
def test_what_is_left_over_elsewhere_is_like_nothing(
    mine: dict[str, tuple[int, ...]], theirs: dict[str, tuple[int, ...]]
) -> None:
    assert not like(BLOCKS | mine, BLOCKS | theirs)


def test_a_checkpoint_of_other_names_is_no_kin_however_much_is_left_over() -> None:
    assert not like({f"a.{name}.b": shape for name, shape in BLOCKS.items()}, BLOCKS)


@pytest.mark.parametrize("turned", [False, True])
def test_a_normed_weight_is_spelled_as_torch_spelled_it_before_and_does_now(turned: bool) -> None:
    before = {"conv.weight_g": (8, 1), "conv.weight_v": (8, 8), "conv.bias": (8,)}
    now = {"conv.parametrizations.weight.original0": (8, 1), "conv.parametrizations.weight.original1": (8, 8)}
    sides = (BLOCKS | before, BLOCKS | now | {"conv.bias": (8,)})
    mine, theirs = sides[::-1] if turned else sides
    pairs = dict(zip(list(before)[:2], now, strict=True))
    assert like(mine, theirs) == ({new: old for old, new in pairs.items()} if turned else pairs)


@pytest.mark.parametrize(
    "beside",
    [
        {"criterion.weight": (3,), "metric.running_mean": (3,), "metric.running_var": (3,)},
        {f"loss.vgg.{i}.weight": (4, 4) for i in range(5)},
        {f"loss.vgg.{i}.weight": (4, 4) for i in range(14)},
    ],
    ids=["vectors", "a small network", "one of more tensors and fewer elements"],
)
def test_a_whole_network_is_told_whatever_a_training_module_keeps_beside_it(beside: dict[str, tuple[int, ...]]) -> None:
    found = like({f"model.{name}": shape for name, shape in BLOCKS.items()} | beside, BLOCKS)
    assert found == {f"model.{name}": name for name in BLOCKS}


def test_of_two_networks_of_one_class_none_is_told() -> None:
    both = {f"{side}.{name}": shape for side in ("first", "second") for name, shape in BLOCKS.items()}
    assert not like(both, BLOCKS)


def in_order(checkpoint: dict[str, tuple[int, ...]], network: dict[str, tuple[int, ...]]) -> bool:
    known = Architecture(tuple(TensorSpec(*item) for item in network.items()), ())
    return bool(in_its_order([TensorSpec(*item) for item in checkpoint.items()], known))


def test_a_name_says_nothing_against_the_order_where_sizes_tell_a_tensor() -> None:
    network = {"entry.conv1.weight": (8, 3, 7, 7), "block.a.weight": (8, 8), "block.b.weight": (8, 8)}
    assert in_order({"stem.conv1.weight": (8, 3, 7, 7), "layer.q.weight": (8, 8), "layer.k.weight": (8, 8)}, network)
    network = {"stem.weight": (8, 3, 7, 7), "block.k.weight": (8, 8), "block.q.weight": (8, 8)}
    assert not in_order({"stem.weight": (8, 3, 7, 7), "layer.q.weight": (8, 8), "layer.k.weight": (8, 8)}, network)

from __future__ import annotations

import random

import pytest

from tli_cli.architecture import TensorSpec
from tli_cli.describe.from_names.names import describe_names

WORDS = """
    weight bias gamma q k v qkv attn mlp fc1 fc2 conv1 bn1 norm 0 1 layers blocks stem head branch1 branch2 se
    downsample cls_token pos_embed running_mean wte relative_position_bias_table
    attention output dense logit_scale q_norm kv o
    x num_batches_tracked q_bias
""".split()  # fmt: skip  # noqa: SIM905
SIZES = (0, 1, 2, 3, 4, 7, 8, 16, 24, 64)


def some_tensors(seed: int) -> list[TensorSpec]:
    draw = random.Random(seed)
    names = {".".join(draw.choices(WORDS, k=draw.randint(1, 5))) for _ in range(draw.randint(0, 14))}
    return [TensorSpec(name, tuple(draw.choices(SIZES, k=draw.randint(0, 5)))) for name in sorted(names)]


@pytest.mark.parametrize("order_from", ["inferred", "file"])
def test_any_names_and_shapes_are_described(order_from: str) -> None:
    for seed in range(300):
        tensors = some_tensors(seed)
        found = describe_names(tensors, order_from=order_from, config={"num_attention_heads": seed % 5})
        placed = [name for layer in found.layers for _, name in layer.tensors]
        assert sorted(placed) == [t.name for t in tensors]
        sizes = {name: tuple(found.size_of(axis.tree) for axis in axes) for name, axes in found.axes.items()}
        assert sizes == {t.name: t.shape for t in tensors if t.name in sizes}


@pytest.mark.parametrize("seed", range(5))
def test_the_inferred_order_does_not_depend_on_the_given_one(seed: int) -> None:
    tensors = some_tensors(seed)
    shuffled = random.Random(seed).sample(tensors, len(tensors))
    paths = [[layer.path for layer in describe_names(order).layers] for order in (tensors, shuffled)]
    assert paths[0] == paths[1]

"""Generate checkpoints of a given size: a decoder like an LLM's, or a convolutional network like torchvision's."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from math import prod
from pathlib import Path

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints import write_checkpoint
from tli_cli.checkpoints.writing.job import Job
from tli_cli.cli.parsers import parse_size


def decoder(size: int, wider: float = 1.0, dtype: str = "bfloat16") -> tuple[TensorSpec, ...]:
    """Return the entries of a LLaMA-like decoder of about `size` bytes, then made `wider`."""
    width = next((w for w in (512, 1024, 2048, 4096) if _decoder_layer(w) * 24 * 2 >= size), 4096)
    vocabulary = 16 * width // 4
    layers = max(1, (size // 2 - 2 * vocabulary * width) // _decoder_layer(width))
    return tuple(_decoder(round(width * wider), layers, vocabulary, dtype))


def _decoder_layer(width: int) -> int:
    return 4 * width * width + 3 * width * (width * 11 // 4) + 2 * width


def _decoder(width: int, layers: int, vocabulary: int, dtype: str) -> Iterator[TensorSpec]:
    inner = width * 11 // 4
    yield TensorSpec("model.embed_tokens.weight", (vocabulary, width), dtype)
    for i in range(layers):
        block = f"model.layers.{i}"
        for name in ("q", "k", "v", "o"):
            yield TensorSpec(f"{block}.self_attn.{name}_proj.weight", (width, width), dtype)
        yield TensorSpec(f"{block}.mlp.gate_proj.weight", (inner, width), dtype)
        yield TensorSpec(f"{block}.mlp.up_proj.weight", (inner, width), dtype)
        yield TensorSpec(f"{block}.mlp.down_proj.weight", (width, inner), dtype)
        yield TensorSpec(f"{block}.input_layernorm.weight", (width,), dtype)
        yield TensorSpec(f"{block}.post_attention_layernorm.weight", (width,), dtype)
    yield TensorSpec("model.norm.weight", (width,), dtype)
    yield TensorSpec("lm_head.weight", (vocabulary, width), dtype)


def convolutional(size: int, wider: float = 1.0, dtype: str = "float32") -> tuple[TensorSpec, ...]:
    """Return the entries of a residual convolutional network of about `size` bytes, then made `wider`."""
    width = next((w for w in (64, 128, 256, 512) if 18 * w * w * 4 * 24 >= size), 512)
    blocks = max(1, size // (18 * width * width * 4))
    width = round(width * wider)
    specs = [TensorSpec("stem.weight", (width, 3, 7, 7), dtype)]
    for i in range(blocks):
        for j in (1, 2):
            norm = f"layer1.{i}.bn{j}"
            specs.append(TensorSpec(f"layer1.{i}.conv{j}.weight", (width, width, 3, 3), dtype))
            specs += [TensorSpec(f"{norm}.{role}", (width,), dtype) for role in ("weight", "bias")]
            specs += [TensorSpec(f"{norm}.running_{role}", (width,), dtype, buffer=True) for role in ("mean", "var")]
            specs.append(TensorSpec(f"{norm}.num_batches_tracked", (), "int64", buffer=True))
    specs += [TensorSpec("fc.weight", (1000, width), dtype), TensorSpec("fc.bias", (1000,), dtype)]
    return tuple(specs)


KINDS = {"llm": decoder, "vision": convolutional}

_ITEM = {"float32": 4, "bfloat16": 2, "int64": 8}


def generate(
    kind: str, size: int, out: Path, max_shard_size: int | None = None, wider: float = 1.0
) -> tuple[Path, ...]:
    """Write a checkpoint of about `size` bytes (then made `wider`) whose values are finite and do not compress."""
    specs = KINDS[kind](size, wider)
    noise = bytearray(os.urandom(max(prod(spec.shape) * _ITEM[spec.dtype] for spec in specs)))
    noise[1::2] = bytes(byte & 0xBF for byte in noise[1::2])  # no exponent of ones: no infinity, no NaN
    view = memoryview(noise)

    def produce(spec: TensorSpec) -> memoryview:
        return view[: prod(spec.shape) * _ITEM[spec.dtype]]

    return write_checkpoint(out, specs, Job(produce, max_shard_size=max_shard_size, force=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("size", type=parse_size, help="such as 1GB")
    parser.add_argument("out", type=Path)
    parser.add_argument("--max-shard-size", type=parse_size)
    parser.add_argument("--wider", type=float, default=1.0)
    arguments = parser.parse_args()
    written = generate(arguments.kind, arguments.size, arguments.out, arguments.max_shard_size, arguments.wider)
    for path in written:
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()

from __future__ import annotations

import random
import zlib
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tli_cli.checkpoints.writing.checksums import Checksums, joined


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_joined_checksums_are_those_of_the_bytes_together(first: bytes, second: bytes) -> None:
    assert joined(zlib.crc32(first), zlib.crc32(second), len(second)) == zlib.crc32(first + second)


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=12), st.randoms(use_true_random=False))
def test_parts_may_be_seen_in_any_order(data: bytes, cuts: list[int], order: random.Random) -> None:
    """Some of the cuts part what is seen, others begin and end the spans; what lies between spans does not count."""
    bounds = sorted({0, len(data), *(cut for cut in cuts[::2] if cut < len(data))})
    edges = sorted({cut for cut in cuts[1::2] if cut <= len(data)})
    spans = {start: end - start for start, end in zip(edges[::2], edges[1::2], strict=False)} | {len(data) + 1: 0}
    parts = list(pairwise(bounds))
    order.shuffle(parts)
    checksums = Checksums(spans)
    for start, end in parts:
        checksums.see(start, memoryview(data)[start:end])
    assert {s: checksums.of(s) for s in spans} == {s: zlib.crc32(data[s : s + n]) for s, n in spans.items()}

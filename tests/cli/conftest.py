from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tli_cli.pieces import AxisMap, Piece
from tli_cli.plan import Plan, Side, Step

GOLDEN = Path(__file__).parent / "golden"


def fed(
    target: str,
    shape: tuple[int, ...],
    source: str,
    source_shape: tuple[int, ...],
    axes: tuple[int, ...] = (),
    **rest: object,
) -> Step:
    layer, _, role = target.rpartition(".")
    piece = Piece(source, source_shape=source_shape, axes=axes)
    known = {"layer": layer, "role": role, "similarity": 1.0, "exact": True, "resizer": "maps" if axes else "copy"}
    return Step(target, shape, "transfer", pieces=(piece,), **{**known, **rest})  # type: ignore[arg-type]


@pytest.fixture
def plan() -> Plan:
    steps = (
        fed("stem.weight", (16, 3, 3, 3), "conv1.weight", (16, 3, 3, 3), block="stem"),
        fed(
            "layer1.0.conv.weight", (32, 16, 3, 3), "body.0.conv.weight", (16, 16, 3, 3), (1, 0, 2, 2), similarity=0.755
        ),
        fed("layer1.0.bn.weight", (32,), "body.0.bn.weight", (16,), (1,), similarity=0.755),
        fed("layer1.0.bn.bias", (32,), "body.0.bn.bias", (16,), (1,), similarity=0.755),
        Step(
            "layer1.0.bn.num_batches_tracked",
            (),
            "keep",
            layer="layer1.0.bn",
            initial="constructor",
            reason="a counter",
        ),
        Step(
            "attn.qkv.weight",
            (48, 16),
            "transfer",
            layer="attn.qkv",
            role="weight",
            block="attn",
            pieces=tuple(
                Piece(f"self.{n}.weight", source_shape=(16, 16), target_range=(0, 16 * i, 16 * i + 16))
                for i, n in enumerate("qkv")
            ),
            resizer="copy",
            similarity=0.999,
            exact=True,
        ),
        Step("fc.weight", (10, 32), "keep", layer="fc", role="weight", reason="a fresh head"),
        Step("fc.bias", (10,), "keep", layer="fc", role="bias", reason="a fresh head"),
    )
    return Plan(
        sources=(Side("checkpoint src.pt", "0" * 16, "file"),),
        target=Side("catalogue tiny", "1" * 16, "catalogue"),
        steps=steps,
        maps=(AxisMap("same", 16, 16), AxisMap("widen", 32, 16), AxisMap("same", 3, 3)),
        relation="wider",
        score=0.81239,
        unused=("head.weight", "head.bias"),
        notes=("the order of the source's layers is that of the file",),
    )


@pytest.fixture
def check_golden() -> Callable[[str, str], None]:
    """Compare with a file under golden/; UPDATE_GOLDEN=1 writes it instead."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if os.environ.get("UPDATE_GOLDEN"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return check


@pytest.fixture
def as_text(monkeypatch: pytest.MonkeyPatch) -> Callable[[Iterable[object]], str]:
    """Render tables and texts as a terminal of 100 columns without colours shows them."""
    monkeypatch.setenv("COLUMNS", "100")

    def render(parts: Iterable[object]) -> str:
        from rich.console import Console

        console = Console(file=io.StringIO(), width=100, color_system=None, highlight=False, emoji=False)
        for part in parts:
            console.print(part)
        text = console.file.getvalue()  # type: ignore[attr-defined]
        return "".join(f"{line.rstrip()}\n" for line in text.splitlines())

    return render

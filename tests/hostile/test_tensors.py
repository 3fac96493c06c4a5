from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.stored import stored_bytes
from tli_cli.checkpoints import open_checkpoint

Refuses = Callable[..., str]


class Rebuilt:
    """Pickles as a call of one of torch's own functions, with arguments that lie."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def storage() -> torch.storage.TypedStorage:
    return torch.ones(4).storage()  # type: ignore[no-untyped-call,no-any-return]


def lie(shape: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> Rebuilt:
    return Rebuilt(torch._utils._rebuild_tensor_v2, storage(), offset, shape, stride, False, {})


LIES: dict[str, Callable[[], Any]] = {
    "expanded": lambda: torch.ones(1).expand(1 << 20),
    "expanded to 2^50": lambda: torch.ones(1, 1).expand(1 << 25, 1 << 25),
    "stride 0": lambda: lie((1 << 40,), (0,)),
    "beyond its storage": lambda: lie((1 << 40,), (1,)),
    "a little beyond": lambda: lie((5,), (1,)),
    "offset beyond": lambda: lie((4,), (1,), offset=1),
    "huge offset": lambda: lie((1,), (1,), offset=1 << 60),
    "huge stride": lambda: lie((2, 2), (1 << 60, 1)),
    "negative offset": lambda: lie((2,), (1,), offset=-2),
    "negative shape": lambda: lie((-2,), (1,)),
    "overflowing shape": lambda: lie((1 << 62, 1 << 62), (1, 1)),
    "text as shape": lambda: Rebuilt(torch._utils._rebuild_tensor_v2, storage(), 0, "ab", (1,), False, {}),
    "no values": lambda: torch.empty(1 << 40, device="meta"),
    "sparse": lambda: torch.sparse_coo_tensor(torch.tensor([[0]]), torch.tensor([1.0]), (1 << 40,)),
    "sparse rows": lambda: torch.ones(3, 3).to_sparse_csr(),
    "65 axes": lambda: torch.ones(4)[(..., *[None] * 64)],
    "nested": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", LIES)
@pytest.mark.parametrize("zipped", [True, False])
def test_a_tensor_that_claims_more_than_the_file_holds_is_refused(
    tmp_path: Path, refuses: Refuses, kind: str, zipped: bool
) -> None:
    try:
        torch.save({"fine": torch.ones(2), "w": LIES[kind]()}, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    except (NotImplementedError, RuntimeError):
        pytest.skip("torch cannot save it so")
    refuses(tmp_path / "a.pt")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["expanded", "sparse", "no values"])
def test_the_tensor_is_named(tmp_path: Path, refuses: Refuses, kind: str) -> None:
    torch.save({"fine": torch.ones(2), "layer.weight": LIES[kind]()}, tmp_path / "a.pt")
    refuses(tmp_path / "a.pt", "layer.weight", "save it with" if kind != "no values" else "no values")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_tensor_is_read_whatever_a_pickle_calls_its_methods(tmp_path: Path, zipped: bool) -> None:
    given = dict.fromkeys(("stride", "detach", "numel", "untyped_storage", "element_size", "is_contiguous"), 1)
    odd = Rebuilt(torch._utils._rebuild_parameter_with_state, torch.ones(2), True, OrderedDict(), given)
    torch.save({"a": odd}, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    checkpoint = open_checkpoint(tmp_path / "a.pt")
    assert checkpoint.read("a").tolist() == [1, 1] and len(stored_bytes(checkpoint, "a")) == 8


def test_views_of_one_storage_are_fine(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    state = {"row": base[1], "column": base[:, 2], "all": base, "back": base.t(), "one": base[0:1].expand(1, 4)}
    torch.save(state, tmp_path / "a.pt")
    checkpoint = open_checkpoint(tmp_path / "a.pt")
    assert all(torch.equal(checkpoint.read(name), value) for name, value in state.items())
    assert all(spec.tied_to is None for spec in checkpoint.tensors)

"""Files that store what weights are worked out from: pruned, or spectrally normalised in either spelling."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm

from tli_cli import Options, apply_tli, inject

HOWS = {
    "plain": lambda layer: layer,
    "pruned": lambda layer: prune.random_unstructured(layer, "weight", 0.4),
    "recent": parametrizations.spectral_norm,
    "old": spectral_norm,
}
IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """A network with a square transposed convolution, of which the sizes do not tell how it lies."""

    def __init__(self, how: str = "plain", width: int = 6) -> None:
        super().__init__()
        change = HOWS[how]
        self.stem, self.norm = change(nn.Conv2d(3, width, 3, padding=1)), nn.BatchNorm2d(width)
        self.up, self.head = change(nn.ConvTranspose2d(width, width, 3)), change(nn.Linear(width, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.up(self.norm(self.stem(x)).relu()).relu().mean((2, 3)))


def trained(how: str) -> Net:
    torch.manual_seed(1)
    net = Net(how).train()
    for _ in range(10):
        net(IMAGES)
    return net.eval()


def moved(how: str, target: str, width: int, tmp_path, *, named: bool):
    """Return how far the target's outputs are from the source's, and the plan."""
    source, made = trained(how), Net(target, width)
    save_file({name: value.contiguous() for name, value in source.state_dict().items()}, tmp_path / "s.safetensors")
    options = Options(
        head="keep",
        input_shape=(3, 8, 8),
        source_arch=f"{__name__}:Net(how={how!r})" if named else None,
    )
    report = inject(
        tmp_path / "s.safetensors", f"{__name__}:Net({target!r}, {width})", tmp_path / "o.pt", options=options
    )
    made.load_state_dict(torch.load(tmp_path / "o.pt"), strict=True)
    with torch.no_grad():
        return float((made.eval()(IMAGES) - source(IMAGES)).abs().max()), report.plan


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("width", [6, 12])
@pytest.mark.parametrize("how", ["pruned", "recent", "old"])
def test_a_target_with_plain_weights_takes_them_as_they_are_used(how, width, named, tmp_path):
    difference, plan = moved(how, "plain", width, tmp_path, named=named)
    assert difference < 1e-6
    assert all(step.exact for step in plan.steps) and not plan.unused
    assert any("weights are taken as they are used" in note for note in plan.notes)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    ("how", "target"), [("recent", "old"), ("old", "recent"), ("old", "old"), ("pruned", "pruned")]
)
def test_a_target_of_the_same_kind_takes_what_makes_them(how, target, named, tmp_path):
    difference, plan = moved(how, target, 6, tmp_path, named=named)
    assert (difference == 0 and not plan.unused) or (named and how == "pruned" and not all(s.exact for s in plan.steps))


@pytest.mark.parametrize("arrays", [False, True])
def test_state_dicts_are_read_alike(arrays):
    source, target = trained("pruned"), Net()
    held = {name: value.numpy() if arrays else value for name, value in source.state_dict().items()}
    apply_tli(target, {"params": held, "epoch": 3}, options=Options(head="keep"), example=IMAGES)
    with torch.no_grad():
        assert torch.equal(target.eval()(IMAGES), source(IMAGES))

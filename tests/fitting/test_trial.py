"""A trial of a start: a made-up task that can be learned, which a network that cannot learn it is told by."""

from __future__ import annotations

from copy import deepcopy
from itertools import cycle

import pytest
import torch
from torch import nn

from tests.models import ResNet, randomised
from tli_cli import api
from tli_cli.fitting import work
from tli_cli.fitting.samples import drawn_classes
from tli_cli.fitting.trial import PASSES, WORK, Trial
from tli_cli.options import Options


def network() -> nn.Module:
    torch.manual_seed(0)
    body = (nn.Conv2d(1, 12, 3, 2, 1), nn.BatchNorm2d(12), nn.ReLU(), nn.Flatten())
    return nn.Sequential(*body, nn.Linear(192, 11))


def test_drawn_classes_differ_in_their_means_and_not_in_their_colours():
    images, labels = drawn_classes(800, (3, 12, 12), 5, torch.Generator().manual_seed(0))
    assert set(labels.tolist()) == set(range(5)) and images.shape == (800, 3, 12, 12)
    strokes = (images - images.median(3, keepdim=True).values).abs().mean(1).flatten(1)
    means = torch.stack([strokes[:600][labels[:600] == one].mean(0) for one in range(5)])
    assert (torch.cdist(strokes[600:], means).argmin(1) == labels[600:]).float().mean() > 0.4
    colours = images.mean((2, 3))
    means = torch.stack([colours[:600][labels[:600] == one].mean(0) for one in range(5)])
    assert (torch.cdist(colours[600:], means).argmin(1) == labels[600:]).float().mean() < 0.4


def test_a_start_that_cannot_learn_is_told_from_one_that_can_and_neither_is_changed(monkeypatch):
    monkeypatch.setattr("tli_cli.fitting.trial.RATES", (1e-2,))
    plain, trial = network(), Trial((1, 8, 8), 0)
    dead = deepcopy(plain)
    nn.init.constant_(dead[1].bias, -100.0)
    before = deepcopy(dead.state_dict())
    assert trial.prefers(plain, dead) and not trial.prefers(plain, plain)
    assert trial.learned(plain) > 0.3
    assert all(torch.equal(value, before[name]) for name, value in dead.state_dict().items())


def test_what_cannot_be_trained_is_not_tried():
    class Failing(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("in training")

    assert not Trial((1, 8, 8), 0).prefers(network(), Failing())
    image, tokens = torch.zeros(1, 3, 8, 8), torch.zeros(1, 8, dtype=torch.long)
    assert Trial.for_inputs((image,), 1000, 0) == Trial((3, 8, 8), 0)
    assert Trial.for_inputs((tokens,), 1000, 0) is Trial.for_inputs((image, image), 1000, 0) is None
    assert Trial.for_inputs((image,), int(WORK / PASSES), 0) is None


@pytest.mark.parametrize(
    ("target", "maps_too"),
    [
        ("tests.models_tokens:ViT?classes=7", False),
        ("tests.models:MobileNet?classes=7", True),
        ("tests.models:MobileNet?classes=7", False),
    ],
)
def test_where_a_plain_start_learns_faster_nothing_slower_is_moved(tmp_path, monkeypatch, target, maps_too):
    monkeypatch.setattr(work, "IMAGES", 16)
    monkeypatch.setattr(work, "STEPS", 20)
    monkeypatch.setattr("tli_cli.fitting.files.fit_live", lambda *_args, **_kwargs: None)
    answers = cycle([True, maps_too])
    monkeypatch.setattr(Trial, "prefers", lambda *_args: next(answers))
    idle = maps_too or "ViT" in target
    options = Options(source_arch="tests.models:ResNet?width=8", input_shape=(3, 16, 16))
    written = []
    for seed in (0, 1):
        torch.save(randomised(ResNet(width=8), seed).float().state_dict(), tmp_path / f"{seed}.pt")
        out = tmp_path / f"{seed}.safetensors"
        report = api.inject(str(tmp_path / f"{seed}.pt"), target, str(out), options=options)
        done = "nothing is moved" if idle else "injected by axis maps alone"
        assert any(done in said and "short trial" in said for said in report.warnings)
        assert not report.plan.fits and (report.plan.coverage == 0) == idle
        assert not any("are fitted" in note for note in report.plan.notes)
        written.append(api.read(str(out)).checkpoint)
    same = [torch.equal(written[0].read(spec.name), written[1].read(spec.name)) for spec in written[0].tensors]
    assert all(same) == idle

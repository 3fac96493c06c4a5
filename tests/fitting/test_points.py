"""Which point of a target is fitted to which of its source, on how many made-up samples, and how far off it is then."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d

from tli_cli import api
from tli_cli.fitting import work
from tli_cli.fitting.polish import Goal, difference
from tli_cli.fitting.trunk import trunk_points
from tli_cli.fitting.work import work_of
from tli_cli.options import Options

NETS = ("timm:test_resnet", "timm:test_vit", "timm:test_convnext", "timm:test_efficientnet", "mixer_s32_224")


@pytest.mark.parametrize(("source", "target"), permutations(NETS, 2))
def test_points_are_paired_in_order_and_the_last_with_the_last(source, target):
    fits = api.match(source, target, options=Options(method="fit")).fits
    mine, theirs = (
        [place.point for place in trunk_points(api.inspect(side)) if place.count > 1] for side in (target, source)
    )
    places = [(mine.index(fit.target), theirs.index(fit.source)) for fit in fits if fit.target in mine]
    assert places == sorted(places) and len({place for place, _ in places}) == len(places)
    assert places[-1] == (len(mine) - 1, len(theirs) - 1)


def test_more_samples_are_made_up_the_more_often_the_gradient_steps_look():
    small, large = api.inspect("timm:test_vit"), api.inspect("resnet18")
    quick, slow = work_of(small, small, 3 * 16 * 16), work_of(large, small, 3 * 224 * 224)
    assert quick.samples == work.SEEN > quick.solved == work.IMAGES
    assert slow.samples >= slow.solved and slow.samples * work.AGAIN <= max(slow.steps * slow.batch, 8 * slow.solved)


def test_what_gives_a_constant_is_as_far_from_its_goal_as_the_goal_varies():
    wanted = torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    chosen, model = torch.arange(4, 8), nn.Sequential(nn.Identity())
    mean = wanted[4:].mean((0, 2, 3), keepdim=True).expand(8, 3, 4, 4)
    for given, apart in ((mean, 1.0), (wanted, 0.0)):
        assert difference(model, (given,), Goal("0", 1, "", wanted), chosen) == pytest.approx(apart, abs=1e-6)


def test_a_goal_of_fewer_places_asks_for_their_means_alone():
    wanted = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    finer = torch.randn(4, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    finer += (wanted - adaptive_avg_pool2d(finer, 2)).repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert Goal("0", 1, "", wanted).loss(finer, torch.arange(4)) < 1e-10

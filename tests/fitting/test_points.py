"""Which point of a target is fitted to which of its source, and on how many made-up samples."""

from __future__ import annotations

from itertools import permutations

import pytest

from tli_cli import api
from tli_cli.fitting import work
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


@pytest.mark.parametrize(("source", "target"), permutations(("timm:test_vit", "timm:test_efficientnet")))
def test_one_resolution_and_several_are_fitted_to_each_other_unasked(source, target):
    assert api.match(source, target).fits


def test_more_samples_are_made_up_the_more_often_the_gradient_steps_look():
    small, large = api.inspect("timm:test_vit"), api.inspect("resnet18")
    quick, slow = work_of(small, small, 3 * 16 * 16), work_of(large, small, 3 * 224 * 224)
    assert quick.samples == work.SEEN > quick.solved == work.IMAGES
    assert slow.samples >= slow.solved and slow.samples * work.AGAIN <= max(slow.steps * slow.batch, 8 * slow.solved)

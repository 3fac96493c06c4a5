"""Fits between files: by default where both models are code, on demand, replayed from a plan, and refused in plain
words."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from tests.models import ResNet, randomised
from tli_cli import api, apply_tli
from tli_cli.errors import GateError, TliError
from tli_cli.fitting import work
from tli_cli.fitting.carry_out import fit_live
from tli_cli.fitting.worth import Features, Worth
from tli_cli.options import Options

OPTIONS = Options(source_arch="tests.models:ResNet?width=8", input_shape=(3, 16, 16))
NARROWER = "tests.models:ResNet?width=6&classes=7"


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setattr(work, "IMAGES", 32)
    monkeypatch.setattr(work, "STEPS", 3)
    path = tmp_path / "source.pt"
    torch.save(randomised(ResNet(width=8)).float().state_dict(), path)
    return str(path)


def test_a_narrower_target_is_fitted_and_the_plan_can_be_replayed(source, tmp_path):
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    report = api.inject(source, NARROWER, str(first), options=OPTIONS)
    assert report.plan.method == "fit" and report.plan.fits
    assert any("no data is used" in note for note in report.plan.notes)
    api.inject(source, NARROWER, str(second), plan=report.plan, options=OPTIONS)
    assert first.read_bytes() == second.read_bytes()


def test_what_keeps_its_function_is_not_fitted(source):
    assert not api.match(source, "tests.models:ResNet?width=16&classes=7", options=OPTIONS).fits
    assert api.match(source, NARROWER, options=replace(OPTIONS, method="even")).method == "even"


def test_a_source_that_cannot_be_run_is_refused_only_where_a_fit_is_asked_for(source):
    bare = replace(OPTIONS, source_arch=None)
    plan = api.match(source, NARROWER, options=bare)
    assert not plan.fits and any("--source-arch" in note for note in plan.notes)
    with pytest.raises(TliError, match="--source-arch"):
        api.match(source, NARROWER, options=replace(bare, method="fit"))


def test_a_fit_that_fails_leaves_the_maps_unless_it_was_asked_for(source, tmp_path, monkeypatch):
    def fail(*_args, **_kwargs):
        raise RuntimeError("no such luck")

    monkeypatch.setattr("tli_cli.injection.fitted.fit_live", fail)
    report = api.inject(source, NARROWER, str(tmp_path / "out.safetensors"), options=OPTIONS)
    assert any("no such luck" in warning for warning in report.warnings)
    asked = replace(OPTIONS, method="fit")
    with pytest.raises(TliError, match="no such luck"):
        api.inject(source, NARROWER, str(tmp_path / "none.safetensors"), options=asked)
    assert not (tmp_path / "none.safetensors").exists()


@pytest.mark.parametrize("live", [False, True])
def test_networks_that_take_long_for_their_own_images_are_shown_smaller_ones(live, source, tmp_path, monkeypatch):
    shown = []

    def watched(plan, target, source, arguments, *rest):
        shown.extend(tuple(value.shape[1:]) for side in arguments for value in side)
        return fit_live(plan, target, source, arguments, *rest)

    monkeypatch.setattr("tli_cli.injection.fitted.fit_live", watched)
    monkeypatch.setattr(work, "WORK", 6e9)
    if live:
        teacher, model = randomised(ResNet(width=8)).float(), ResNet(width=6, classes=7)
        plan = apply_tli(model, teacher, example=torch.zeros(1, 3, 16, 16))
    else:
        plan = api.inject(source, NARROWER, str(tmp_path / "out.safetensors"), options=OPTIONS).plan
    assert any("images of 75% of the sides" in note for note in plan.notes)
    assert set(shown) == {(3, 12, 12)}


BEFORE = [Features(0.3, 8), Features(0.1, 16)]
WORTHLESS = {
    "no nearer": Worth(1.2, Features(1.0, 12), Features(0.5, 12), BEFORE),
    "tells less": Worth(0.2, Features(1.0, 12), Features(0.2, 12), BEFORE),
    "collapsed": Worth(0.2, Features(1.0, 12), Features(0.5, 4), BEFORE),
}


def test_only_a_fit_that_gains_on_other_inputs_is_kept(source, tmp_path, monkeypatch):
    assert all(worth.is_nothing for worth in WORTHLESS.values())
    assert not Worth(0.2, Features(1.0, 12), Features(0.5, 7), BEFORE).is_nothing
    assert not Worth(0.2, Features(0.0, 0), Features(0.0, 0), []).is_nothing
    monkeypatch.setattr("tli_cli.injection.fitted.fit_live", lambda *_args, **_kwargs: WORTHLESS["tells less"])
    report = api.inject(source, "tests.models_tokens:ViT?classes=7", str(tmp_path / "out.safetensors"), options=OPTIONS)
    assert any("tells no more of" in warning and "nothing is moved" in warning for warning in report.warnings)
    asked = replace(OPTIONS, method="fit", force=True)
    assert not api.inject(source, NARROWER, str(tmp_path / "out.safetensors"), options=asked).warnings


@pytest.mark.parametrize(("target", "moved"), [(NARROWER, True), ("tests.models_tokens:ViT?classes=7", False)])
def test_no_fit_is_made_to_a_source_that_was_never_trained(tmp_path, target, moved):
    path, out = tmp_path / "untrained.pt", tmp_path / "out.safetensors"
    torch.save(ResNet(width=8).state_dict(), path)
    report = api.inject(str(path), target, str(out), options=OPTIONS)
    assert any("never trained" in warning for warning in report.warnings)
    maps = api.inject(str(path), target, str(tmp_path / "maps.safetensors"), options=replace(OPTIONS, method="maps"))
    same = [torch.equal(a, b) for a, b in zip(load_file(out).values(), load_file(maps.files[0]).values(), strict=True)]
    assert all(same) == moved


def test_gates_hold_for_what_is_carried_out_in_place_of_a_plan(tmp_path):
    path, out, target = tmp_path / "untrained.pt", tmp_path / "out.safetensors", "tests.models_tokens:ViT?classes=7"
    torch.save(ResNet(width=8).state_dict(), path)
    planned = api.match(str(path), target, options=OPTIONS)
    assert planned.fits and planned.coverage > 0.5
    with pytest.raises(GateError, match="min-coverage"):
        api.inject(str(path), target, str(out), options=replace(OPTIONS, min_coverage=0.5))
    assert list(tmp_path.iterdir()) == [path]

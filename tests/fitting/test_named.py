"""Fits where the sides are names of the catalogue and files that are recognised: planned without torch, bounded in
time, and refused in plain words."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise

import pytest
from safetensors.torch import save_file

from tests.models import randomised
from tli_cli import api
from tli_cli.catalogue.libraries import import_timm
from tli_cli.fitting import building, choice, work
from tli_cli.fitting.image_size import image_share
from tli_cli.fitting.work import octaves_apart, work_of
from tli_cli.options import FIT_MINUTES, Options
from tli_cli.plan import Plan

SOURCE, TARGET = "timm:test_resnet", "timm:test_efficientnet?num_classes=7"


def test_names_are_planned_without_torch():
    code = (
        "import sys; from tli_cli import api;"
        f"plan = api.match('{SOURCE}', '{TARGET}');"
        "assert plan.fits and 'torch' not in sys.modules and 'timm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_the_library_nothing_is_fitted_and_it_is_named(monkeypatch):
    monkeypatch.setattr(building, "find_spec", lambda name: None)
    plan = api.match(SOURCE, TARGET)
    assert not plan.fits and any("timm is not installed" in note for note in plan.notes)


@pytest.mark.parametrize("target", ["vgg19", "vit_tiny_patch16_224"])
def test_a_fit_that_takes_long_is_left_to_who_asks_for_it(target):
    plan = api.match("timm:mobilenetv3_large_100", target)
    assert not plan.fits and any("--method fit does what 8 allow" in note for note in plan.notes)
    assert api.match("timm:mobilenetv3_large_100", target, options=Options(method="fit")).fits


@pytest.mark.parametrize(
    ("source", "target", "fitted"),
    [
        ("mobilenetv3_large_100", "mobilenetv3_large_075", True),
        ("vit_small_patch16_224", "vit_tiny_patch16_224", False),
    ],
)
def test_short_fits_are_made_where_the_closed_form_gains(source, target, fitted):
    plan = api.match(f"timm:{source}", f"timm:{target}")
    assert plan.relation.startswith("narrower") and bool(plan.fits) == fitted


@pytest.mark.parametrize(
    ("relation", "score", "fitted"),
    [
        ("wider and deeper and shallower", 0.3, True),
        ("wider and deeper and shallower", 0.9, False),
        ("shallower", 0.3, False),
        ("shortened", 0.9, True),
        ("wider and shortened", 0.8, True),
        ("wider and deeper", 0.3, False),
        ("narrower", 0.9, True),
        ("other", 0.5, True),
    ],
)
def test_what_is_more_and_less_than_a_source_that_it_is_not_like_is_of_another_family(relation, score, fitted):
    plan = replace(api.match(SOURCE, TARGET, options=Options(method="maps")), relation=relation, score=score)
    assert choice.gains(plan) == fitted
    if relation == "shortened":  # of signals, whose fits are not shown to gain
        steps = tuple(replace(step, shape=step.shape[:3]) for step in plan.steps)
        assert not choice.gains(replace(plan, steps=steps))


def test_large_networks_are_not_built_unless_that_is_asked_for(monkeypatch):
    monkeypatch.setattr(choice, "VALUES", 100_000)
    plan = api.match(SOURCE, TARGET)
    assert not plan.fits and any("billion values; --method fit" in note for note in plan.notes)


def test_an_unlike_target_that_has_values_of_its_own_keeps_them(tmp_path):
    if find_spec("timm") is None:
        pytest.skip("timm is not installed")
    target = tmp_path / "target.safetensors"
    save_file(import_timm().create_model("test_vit").state_dict(), target)
    assert not api.match(SOURCE, str(target)).fits
    assert api.match(SOURCE, "timm:test_vit").fits


def test_an_unlike_target_of_which_little_can_be_fitted_stays_as_it_is(monkeypatch):
    monkeypatch.setattr(choice, "LEAST_COVERAGE", 1.1)
    plan = api.match(SOURCE, "timm:test_vit")
    assert plan.coverage == 0 and not plan.fits


def test_the_largest_networks_are_fitted_in_minutes():
    small, large = (api.inspect(name) for name in ("mobilenetv3_small_050", "vit_large_patch16_224"))
    known = work_of(large, small, 3 * 224 * 224)
    assert known.steps == 0 and known.samples >= work.FEWEST
    assert work_of(small, large, 3 * 224 * 224).minutes < FIT_MINUTES
    assert work_of(small, small, 3 * 32 * 32).target == pytest.approx(
        work_of(small, small, 3 * 224 * 224).target / 49, abs=1
    )


@pytest.mark.parametrize(
    ("target", "smaller"),
    [
        ("torchvision:r3d_18", False),  # clips
        ("timm:resnet50", True),  # four billion multiplications for an image of its own size
        ("timm:mobilenetv2_100", True),  # 300 million multiplications for an image of its own size
        ("timm:mobilenetv3_small_050", False),  # 24 million
        ("timm:vit_tiny_patch16_224", False),  # has positions
        ("timm:maxvit_rmlp_pico_rw_256", False),  # attends in windows
        ("timm:swin_tiny_patch4_window7_224", False),
    ],
)
def test_networks_that_take_long_are_shown_smaller_images_where_they_take_images_of_any_size(target, smaller):
    architecture, source = api.inspect(target), api.inspect("timm:resnet34")
    numbers = work.input_numbers(architecture)
    share = image_share(architecture, source, numbers, FIT_MINUTES)
    assert (share < 1) == smaller
    shown = work_of(architecture, source, round(share * share * numbers))
    assert not smaller or shown.suffices or (share * 224 == pytest.approx(64) and shown.looks >= work.FEW_LOOKS)
    assert round(224 * share, 6) % 32 == 0 or not smaller


@pytest.mark.parametrize(("target", "fitted"), [("timm:mobilenetv2_100", True), ("timm:mobilevit_xxs", False)])
def test_convolutions_alone_are_fitted_from_fewer_looks_at_their_own_images(target, fitted, monkeypatch):
    monkeypatch.setattr(choice, "image_share", lambda *_: 1.0)
    architecture, source = api.inspect(target), api.inspect("timm:resnet18")
    looks = work_of(architecture, source, work.input_numbers(architecture)).looks
    assert work.FEW_LOOKS <= looks < work.LOOKS
    assert bool(api.match("timm:resnet18", target).fits) == fitted


def test_what_takes_long_is_fitted_where_the_minutes_that_are_said_are_given():
    names = ("timm:vit_tiny_patch16_224", "timm:resnet50")
    said = next(note for note in api.match(*names).notes if "--fit-minutes" in note)
    minutes = float(said.split("--fit-minutes ")[1].split()[0])
    assert minutes > FIT_MINUTES
    plan = api.match(*names, options=Options(fit_minutes=minutes))
    assert plan.fits and plan.fit_minutes == minutes and Plan.from_json(plan.to_json()) == plan
    assert not api.match(*names, options=Options(fit_minutes=minutes / 2)).fits


def test_more_minutes_are_more_images_and_steps():
    small, large = (api.inspect(name) for name in ("resnet18", "resnet50"))
    short, long = (work_of(large, small, 3 * 224 * 224, minutes) for minutes in (8, 80))
    assert long.steps > short.steps and long.solved > short.solved and long.samples > short.samples
    assert short.minutes < long.minutes <= 80


def test_images_of_two_sizes_are_one_octave_or_two_apart():
    sizes = [api.inspect(name) for name in ("test_resnet", "resnet18", "vit_tiny_patch16_384")]
    assert [round(octaves_apart(a, b), 1) for a, b in pairwise(sizes)] == [-1.0, -1.6]


@pytest.mark.skipif(find_spec("timm") is None, reason="timm is not installed")
def test_a_recognised_file_is_fitted_and_two_image_sizes_are_brought_together(tmp_path, monkeypatch):
    monkeypatch.setattr(work, "IMAGES", 4)
    monkeypatch.setattr(work, "STEPS", 1)
    monkeypatch.setattr(work, "LEAST_STEPS", 1)
    source, out = tmp_path / "source.safetensors", tmp_path / "out.safetensors"
    save_file(randomised(import_timm().create_model("test_resnet")).float().state_dict(), source)
    report = api.inject(str(source), "timm:test_vit?img_size=96", str(out), options=Options(force=True))
    assert report.plan.method == "fit" and not report.warnings
    assert any("made-up inputs" in note for note in report.plan.notes)
    maps = replace(Options(), method="even", force=True)
    api.inject(str(source), "timm:test_vit?img_size=96", str(tmp_path / "maps.safetensors"), options=maps)
    assert out.read_bytes() != (tmp_path / "maps.safetensors").read_bytes()

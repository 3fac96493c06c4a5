"""A trial of a start: a made-up task that can be learned, which a network that cannot learn it is told by."""

from __future__ import annotations

from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.models import ResNet, randomised
from tli_cli import api, apply_tli
from tli_cli.errors import TliError
from tli_cli.fitting import work
from tli_cli.fitting.plain_starts import RULES, PlainStarts
from tli_cli.fitting.samples import drawn_classes
from tli_cli.fitting.trial import FASTER, PASSES, WORK, Trial
from tli_cli.fitting.verdict import SlowerThanPlain, check_start, check_worth
from tli_cli.fitting.work import forward_work
from tli_cli.fitting.worth import Features, Worth
from tli_cli.options import Options
from tli_cli.plan import Plan, Side, Step
from tli_cli.report import Report


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
    told: list[tuple[int, int, str]] = []
    plain, trial = network(), Trial((1, 8, 8), 0, lambda *said: told.append(said))
    dead = deepcopy(plain)
    nn.init.constant_(dead[1].bias, -100.0)
    before = deepcopy(dead.state_dict())
    starts = PlainStarts(trial, lambda _rule: plain, ("constructor",))
    assert starts.learn_faster(dead, FASTER) and not starts.learn_faster(plain, FASTER)
    assert starts.rule == "constructor"
    assert (
        PlainStarts(trial, {"constructor": dead, "xavier": plain}.__getitem__, ("constructor", "xavier")).rule
        == "xavier"
    )
    assert trial.learned(plain) > 0.3
    steps = told[-1][1]
    assert steps > 1 and [done for done, _, _ in told[-steps:]] == list(range(1, steps + 1))
    assert all(torch.equal(value, before[name]) for name, value in dead.state_dict().items())


def test_what_cannot_be_trained_is_not_tried():
    class Failing(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("in training")

    assert not PlainStarts(Trial((1, 8, 8), 0), lambda _rule: network(), ("constructor",)).learn_faster(Failing(), 0.0)
    assert not PlainStarts(Trial((1, 8, 8), 0), lambda _rule: Failing(), ("constructor",)).learn_faster(network(), 0.0)
    image, tokens = torch.zeros(1, 3, 8, 8), torch.zeros(1, 8, dtype=torch.long)
    assert Trial.for_inputs((image,), 1000, 0) == Trial((3, 8, 8), 0)
    assert Trial.for_inputs((tokens,), 1000, 0) == Trial((8,), 0, tokens=True)
    assert Trial.for_inputs((image[:, :, 0],), 1000, 0) == Trial((3, 8), 0)
    assert Trial.for_inputs((image, image), 1000, 0) is Trial.for_inputs((image.long(),), 1000, 0) is None
    assert Trial.for_inputs((image,), int(WORK / PASSES), 0) is None


def asked(count: int, over: str) -> nn.Module:
    """Return a network of `count` outputs, of each place, or one number of the whole."""
    torch.manual_seed(0)
    body = (nn.Conv2d(1, 12, 3, 2, 1), nn.BatchNorm2d(12), nn.ReLU())
    if over == "places":
        return nn.Sequential(*body, nn.Conv2d(12, 24, 3, 2, 1), nn.ReLU(), nn.Conv2d(24, count, 2))
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(192, count), *[nn.Flatten(0)] * (over == "number"))


@pytest.mark.parametrize(("count", "over"), [(2, "vector"), (3, "vector"), (26, "places"), (1, "number")])
def test_few_outputs_and_outputs_over_places_tell_starts_apart(monkeypatch, count, over):
    monkeypatch.setattr("tli_cli.fitting.trial.RATES", (1e-2,))
    plain, trial = asked(count, over), Trial((1, 8, 8), 0)
    dead = deepcopy(plain)
    nn.init.constant_(dead[1].bias, -100.0)
    reached = trial.learned(dead)
    assert reached < 0.2 and reached + FASTER < trial.learned(plain)


def test_what_may_give_measures_starts_by_its_constructor_alone(monkeypatch):
    monkeypatch.setattr("tli_cli.fitting.trial.RATES", (1e-2,))
    for count, over, classes in ((5, "places", False), (1, "number", False), (3, "vector", False), (5, "vector", True)):
        dead = asked(count, over)
        nn.init.constant_(dead[1].bias, -100.0)
        starts = {"constructor": dead, "xavier": asked(count, over)}
        rule = PlainStarts(Trial((1, 8, 8), 0), starts.__getitem__, tuple(starts)).rule
        assert rule == ("xavier" if classes else "constructor")


def test_of_several_outputs_the_first_is_tried_and_one_for_every_token_is_not():
    class Several(nn.Module):
        def __init__(self, kind: type) -> None:
            super().__init__()
            self.body, self.kind = network(), kind

        def forward(self, images: torch.Tensor) -> object:
            given = self.body(images)
            return self.kind(first=given, second=given[0]) if self.kind is dict else self.kind((given, given[0]))

    trial = Trial((1, 8, 8), 0)
    assert trial.learned(Several(tuple)) == trial.learned(Several(dict)) == trial.learned(network())
    assert Trial((12,), 0, tokens=True).learned(nn.Embedding(30, 30)) is None


class OfTokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.body, self.head = nn.Embedding(30, 16), nn.GRU(16, 16, batch_first=True), nn.Linear(16, 6)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(self.table(tokens))[0].mean(1))


class OfSignals(nn.Module):
    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(shape.numel(), 16), nn.ReLU())
        self.head = nn.Linear(16, 6)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(values))


@pytest.mark.parametrize(
    ("network", "trial"),
    [
        (OfTokens(), Trial((12,), 0, tokens=True)),
        (OfSignals(torch.Size((2, 24))), Trial((2, 24), 0)),
        (OfSignals(torch.Size((20,))), Trial((20,), 0)),
    ],
)
def test_what_takes_no_images_is_tried_too(monkeypatch, network, trial):
    monkeypatch.setattr("tli_cli.fitting.trial.RATES", (1e-2,))
    dead = deepcopy(network)
    nn.init.constant_(dead.head.weight, 0.0)
    for parameter in dead.body.parameters():
        nn.init.constant_(parameter, 0.0)
    starts = PlainStarts(trial, lambda _rule: network, ("constructor",))
    assert starts.learn_faster(dead, FASTER) and not starts.learn_faster(network, FASTER)


def test_a_layer_that_recurs_is_work_at_every_place():
    architecture = api.read(f"{__name__}:OfTokens", options=Options(input_shape=(12,))).architecture
    assert forward_work(architecture) == 12 * 2 * 48 * 16 + 16 * 6


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
    monkeypatch.setattr("tli_cli.injection.fitted.fit_live", lambda *_args, **_kwargs: None)
    monkeypatch.setattr(PlainStarts, "learn_faster", lambda _starts, _start, by: maps_too or by == FASTER)
    monkeypatch.setattr(PlainStarts, "rule", "constructor")
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


class Restorer(nn.Module):
    """An encoder that halves images, and what gives them back or tells classes of them."""

    def __init__(self, classes: int = 0) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU())
        ends = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))
        self.end = nn.Sequential(*ends) if classes else nn.ConvTranspose2d(8, 1, 2, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.end(self.encoder(images))


def test_what_gives_images_like_its_own_is_tried_by_what_it_restores(monkeypatch):
    monkeypatch.setattr("tli_cli.fitting.trial.RATES", (1e-2,))
    torch.manual_seed(0)
    trial, model = Trial((1, 8, 8), 0, restoring=True), Restorer()
    assert trial.restores(model) and not trial.restores(Restorer(3)) and not trial.restores(nn.Flatten())
    dead = deepcopy(model)
    nn.init.constant_(dead.encoder[2].bias, -100.0)
    assert trial.learned(model) > 0.2 > trial.learned(dead) + 0.1


@pytest.mark.parametrize("behind", [0.04, 0.06])
@pytest.mark.parametrize("classes", [0, 3])
def test_what_comes_to_restore_takes_an_encoder_of_its_own_kind_where_that_helps(monkeypatch, classes, behind):
    own = Restorer(classes)
    before = deepcopy(own.state_dict())
    tried = []
    reached = iter([0.5, 0.5 - behind])  # the plain start is tried first
    monkeypatch.setattr(Trial, "learned", lambda _trial, _model: tried.append(1) or next(reached))
    plan = apply_tli(own, randomised(Restorer(5), 0).float(), example=torch.zeros(2, 1, 8, 8))
    moved = not torch.equal(own.encoder[0].weight, before["encoder.0.weight"])
    assert len(tried) == (0 if classes else 2)
    assert moved == (plan.coverage > 0) == (classes > 0 or behind < 0.05)


def test_plain_starts_are_tried_once(monkeypatch):
    tried = []
    monkeypatch.setattr(Trial, "learned", lambda _trial, model: tried.append(model) or 0.5)
    monkeypatch.setattr(Trial, "may_measure", lambda _trial, model: False)
    starts = PlainStarts(Trial((1, 8, 8), 0), {"constructor": "own", "kaiming": "drawn"}.__getitem__, RULES[:2])
    assert not starts.learn_faster("fitted", 0.0) and not starts.learn_faster("mapped", 0.0)
    assert tried == ["own", "drawn", "fitted", "mapped"]


@pytest.mark.parametrize(("reached", "moved"), [(0.45, False), (0.51, False), (0.54, True)])
def test_maps_between_families_stay_where_they_learn_faster_than_a_plain_start(monkeypatch, reached, moved):
    monkeypatch.setattr(Trial, "learned", lambda _trial, model: reached if model == "mapped" else 0.5)
    starts = PlainStarts(Trial((1, 8, 8), 0), lambda _rule: "own", ("constructor",))
    side = Side("net", "0")
    plan = Plan((side,), side, (), relation="other", score=0.5)
    with nullcontext() if moved else pytest.raises(SlowerThanPlain):
        check_start(starts, "mapped", plan)
    slower = Worth(1.2, Features(1.0, 12), Features(0.5, 12), [])
    with pytest.raises(TliError) as raised:
        check_worth(slower, starts, "fitted", "mapped", plan)
    assert isinstance(raised.value, SlowerThanPlain) != moved


def test_a_fit_is_held_against_the_maps_that_it_set_out_from(monkeypatch):
    monkeypatch.setattr(Trial, "learned", lambda _trial, model: {"mapped": 0.6, "fitted": 0.5}.get(model, 0.4))
    starts, side = PlainStarts(Trial((1, 8, 8), 0), lambda _rule: "own", ("constructor",)), Side("net", "0")
    plan = Plan((side,), side, (), relation="other", score=0.6)
    worth = Worth(0.3, Features(1.0, 12), Features(0.5, 12), [])
    with pytest.raises(TliError, match="by axis maps alone") as raised:
        check_worth(worth, starts, "fitted", "mapped", plan)
    assert not isinstance(raised.value, SlowerThanPlain)
    check_worth(worth, starts, "fitted", "own", plan)


def test_no_start_is_tried_twice_to_tell_what_a_fit_is_worth(monkeypatch):
    tried = []
    given = {"own": 0.9, "fitted": 0.8, "mapped": 0.87}
    monkeypatch.setattr(Trial, "learned", lambda _trial, model: tried.append(model) or given[model])
    starts, side = PlainStarts(Trial((1, 8, 8), 0), lambda _rule: "own", ("constructor",)), Side("net", "0")
    plan = Plan((side,), side, (), relation="other", score=0.6)
    monkeypatch.setattr("tli_cli.fitting.verdict.FASTER", 0.05)
    with pytest.raises(SlowerThanPlain):
        check_worth(Worth(0.3, Features(1.0, 12), Features(0.5, 12), []), starts, "fitted", "mapped", plan)
    given["own"] = 0.82
    with pytest.raises(TliError, match="by axis maps alone"):
        check_worth(Worth(0.3, Features(1.0, 12), Features(0.5, 12), []), replace(starts), "fitted", "mapped", plan)
    assert tried == ["own", "fitted", "mapped"] * 2


@pytest.mark.parametrize(("fitted", "kept"), [(6, False), (14, True)])
def test_a_fit_of_a_small_part_is_kept_where_it_learns_faster_than_a_plain_start(monkeypatch, fitted, kept):
    monkeypatch.setattr(Trial, "learned", lambda _trial, model: 0.5)
    starts, side = PlainStarts(Trial((1, 8, 8), 0), lambda _rule: "own", ("constructor",)), Side("net", "0")
    sizes = {"maps": 10, "fit": fitted}
    steps = tuple(Step(how, (size,), "transfer", resizer=how) for how, size in sizes.items())
    plan = Plan((side,), side, steps, relation="other", score=0.6)
    with nullcontext() if kept else pytest.raises(SlowerThanPlain):
        check_worth(Worth(0.3, Features(1.0, 12), Features(0.5, 12), []), starts, "fitted", "mapped", plan)


@pytest.mark.parametrize(("relation", "kept"), [("narrower", False), ("other", True)])
def test_within_a_family_a_fit_has_to_be_as_good_as_the_maps(monkeypatch, relation, kept):
    monkeypatch.setattr(Trial, "learned", lambda _trial, model: {"mapped": 0.55, "fitted": 0.5}.get(model, 0.4))
    starts, side = PlainStarts(Trial((1, 8, 8), 0), lambda _rule: "own", ("constructor",)), Side("net", "0")
    plan = Plan((side,), side, (), relation=relation, score=0.9)
    with nullcontext() if kept else pytest.raises(TliError, match="by axis maps alone"):
        check_worth(Worth(0.3, Features(1.0, 12), Features(0.5, 12), []), starts, "fitted", "mapped", plan)


def test_within_a_family_maps_are_moved_though_a_plain_start_learns_faster(monkeypatch):
    monkeypatch.setattr(Trial, "learned", lambda _trial, model: {"own": 0.9, "mapped": 0.55}.get(model, 0.5))
    starts, side = PlainStarts(Trial((1, 8), 0), lambda _rule: "own", ("constructor",)), Side("net", "0")
    plan = Plan((side,), side, (), relation="narrower", score=0.9)
    with pytest.raises(TliError, match="without a source") as raised:
        check_worth(Worth(0.3, Features(1.0, 12), Features(0.5, 12), []), starts, "fitted", "mapped", plan)
    assert not isinstance(raised.value, SlowerThanPlain)


@pytest.mark.parametrize("kind", ["whole", "places", "line"])
def test_a_fit_within_a_family_is_tried_where_it_may_mislead(monkeypatch, kind):
    monkeypatch.setattr(work, "IMAGES", 16)
    monkeypatch.setattr(work, "STEPS", 20)
    tried = []
    monkeypatch.setattr("tli_cli.injection.fitted.check_worth", lambda _worth, plains, *_: tried.append(plains))
    line = kind == "line"
    conv, norm, pool = (
        (nn.Conv1d, nn.BatchNorm1d, nn.AdaptiveAvgPool1d) if line else (nn.Conv2d, nn.BatchNorm2d, nn.AdaptiveAvgPool2d)
    )

    def net(width: int, classes: int) -> nn.Module:
        body = [conv(3, width, 3, padding=1), norm(width), nn.ReLU(), conv(width, width, 3, padding=1), norm(width)]
        ends = [conv(width, classes, 1)] if kind == "places" else [pool(1), nn.Flatten(), nn.Linear(width, classes)]
        return nn.Sequential(*body, nn.ReLU(), *ends)

    example = torch.zeros(2, 3, 32) if line else torch.zeros(2, 3, 16, 16)
    plan = apply_tli(net(8, 5), randomised(net(12, 3), 0).float(), example=example)
    assert plan.fits and [plains is None for plains in tried] == [kind == "whole"]


class Flat(nn.Module):
    """Two linear layers that have nothing in common with a network of blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(768, 40), nn.Linear(40, 12)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.body(images.flatten(1))))


def test_where_nothing_is_moved_the_target_starts_as_it_learns_fastest(tmp_path, monkeypatch):
    monkeypatch.setattr(Trial, "learned", lambda _trial, model: float(model.body.weight.detach().std()))
    torch.save(randomised(ResNet(), 0).float().state_dict(), tmp_path / "source.pt")
    options = Options(source_arch="tests.models:ResNet", input_shape=(3, 16, 16))

    def injected(name: str, plan: Plan | None) -> Report:
        out = tmp_path / f"{name}.safetensors"
        return api.inject(str(tmp_path / "source.pt"), f"{__name__}:Flat", str(out), plan=plan, options=options)

    monkeypatch.setattr("tli_cli.fitting.plain_starts.BETTER", 0.02)
    report = injected("first", None)
    assert [step.initial for step in report.plan.steps] == ["kaiming", "zeros"] * 2
    assert any("drawn as Kaiming" in said and "short trial" in said for said in report.warnings)
    written = api.read(str(tmp_path / "first.safetensors")).checkpoint
    assert abs(float(written.read("body.weight").std()) - (2 / 768) ** 0.5) < 1e-3
    assert not written.read("head.bias").any()
    replayed = Plan.from_json(report.plan.to_json())
    assert injected("again", replayed).plan.steps == report.plan.steps
    assert (tmp_path / "first.safetensors").read_bytes()[-400:] == (tmp_path / "again.safetensors").read_bytes()[-400:]
    monkeypatch.setattr("tli_cli.fitting.plain_starts.BETTER", 0.04)
    assert {step.initial for step in injected("own", None).plan.steps} == {"constructor"}


@pytest.mark.parametrize("faster", [True, False])
def test_maps_between_families_that_learn_slower_leave_a_live_model_as_it_is(monkeypatch, faster):
    monkeypatch.setattr(PlainStarts, "learn_faster", lambda *_args: faster)
    target = network()
    before = deepcopy(target.state_dict())
    source = nn.Sequential(nn.Flatten(), nn.Linear(64, 192), nn.ReLU(), nn.Linear(192, 11))
    plan = apply_tli(target, source, example=torch.zeros(1, 1, 8, 8))
    assert plan.relation == "other" and (plan.coverage == 0) == faster
    assert any("short trial" in note for note in plan.notes) == faster
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items()) == faster

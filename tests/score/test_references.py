"""A score depends on names and shapes alone: not on values, not on whether a file or a name says them, not on torch."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.models import NETS
from tests.score.conftest import Tli, matrix_of, write_header
from tli_cli import api, catalogue
from tli_cli.architecture import Architecture, Layer, TensorSpec
from tli_cli.catalogue.libraries import import_torchvision
from tli_cli.checkpoints.checkpoint import Checkpoint
from tli_cli.matching import MATCHERS
from tli_cli.options import Options
from tli_cli.references import Reading, Reference, related, resolve
from tli_cli.scoring.score import score_matching

NET = "timm:mobilenetv3_small_050"
OTHER = "timm:resnet10t"


@pytest.mark.parametrize("matcher", ["dp", "path"])
def test_a_file_scores_as_the_name_that_it_is_recognised_by(matcher, tmp_path):
    file = str(write_header(catalogue.load(NET), tmp_path / "net.safetensors"))
    options = Options(matcher=matcher)
    assert api.score(file, NET, options=options).mean == 1
    for one, other in ((file, OTHER), (OTHER, file)):
        by_file, by_name = (api.score(*pair, options=options) for pair in ((one, other), names_of(one, other)))
        assert (by_file.forward, by_file.backward) == (by_name.forward, by_name.backward)
        assert by_file.worst == by_name.worst


def names_of(*references: str) -> tuple[str, ...]:
    return tuple(NET if reference.endswith(".safetensors") else reference for reference in references)


def test_names_with_prefixes_and_torch_files_score_as_well(tmp_path):
    prefixed = write_header(catalogue.load(NET), tmp_path / "ddp.safetensors", lambda name: f"module._orig_mod.{name}")
    assert api.score(str(prefixed), NET).mean == 1
    state = {
        spec.name: torch.zeros(spec.shape, dtype=getattr(torch, spec.dtype)) for spec in catalogue.load(NET).tensors
    }
    torch.save({"model": state, "epoch": 3}, tmp_path / "net.pt")
    assert api.score(str(tmp_path / "net.pt"), NET).mean == 1
    assert api.score(str(tmp_path / "net.pt"), OTHER).forward == api.score(NET, OTHER).forward


def test_a_file_that_is_not_recognised_scores_as_its_architecture_with_source_arch(tmp_path):
    (tmp_path / "nets.py").write_text("from tests.models import NETS\n\ndef net(): return NETS['resnet']()\n")
    save_file(NETS["resnet"]().state_dict(), tmp_path / "bare.safetensors")
    reference, file = f"{tmp_path / 'nets.py'}:net", str(tmp_path / "bare.safetensors")
    shape = Options(input_shape=(3, 8, 8))
    told = Options(input_shape=(3, 8, 8), source_arch=reference)
    assert api.score(file, reference, options=told).mean == 1
    for target in (OTHER, reference):
        by_file, by_class = api.score(file, target, options=told), api.score(reference, target, options=shape)
        assert (by_file.forward, by_file.backward) == (by_class.forward, by_class.backward)


def test_values_are_not_read(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("a value was read")

    for name in ("read", "read_bytes", "read_part"):
        if hasattr(Checkpoint, name):
            monkeypatch.setattr(Checkpoint, name, refuse)
    file = str(write_header(catalogue.load(NET), tmp_path / "net.safetensors"))
    torch.save(NETS["resnet"]().state_dict(), tmp_path / "net.pt")
    api.score(file, str(tmp_path / "net.pt"))
    api.matrix([file, str(tmp_path / "net.pt"), OTHER])
    api.rank(NET, [str(tmp_path)])


def test_a_file_larger_than_memory_takes_no_longer(tmp_path):
    names = [f"blocks.{i}.fc.weight" for i in range(40)]
    tensors = tuple(TensorSpec(name, (1 << 16, 1 << 16)) for name in names)
    layers = tuple(Layer(name.removesuffix(".weight"), "linear", (("weight", name),)) for name in names)
    file = str(write_header(Architecture(tensors=tensors, layers=layers), tmp_path / "huge.safetensors"))
    assert Path(file).stat().st_size > 6e11
    begun = time.monotonic()
    assert api.score(file, file).mean == 1
    assert time.monotonic() - begun < 20


def test_names_and_safetensors_are_scored_and_ranked_without_torch(zoo):
    for arguments in (
        ("score", NET, str(zoo / "c.safetensors"), OTHER, "--json"),
        ("rank", NET, str(zoo), "timm:mobilenetv3_small_0*", "--json"),
    ):
        code = "import sys; sys.modules['torch'] = None\nfrom tli_cli.cli import run\nsys.exit(run(sys.argv[1:]))"
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr


def test_a_file_is_one_with_its_name_in_a_matrix(tli: Tli, zoo):
    names, values = matrix_of(tli("score", zoo / "a.safetensors", "resnet18", "timm:resnet18", OTHER, "--json")[0])
    assert len(names) == 4 and values[0] == values[1] == values[2]
    assert [row[:3] for row in values[:3]] == [[1, 1, 1]] * 3


def scores(one: Reference, other: Reference, matcher: str) -> tuple[float, float]:
    first, second = (reference.architecture for reference in related([one, other]))
    match = MATCHERS.get(matcher)
    return score_matching(match(first, second)), score_matching(match(second, first))


def test_files_of_a_sample_of_the_catalogue_score_as_its_names(tmp_path):
    rng = random.Random(5)
    others = [resolve(name) for name in ("resnet18", "timm:vit_tiny_patch16_224", "timm:convnext_atto")]
    kinds = [Reading(), Reading(num_classes=7), Reading(num_classes=0), Reading(in_chans=1)]
    for name in rng.sample(sorted(map(str, catalogue.names())), 10):
        reading, matcher = rng.choice(kinds), rng.choice(list(MATCHERS))
        known = resolve(name, reading)
        if len(known.architecture.layers) > 150:
            continue
        prefix = rng.choice(["", "module.", "model.net."])
        file = resolve(str(write_header(known.architecture, tmp_path / "x.safetensors", lambda n, p=prefix: p + n)))
        assert scores(file, known, matcher) == (1, 1), name
        for other in others:
            assert scores(file, other, matcher) == scores(known, other, matcher), (name, reading, other.text)


SHIFTED = "timm:swin_tiny_patch4_window7_224?img_size=256&window_size=8"


@pytest.mark.parametrize("name", ["timm:vit_tiny_patch16_224?img_size=64", "timm:mixer_s32_224?img_size=96", SHIFTED])
def test_a_file_of_another_image_size_scores_as_its_name(name, tmp_path):
    live = resolve(name)
    file = resolve(str(write_header(live.architecture, tmp_path / "x.safetensors")))
    for other in (live, resolve("resnet18"), resolve("timm:convnext_atto")):
        assert scores(file, other, "dp") == scores(live, other, "dp")


def test_a_table_of_positions_says_which_of_two_networks_of_one_name_it_is(tmp_path):
    folder = tmp_path / "x.safetensors"
    for name, grid, has_token in (("vit_small_patch16_224", 16, True), ("flexivit_small", 24, False)):
        known = catalogue.load(f"timm:{name}")
        shape = (1, grid**2 + has_token, 384)
        sized = tuple(replace(t, shape=shape) if t.name == "pos_embed" else t for t in known.tensors)
        found = resolve(str(write_header(replace(known, tensors=sized), folder))).architecture
        assert len(found.graph) == len(known.graph) and "pos_embed" in found.axes


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two models of transformers, as they are saved."""
    import_torchvision()
    import transformers

    folder = tmp_path_factory.mktemp("saved")
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 50}
    bert = transformers.BertConfig(**sizes, num_hidden_layers=2, max_position_embeddings=20)
    llama = transformers.LlamaConfig(**sizes, num_hidden_layers=1, num_key_value_heads=1)
    transformers.BertModel(bert).save_pretrained(folder / "bert")
    transformers.LlamaForCausalLM(llama).save_pretrained(folder / "llama")
    return folder


def test_every_command_takes_a_directory_of_transformers_for_what_its_configuration_says(saved):
    bert, llama = str(saved / "bert"), str(saved / "llama")
    named, found = api.score(f"hf:{bert}", f"hf:{llama}"), api.score(bert, llama)
    assert (found.forward, found.backward) == (named.forward, named.backward)
    matrix = api.matrix([bert, llama, NET])
    assert matrix.values[0][1] == named.forward and matrix.values[1][0] == named.backward
    ranking = api.rank(llama, [str(saved), NET])
    assert {c.source: c.score for c in ranking.candidates}[bert] == named.forward
    plan = api.match(bert, llama)
    assert plan.score == pytest.approx(named.forward, abs=1e-6)
    assert api.inspect(bert).graph == api.inspect(f"hf:{bert}").graph


@pytest.mark.parametrize("matcher", list(MATCHERS))
def test_a_bare_file_scores_the_same_whatever_else_is_in_the_matrix(matcher, tmp_path):
    for name, options in {"wide": {"width": 12}, "deep": {"depth": 4}}.items():
        save_file(NETS["resnet"](**options).state_dict(), tmp_path / f"{name}.safetensors")
    (tmp_path / "nets.py").write_text("from tests.models import NETS\n\ndef net(): return NETS['resnet']()\n")
    names = [*(str(tmp_path / f"{name}.safetensors") for name in ("wide", "deep")), f"{tmp_path / 'nets.py'}:net", NET]
    given = Options(input_shape=(3, 8, 8), matcher=matcher)
    matrix = api.matrix(names, options=given)
    for i, source in enumerate(names):
        for j, target in enumerate(names):
            options = given if names[2] in (source, target) else Options(matcher=matcher)
            assert matrix.values[i][j] == api.score(source, target, options=options).forward, (source, target)


def test_an_input_that_nothing_is_traced_with_is_refused(tli: Tli, zoo):
    for reference in (NET, zoo / "a.safetensors"):
        _, err = tli("inspect", reference, "--input-shape", "3,64,64", code=1)
        assert err.startswith(f"error: {reference}: --input-shape is the input that your own code is traced with")

"""A directory that its library loads at once: weights, configuration and tokeniser, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tli_cli import api
from tli_cli.catalogue.libraries import import_timm, import_torchvision
from tli_cli.errors import CheckpointError, TliError
from tli_cli.options import Options

import_torchvision()
timm = import_timm()
transformers = pytest.importorskip("transformers")

SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}
WORDS = {"<unk>": 0, **{f"t{i}": i for i in range(1, 40)}}


@pytest.fixture(autouse=True)
def _quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    transformers.utils.logging.set_verbosity_error()
    yield
    transformers.utils.logging.set_verbosity_warning()


def with_tokens(directory: str, words: dict[str, int]) -> None:
    Path(directory, "tokenizer.json").write_text(
        json.dumps({"model": {"type": "WordLevel", "vocab": words, "unk_token": "<unk>"}, "added_tokens": []})
    )
    Path(directory, "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))


def llama(**settings: object) -> transformers.LlamaConfig:
    return transformers.LlamaConfig(
        **{**SMALL, "vocab_size": 40, "architectures": ["LlamaForCausalLM"], **settings}  # type: ignore[arg-type]
    )


def loaded(kind: str, directory: str) -> torch.nn.Module:
    model, told = getattr(transformers, kind).from_pretrained(directory, output_loading_info=True)
    assert not any(told.values()), told
    return model.eval()


@pytest.mark.parametrize("limit", [None, 4000])
@pytest.mark.parametrize("tied", [False, True])
def test_a_larger_language_model_is_loaded_by_its_library(tied, limit):
    source = transformers.LlamaForCausalLM(llama(tie_word_embeddings=tied)).eval()
    source.save_pretrained("source")
    with_tokens("source", WORDS)
    llama(tie_word_embeddings=tied, hidden_size=32, num_attention_heads=4).save_pretrained("target")
    report = api.inject("source", "hf:target", "llama-1.5b", options=Options(max_shard_size=limit))
    model = loaded("AutoModelForCausalLM", "llama-1.5b")
    ids = torch.arange(10)[None]
    torch.testing.assert_close(model(ids).logits, source(ids).logits, rtol=1e-4, atol=1e-5)
    assert len(transformers.AutoTokenizer.from_pretrained("llama-1.5b")) == 40
    assert (report.files[0].name == "model.safetensors") == (limit is None)
    assert {path.name for path in report.files} == {path.name for path in Path("llama-1.5b").iterdir()}
    assert Path("llama-1.5b/generation_config.json").read_bytes() == Path("source/generation_config.json").read_bytes()


def test_the_targets_tokeniser_goes_with_its_rows():
    transformers.LlamaForCausalLM(llama()).save_pretrained("source")
    llama(vocab_size=50).save_pretrained("target")
    with_tokens("source", WORDS)
    with_tokens("target", {**WORDS, **{f"more{i}": i for i in range(40, 50)}})
    api.inject("source", "hf:target/config.json", "out", options=Options(dtype="bfloat16"))
    assert loaded("AutoModelForCausalLM", "out").dtype == torch.bfloat16
    assert Path("out/tokenizer.json").read_bytes() == Path("target/tokenizer.json").read_bytes()
    assert not Path("out/generation_config.json").exists()
    llama(vocab_size=60, architectures=None).save_pretrained("other")
    api.inject("source", "hf:other?architectures=LlamaForCausalLM", "bare")
    assert loaded("AutoModelForCausalLM", "bare").config.architectures == ["LlamaForCausalLM"]
    assert {path.name for path in Path("bare").iterdir()} == {"config.json", "model.safetensors"}
    Path("source/tokenizer.json").unlink()
    llama().save_pretrained("same")
    api.inject("source", "hf:same", "untold")
    assert Path("untold/generation_config.json").exists()


def test_a_classifier_has_the_classes_that_are_asked_for():
    names = {0: "bad", 1: "good", 2: "fine"}
    of = transformers.BertConfig(**SMALL, vocab_size=40, id2label=names, label2id={n: i for i, n in names.items()})
    transformers.BertForSequenceClassification(of).save_pretrained("source")
    api.inject("source", "hf:source", "out", options=Options(num_classes=5))
    assert loaded("AutoModelForSequenceClassification", "out").classifier.out_features == 5
    api.inject("source", "hf:source?num_labels=3", "same")
    assert loaded("AutoModelForSequenceClassification", "same").config.id2label == names


def test_images_keep_the_settings_that_fit_them():
    of = transformers.ViTConfig(**SMALL, image_size=16, patch_size=4)
    transformers.ViTForImageClassification(of).save_pretrained("source")
    Path("source/preprocessor_config.json").write_text('{"image_processor_type": "ViTImageProcessor"}')
    Path("target.json").write_text(json.dumps({**of.to_dict(), "architectures": ["ViTForImageClassification"]}))
    api.inject("source", "hf:target.json?num_labels=7", "out")
    assert loaded("AutoModelForImageClassification", "out").classifier.out_features == 7
    assert Path("out/preprocessor_config.json").exists()
    api.inject("source", "hf:target.json?image_size=32", "larger")
    assert loaded("AutoModelForImageClassification", "larger").config.image_size == 32
    assert not Path("larger/preprocessor_config.json").exists()


def test_images_of_a_tower_keep_the_settings_that_fit_them():
    towers = {
        "text_config": {**SMALL, "vocab_size": 40},
        "vision_config": {**SMALL, "image_size": 16, "patch_size": 4},
        "projection_dim": 8,
    }
    transformers.CLIPModel(transformers.CLIPConfig(**towers)).save_pretrained("source")
    Path("source/preprocessor_config.json").write_text("{}")
    for size in (16, 32):
        towers["vision_config"]["image_size"] = size
        transformers.CLIPConfig(**towers, architectures=["CLIPModel"]).save_pretrained(f"target{size}")
        api.inject("source", f"hf:target{size}", f"out{size}")
        assert Path(f"out{size}/preprocessor_config.json").exists() == (size == 16)


@pytest.mark.parametrize("name", ["test_vit?img_size=96&in_chans=5", "test_vit,in_chans=5"])
def test_timm_loads_what_it_names(name):
    torch.save(timm.create_model("test_vit").state_dict(), "source.pt")
    api.inject("source.pt", f"timm:{name}", "out", options=Options(num_classes=7))
    model = timm.create_model("local-dir:out", pretrained=True)
    held = load_file("out/model.safetensors")
    assert all(torch.equal(value, held[key]) for key, value in model.state_dict().items())
    size = model.pretrained_cfg["input_size"]
    assert model(torch.randn(1, *size)).shape == (1, 7) and size[0] == 5
    assert [len(model.pretrained_cfg[key]) for key in ("mean", "std")] == [5, 5]


@pytest.mark.parametrize("limit", [None, 400])
def test_diffusers_finds_its_weights_by_the_name_that_it_gives_them(limit):
    for name, width in (("source", 4), ("target", 8)):
        Path(name).mkdir()
        Path(name, "config.json").write_text(json.dumps({"_class_name": "UNet2DModel", "block_out_channels": [width]}))
        layers = torch.nn.Sequential(torch.nn.Conv2d(3, width, 3), torch.nn.Conv2d(width, 3, 3)).state_dict()
        save_file(layers, Path(name, "diffusion_pytorch_model.safetensors"))
    api.inject("source", "target", "out", options=Options(max_shard_size=limit))
    assert json.loads(Path("out/config.json").read_text())["block_out_channels"] == [8]
    whole = Path("out/diffusion_pytorch_model.safetensors")
    assert whole.is_file() == (limit is None) and Path(f"{whole}.index.json").is_file() == (limit is not None)
    api.inject("source", "target", "out", options=Options(force=True))


def test_a_directory_is_replaced_when_forced_and_nothing_but_a_model():
    torch.save(timm.create_model("test_resnet").state_dict(), "source.pt")
    Path("out").mkdir()  # an empty one is no loss
    api.inject("source.pt", "timm:test_resnet", "out")
    Path("out/generation_config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="exists already; use --force"):
        api.inject("source.pt", "timm:test_resnet", "out")
    api.inject("source.pt", "timm:test_resnet", "out", options=Options(force=True))
    assert {path.name for path in Path("out").iterdir()} == {"config.json", "model.safetensors"}
    Path("out/thesis.txt").write_text("mine")
    with pytest.raises(CheckpointError, match=r"holds thesis\.txt, which --force would remove"):
        api.inject("source.pt", "timm:test_resnet", "out", options=Options(force=True))
    with pytest.raises(TliError, match="a configuration says what the target is"):
        api.inject("source.pt", "source.pt", "other")
    assert {path.name for path in Path().iterdir()} == {"out", "source.pt"}
    assert Path("out/thesis.txt").read_text() == "mine"


def test_what_is_no_name_of_an_output_is_told_before_anything_is_read():
    with pytest.raises(CheckpointError, match=r"out\.ckpt: expected an output name that ends in"):
        api.inject("missing.pt", "timm:test_resnet", "out.ckpt")
    torch.save(timm.create_model("test_resnet").state_dict(), "source.pt")
    api.inject("source.pt", "timm:test_resnet", "out.v2/")
    assert Path("out.v2/model.safetensors").exists()


def test_a_failure_leaves_nothing(monkeypatch):
    torch.save(timm.create_model("test_resnet").state_dict(), "source.pt")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tli_cli.checkpoints.writing.model_directory.write_whole", full)
    with pytest.raises(CheckpointError, match=r"out: could not be written: No space left on device; nothing was"):
        api.inject("source.pt", "timm:test_resnet", "out")
    assert [path.name for path in Path().iterdir()] == ["source.pt"]

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

TEXT = (
    "the weights of the trained network start the other network where the tokens are the same",
    "another vocabulary keeps the rows of the embedding by token, and not by their index",
    "what the source lacks starts as the mean of its pieces; thereafter training goes on",
)
MORE = (
    "tokenisers cut words into pieces, and each of the pieces has a row of its own",
    "The Embedding, the Head and the bias: untied heads take the same rows, starting together",
    "thereafter the rows of weighted networks are retrained, where retraining is restarted",
)

NETS = """
from torch import nn

class Words(nn.Module):
    def __init__(self, words, width=4, tied=False):
        super().__init__()
        self.embed, self.norm, self.head = nn.Embedding(words, width), nn.LayerNorm(width), nn.Linear(width, words)
        if tied:
            self.head.weight = self.embed.weight
    def forward(self, tokens): return self.head(self.norm(self.embed(tokens)))
"""


def bytes_(text: tuple[str, ...], size: int) -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<|endoftext|>", "<|extra|>"]
    made.train_from_iterator(
        text,
        trainers.BpeTrainer(vocab_size=size, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    return made


def words(text: tuple[str, ...], size: int) -> Tokenizer:
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    made.train_from_iterator(
        text, trainers.WordPieceTrainer(vocab_size=size, special_tokens=special, show_progress=False)
    )
    return made


def pieces(text: tuple[str, ...], size: int) -> Tokenizer:
    made = Tokenizer(models.Unigram())
    made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    options = {"special_tokens": ["<pad>", "</s>", "<unk>"], "unk_token": "<unk>", "show_progress": False}
    made.train_from_iterator(text, trainers.UnigramTrainer(vocab_size=size, **options))
    return made


TRAINERS: dict[str, Callable[[tuple[str, ...], int], Tokenizer]] = {"bytes": bytes_, "words": words, "pieces": pieces}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    torch.manual_seed(0)
    (tmp_path / "nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def model(folder: Path) -> Callable[..., int]:
    """Return what saves a tokeniser, and a model of as many words and a few more, in a directory of its own."""
    scope: dict[str, object] = {}
    exec(NETS, scope)

    def save(name: str, tokenizer: Tokenizer, more: int = 0, **options: object) -> int:
        (folder / name).mkdir()
        tokenizer.save(f"{name}/tokenizer.json")
        size = tokenizer.get_vocab_size() + more
        made = scope["Words"](size, **options)  # type: ignore[operator]
        state = {key: torch.randn_like(value) for key, value in made.state_dict().items()}
        if made.head.weight is made.embed.weight:
            del state["head.weight"]
        save_file(state, f"{name}/model.safetensors")
        return size

    return save

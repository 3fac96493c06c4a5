"""Vocabularies are read from every common file, without the library that wrote it."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from tests.vocabularies.conftest import TEXT, TRAINERS
from tli_cli.errors import TliError
from tli_cli.vocabularies.reading import find_tokenizer, read_vocabulary
from tli_cli.vocabularies.vocabulary import Vocabulary


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    made = []
    while True:
        made.append(value & 127 | (128 if value > 127 else 0))
        value >>= 7
        if not value:
            return bytes(made)


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def sentencepiece(pieces: list[tuple[str, int]], **ids: int) -> bytes:
    keys = {"unk": 40, "bos": 41, "eos": 42, "pad": 43}
    score = varint(2 << 3 | 5) + bytes(4)
    listed = [field(1, field(1, name.encode()) + score + field(3, kind)) for name, kind in pieces]
    return b"".join(listed) + field(2, b"".join(field(keys[role], number) for role, number in ids.items()))


def read(folder: Path, name: str, data: bytes | str | object, **beside: object) -> Vocabulary:
    raw = data if isinstance(data, bytes) else data.encode() if isinstance(data, str) else json.dumps(data).encode()
    (folder / name).write_bytes(raw)
    for other, value in beside.items():
        (folder / f"{other}.json").write_text(json.dumps(value))
    return read_vocabulary(folder)


@pytest.mark.parametrize("kind", TRAINERS)
def test_tokens_stand_for_what_they_decode_to(kind: str, tmp_path: Path) -> None:
    tokenizer = TRAINERS[kind](TEXT, 300)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    vocabulary = read_vocabulary(tmp_path)
    assert vocabulary.size == tokenizer.get_vocab_size()
    for text in TEXT:
        ids = tokenizer.encode(text).ids
        assert b"".join(vocabulary.texts[i] for i in ids).decode().strip() == text.replace(" ,", ",")
    assert set(vocabulary.texts) | set(vocabulary.specials) == set(range(vocabulary.size))


def test_ends_of_words_and_single_bytes(tmp_path: Path) -> None:
    vocab = {"the</w>": 0, "th": 1, "e</w>": 2, "</w>": 3, "Ã": 4}
    model = models.BPE(vocab, [("th", "e</w>")], end_of_word_suffix="</w>")
    made = Tokenizer(model)
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
    made.save(str(tmp_path / "tokenizer.json"))
    vocabulary = read_vocabulary(tmp_path)
    assert vocabulary.ends_words
    assert vocabulary.texts == {0: b"the ", 1: b"th", 2: b"e ", 3: b"</w>", 4: b"\xc3"}


@pytest.mark.parametrize("odd", [[], {}, None, 1, "Sequence"])
def test_stages_of_no_known_kind_say_nothing(odd: object, tmp_path: Path) -> None:
    stages = {"normalizer": odd, "pre_tokenizer": {"type": odd}, "decoder": [odd]}
    listed = {"model": {"vocab": {"the": 0}, "unk_token": odd}, "added_tokens": [odd], **stages}
    assert read(tmp_path, "tokenizer.json", listed).texts == {0: b"the"}


def test_bert_files(tmp_path: Path) -> None:
    lines = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\n##ing\n,\n\u6c34\n"
    vocabulary = read(tmp_path, "vocab.txt", lines, tokenizer_config={"do_lower_case": True})
    assert vocabulary.texts == {5: b" the", 6: b"ing", 7: b",", 8: "\u6c34".encode()}
    assert vocabulary.roles == {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4} and vocabulary.lowercase


def test_gpt_files(tmp_path: Path) -> None:
    beside = {
        "added_tokens": {"<|user|>": 4, "new word": 5},
        "special_tokens_map": {"eos_token": {"content": "<|end|>"}, "additional_special_tokens": ["<|user|>"]},
    }
    vocabulary = read(tmp_path, "vocab.json", {"<|end|>": 0, "\u0120the": 1, "ing": 2, "\u010a": 3}, **beside)
    assert vocabulary.texts == {1: b" the", 2: b"ing", 3: b"\n", 5: b"new word"}
    assert vocabulary.specials == {0: "<|end|>", 4: "<|user|>"} and vocabulary.roles == {"eos": 0}


def test_sentencepiece_models(tmp_path: Path) -> None:
    pieces = [("<unk>", 2), ("<s>", 3), ("</s>", 3), ("<0x0A>", 6), ("\u2581the", 1), ("ing", 1), ("\u2581", 4)]
    data = sentencepiece(pieces, unk=0, bos=1, eos=2, pad=-1)
    listed = {"added_tokens_decoder": {"7": {"content": "<pad>", "special": True}}, "pad_token": "<pad>"}
    vocabulary = read(tmp_path, "tokenizer.model", data, tokenizer_config=listed)
    assert vocabulary.texts == {4: b" the", 5: b"ing", 6: b" "} and vocabulary.raw == {3: b"\n"}
    assert vocabulary.roles == {"unk": 0, "bos": 1, "eos": 2, "pad": 7}


def test_ids_that_are_not_those_of_the_pieces_are_refused(tmp_path: Path) -> None:
    data = sentencepiece([("<unk>", 2), ("<s>", 3), ("</s>", 3), ("a", 1)])
    listed = {"added_tokens_decoder": {"1": {"content": "<pad>"}, "0": {"content": "<s>", "special": True}}}
    with pytest.raises(TliError, match="not those of the pieces"):
        read(tmp_path, "spiece.model", data, tokenizer_config=listed)
    (tmp_path / "spiece.model").rename(tmp_path / "sentencepiece.bpe.model")
    (tmp_path / "tokenizer_config.json").unlink()
    with pytest.raises(TliError, match=r"save_pretrained.*tokenizer.json"):
        read_vocabulary(tmp_path)


@pytest.mark.parametrize("name", ["tokenizer.model", "qwen.tiktoken"])
def test_files_of_tiktoken(name: str, tmp_path: Path) -> None:
    lines = [base64.b64encode(text) + f" {rank}".encode() for rank, text in enumerate((b" the", b"\xff", b"ing"))]
    listed = {"added_tokens_decoder": {"3": {"content": "<|end|>", "special": True}}, "eos_token": "<|end|>"}
    vocabulary = read(tmp_path, name, b"\n".join(lines) + b"\n", tokenizer_config=listed)
    assert vocabulary.texts == {0: b" the", 1: b"\xff", 2: b"ing"}
    assert vocabulary.roles == {"eos": 3} and vocabulary.size == 4


def test_tekken(tmp_path: Path) -> None:
    entries = [
        {"rank": i, "token_bytes": base64.b64encode(t).decode()} for i, t in enumerate((b"a", b" b", b"cut off"))
    ]
    settings = {"default_num_special_tokens": 3, "default_vocab_size": 5}
    special = [{"rank": 0, "token_str": "<unk>"}, {"rank": 1, "token_str": "<s>"}]
    vocabulary = read(tmp_path, "tekken.json", {"config": settings, "vocab": entries, "special_tokens": special})
    assert vocabulary.texts == {3: b"a", 4: b" b"} and vocabulary.roles == {"unk": 0, "bos": 1}


@pytest.mark.parametrize(
    ("name", "data"),
    [("tokenizer.model", b"\x0a"), ("tokenizer.model", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
     ("tokenizer.model", b"\x0f"), ("tokenizer.model", b"not a model"), ("spiece.model", b""),
     ("tokenizer.model", field(1, field(3, 1))), ("tokenizer.model", field(1, 5)), ("vocab.txt", b"\xff\xfe"),
     ("tekken.json", b'{"vocab": [], "config": {}}'), ("tekken.json", b'{"vocab": [{"rank": "x"}], "config": 3}'),
     ("tekken.json", b'{"vocab": [], "config": {"default_num_special_tokens": 1e400, "default_vocab_size": 1}}'),
     ("vocab.json", b'{"a": 1.5}'), ("vocab.json", b"{"), ("vocab.json", b'{"a": true}')],
)  # fmt: skip
def test_broken_files_are_told(name: str, data: bytes, tmp_path: Path) -> None:
    with pytest.raises(TliError, match=rf"{name}: "):
        read(tmp_path, name, data)


def test_the_file_with_most_in_it_is_taken(tmp_path: Path) -> None:
    assert find_tokenizer(tmp_path) is None
    for name in ("spiece.model", "vocab.txt", "tokenizer.json"):
        (tmp_path / name).touch()
        assert find_tokenizer(tmp_path) == tmp_path / name

"""Which rows stand for a token: by what it stands for, by its role, by its pieces."""

from __future__ import annotations

import pytest

from tli_cli.axis_maps.listing import parsed
from tli_cli.vocabularies.pairing import TokenRows
from tli_cli.vocabularies.vocabulary import Vocabulary


def vocabulary(*texts: str, specials: dict[str, str] | None = None, **options: object) -> Vocabulary:
    """Return the vocabulary of `texts`, the special tokens, each with its role, behind them."""
    named = list((specials or {}).items())
    return Vocabulary(
        "words",
        texts={i: text.encode() for i, text in enumerate(texts)},
        specials={len(texts) + i: name for i, (name, _) in enumerate(named)},
        roles={role: len(texts) + i for i, (_, role) in enumerate(named) if role},
        **options,  # type: ignore[arg-type]
    )


def listing(target: Vocabulary, source: Vocabulary, more: int = 0, others: int = 0) -> str:
    return TokenRows(target, source).listing(target.size + more, source.size + others)


@pytest.mark.parametrize(
    ("token", "made"),
    [(" the", "0"), ("the", "0"), ("ing", "1"), (" ing", "1"), (" theing", "0+1"), ("ab", "2+3"), ("aab", "4+3"),
     ("xyz", "*"), (" aing", "5+1"), ("The", "*"), (" ", "*"), ("", "*"), ("a" * 300, "*")],
)  # fmt: skip
def test_a_token_is_the_same_text_or_its_pieces(token, made):
    source = vocabulary(" the", "ing", "a", "b", "aa", " a")
    assert listing(vocabulary(token), source) == made


def test_where_words_end_is_where_they_begin():
    source = vocabulary("the ", "the", "r", "e ", ends_words=True)
    assert listing(vocabulary(" the", "the", " there", "there"), source) == "0..1 1+2+3:2"
    assert listing(vocabulary("the ", "the", ends_words=True), vocabulary("the", " the")) == "1 0"


def test_text_is_lowered_where_the_source_lowers_it():
    assert listing(vocabulary(" The", " THE"), vocabulary(" the", lowercase=True)) == "0:2"


@pytest.mark.parametrize(
    ("mine", "theirs", "row"),
    [({"[PAD]": "pad"}, {"<pad>": "pad"}, "0"), ({"[CLS]": "cls"}, {"<s>": "bos"}, "0"),
     ({"<s>": "bos"}, {"[CLS]": "cls"}, "0"), ({"</s>": "eos"}, {"[SEP]": "sep"}, "0"),
     ({"[MASK]": "mask"}, {"<pad>": "pad"}, "*"), ({"<x>": ""}, {"<x>": ""}, "0"),
     ({"<a>": "eos"}, {"<b>": "eos", "<a>": ""}, "1")],
)  # fmt: skip
def test_special_tokens_are_known_by_name_then_by_role(mine, theirs, row):
    assert listing(vocabulary(specials=mine), vocabulary(specials=theirs)) == row


def test_of_several_roles_the_end_of_a_text_says_most():
    target = Vocabulary("words", {}, specials={0: "<|endoftext|>"}, roles={"unk": 0, "pad": 0, "bos": 0, "eos": 0})
    source = vocabulary(specials={"<unk>": "unk", "<s>": "bos", "</s>": "eos"})
    assert listing(target, source) == "2"


def test_bytes_stand_for_themselves():
    source = vocabulary(raw={5: b"\n", 6: b"x"})
    assert listing(vocabulary("\n", "x\n", raw={2: b"\n"}), source) == "5 6+5 5"


def test_rows_without_a_token_take_such_rows():
    source, target = vocabulary("a", "b"), vocabulary("b", "a", "c")
    assert listing(target, source, more=3, others=2) == "1 0 * 2..3 *"
    assert not TokenRows(source, source).moves(4, 4) and TokenRows(source, source).moves(5, 4)


def test_tokens_beyond_the_table_are_left_out():
    source, target = vocabulary("a", "b", "c"), vocabulary("c", "ab", "b")
    rows = TokenRows(target, source)
    index, mixed = parsed(rows.listing(2, 2), 2, 2)
    assert index[0] == -2 and mixed.parts.tolist() == [0, 1]
    assert rows.counts(2) == (1, 1, 0)

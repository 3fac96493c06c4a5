"""What a file does not tell, and the other side is taken to tell for it, is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tli_cli import Options, match

SAID = "nothing says what runs between its tensors"


class Net(nn.Module):
    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.stem, self.mixing, self.fc = nn.Linear(4, width), nn.Linear(width, width), nn.Linear(width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.nn.functional.gelu(self.mixing(self.stem(x).relu())))


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    paths = [str(tmp_path / name) for name in ("a.safetensors", "b.safetensors")]
    for path in paths:
        save_file(Net().state_dict(), path)
    return paths


def assumed(*sides: Any, **options: Any) -> list[str]:
    return [note for note in match(*sides, options=Options(**options)).notes if SAID in note]


def test_of_two_files_the_source_is_said_to_be_read_as_the_target(files: list[str]) -> None:
    (note,) = assumed(*files)
    assert note.startswith(f"{files[0]}: ") and f"as in {files[1]}" in note and "--source-arch" in note


def test_a_file_beside_code_is_described_as_that_and_says_so(files: list[str]) -> None:
    code = f"{__file__}:Net"
    plan = match(files[0], code, options=Options(input_shape=(4,)))
    assert plan.sources[0].origin.endswith(f"(like {code})") and not any(SAID in note for note in plan.notes)


def test_a_file_under_other_names_in_the_order_of_the_code_says_that_its_own_code_is_not_known(tmp_path: Path) -> None:
    renamed = {name.replace("stem", "a").replace("mixing", "b"): value for name, value in Net().state_dict().items()}
    torch.save(renamed, tmp_path / "other.pt")
    plan = match(str(tmp_path / "other.pt"), f"{__file__}:Net", options=Options(input_shape=(4,)))
    (note,) = (note for note in plan.notes if SAID in note)
    assert "like" in plan.sources[0].origin and plan.sources[0].order_from == "file" and "--source-arch" in note


def test_a_file_of_another_class_than_the_code_beside_it_is_said_to_be_read_as_that(tmp_path: Path) -> None:
    other = {f"{name}.weight": torch.zeros(shape) for name, shape in (("a", (6, 4)), ("b", (6, 6)), ("c", (3, 6)))}
    save_file(other, tmp_path / "other.safetensors")
    code, file = f"{__file__}:Net", str(tmp_path / "other.safetensors")
    (note,) = assumed(file, code, input_shape=(4,))
    assert note.startswith(f"{file}: ") and f"as in {code}" in note and "--source-arch" in note
    (note,) = assumed(code, file, input_shape=(4,))
    assert note.startswith(f"{file}: ") and f"as in {code}" in note and "--source-arch" not in note


def test_of_a_file_whose_architecture_is_named_nothing_is_assumed(files: list[str]) -> None:
    code = f"{__file__}:Net"
    assert not assumed(files[0], code, input_shape=(4,), source_arch=code)


class Flat(nn.Module):
    """A plain network that reads all places of its map at once."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, width, 3, padding=1), nn.Linear(width * 8 * 8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.conv(x).relu().flatten(1))


def test_the_places_of_a_flattened_map_are_no_guess_where_there_are_as_many(tmp_path: Path) -> None:
    save_file(Flat().state_dict(), tmp_path / "flat.safetensors")
    plan = match(str(tmp_path / "flat.safetensors"), f"{__file__}:Flat(8)", options=Options(input_shape=(3, 8, 8)))
    assert not plan.notes and all(step.exact for step in plan.steps)

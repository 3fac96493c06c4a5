"""Odd but valid values, from a file through a plan into a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.stored import stored_bytes
from tli_cli import Options, inject, match, verify
from tli_cli.checkpoints import open_checkpoint
from tli_cli.checkpoints.writing import blocks
from tli_cli.cli import run
from tli_cli.errors import TliError

QUANTISED = ("fc1.weight", "fc7.weight")


def odd(width: int) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(width)

    def values(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw)

    return {
        "conv1.weight": values(width, 3, 3, 3),
        "bn1.weight": values(width),
        "bn1.bias": values(width),
        "bn1.running_mean": values(width),
        "bn1.running_var": values(width).abs() + 1,
        "bn1.num_batches_tracked": torch.tensor(7),
        "fc1.weight": (values(2 * width, width) * 20).to(torch.int8),
        "fc1.scales": values(2 * width),
        "fc2.weight": values(width, 2 * width).to(torch.float8_e4m3fn),
        "fc3.weight": values(width, width).half(),
        "fc4.weight": values(width, width).bfloat16(),
        "fc5.weight": values(width, width).double(),
        "fc6.weight": values(width, width).to(torch.float8_e5m2),
        "fc7.weight": (values(width, width) * 20).to(torch.uint8),
        "rope.freqs_cis": torch.polar(torch.ones(width, width), values(width, width)),
        "spectrum.weight": torch.complex(values(width, width), values(width, width)),
        "mask": torch.ones(width, width).tril().bool(),
        "position_ids": torch.arange(width)[None],
        "empty.weight": torch.empty(0, width),
        "scale": torch.tensor(2.5),
        "head.weight": values(5, width),
    }


def raw(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def write(state: dict[str, torch.Tensor], path: Path) -> str:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return str(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_equal_shapes_arrive_bit_for_bit(tmp_path: Path, suffix: str) -> None:
    state = odd(4)
    source, out = write(state, tmp_path / f"a{suffix}"), tmp_path / "out.safetensors"
    inject(source, source, out)
    made = load_file(out)
    assert made.keys() == state.keys()
    assert all(raw(made[name]) == raw(value) for name, value in state.items())
    assert not verify(out, source).problems


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("method", ["auto", "combo", "magnitude", "resize"])
@pytest.mark.parametrize("width", [8, 3])
def test_other_widths_are_made_of_numbers_alone(tmp_path: Path, method: str, width: int) -> None:
    source, target = write(odd(4), tmp_path / "a.safetensors"), write(odd(width), tmp_path / "b.safetensors")
    out = tmp_path / "out.safetensors"
    options = Options(method=method)
    plan = match(source, target, options=options)
    inject(source, target, out, plan=plan, options=options)
    made, wanted = load_file(out), odd(width)
    assert all((made[name].shape, made[name].dtype) == (t.shape, t.dtype) for name, t in wanted.items())
    for name in QUANTISED:
        step = plan.by_target[name]
        assert step.action == "keep" and "quantised" in step.reason
        assert raw(made[name]) == raw(wanted[name])
    for name in ("rope.freqs_cis", "spectrum.weight", "fc2.weight", "fc6.weight"):
        assert plan.by_target[name].action == "transfer"
        assert raw(made[name]) != raw(wanted[name]) and made[name].to(torch.complex64).isfinite().all()


def test_complex_numbers_are_widened_as_the_rest(tmp_path: Path) -> None:
    source, target = write(odd(4), tmp_path / "a.safetensors"), write(odd(8), tmp_path / "b.safetensors")
    inject(source, target, tmp_path / "out.safetensors")
    made, given = load_file(tmp_path / "out.safetensors")["rope.freqs_cis"], odd(4)["rope.freqs_cis"]
    assert all(any(torch.allclose(row[:4] / row[0], old / old[0]) for old in given) for row in made)


@pytest.mark.filterwarnings("error")
def test_complex_numbers_lose_nothing_to_real_ones(tmp_path: Path) -> None:
    state = {f"fc{i}.weight": torch.randn(4, 4) for i in range(2)}
    source = write({**state, "fc0.weight": torch.randn(4, 4, dtype=torch.complex64)}, tmp_path / "a.safetensors")
    target = write({**state, "fc0.weight": torch.ones(4, 4)}, tmp_path / "b.safetensors")
    step = match(source, target).by_target["fc0.weight"]
    assert step.action == "keep" and "complex" in step.reason
    inject(source, target, tmp_path / "out.safetensors")
    assert load_file(tmp_path / "out.safetensors")["fc0.weight"].equal(torch.ones(4, 4))


@pytest.mark.parametrize("width", [4, 6])
@pytest.mark.parametrize("method", ["auto", "crop"])
def test_values_that_become_infinite_are_named(
    tmp_path: Path, width: int, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def net(width: int) -> dict[str, torch.Tensor]:
        return {f"fc{i}.weight": torch.full((width, width), 1e6 if i == 1 else 1.0) for i in range(3)}

    source, target = write(net(4), tmp_path / "a.safetensors"), write(net(width), tmp_path / "b.safetensors")
    out = tmp_path / "out.safetensors"
    given = ("inject", source, "-t", target, "-o", str(out), "--method", method, "--dtype", "float16")
    assert run(given) == 1
    said = capsys.readouterr().err
    assert "fc1.weight" in said and "not finite in float16" in said and "fc0" not in said and not out.exists()
    assert run((*given, "--on-nonfinite", "keep")) == 0
    assert "fc1.weight" in capsys.readouterr().err
    assert run((*given[:-1], "bfloat16", "--force")) == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["fc4.weight", "spectrum.weight", "head.weight", "bn1.running_var"])
def test_values_that_are_none_are_named(
    tmp_path: Path, name: str, value: float, capsys: pytest.CaptureFixture[str]
) -> None:
    state = odd(4)
    state[name].view(-1)[1] = value
    source, out = write(state, tmp_path / "a.safetensors"), tmp_path / "out.safetensors"
    given = ("inject", source, "-t", source, "-o", str(out))
    assert run(given) == 1
    said = capsys.readouterr().err
    assert name in said and "NaN or infinite" in said and "--on-nonfinite keep" in said and not out.exists()
    assert run((*given, "--on-nonfinite", "keep")) == 0
    assert name in capsys.readouterr().err
    assert raw(load_file(out)[name]) == raw(state[name])
    assert run(("verify", str(out), "-t", source)) == 1
    assert name in capsys.readouterr().err


@pytest.mark.parametrize(
    ("method", "out"),
    [("auto", "a.safetensors"), ("auto", "a.pt"), ("auto", "a.dcp"), ("combo", "a.safetensors"), ("resize", "a.pt")],
)
def test_the_number_of_threads_changes_no_byte(
    tmp_path: Path, method: str, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads of torch, and threads that fill and write blocks, of which there are many here."""

    def net(width: int) -> dict[str, torch.Tensor]:
        draw = torch.Generator().manual_seed(1)
        return {f"fc{i}.weight": torch.randn(width, width, generator=draw) for i in range(3)}

    source, target = write(net(300), tmp_path / "a.safetensors"), write(net(420), tmp_path / "b.safetensors")
    before, found = torch.get_num_threads(), []
    monkeypatch.setattr(blocks, "BLOCK", 1 << 14)
    for threads in (1, 2, 4, 8):
        monkeypatch.setattr(blocks, "cores", lambda threads=threads: threads - 1)
        torch.set_num_threads(threads)
        (tmp_path / str(threads)).mkdir()
        try:
            inject(source, target, tmp_path / str(threads) / out, options=Options(method=method))
            assert torch.get_num_threads() == threads
        finally:
            torch.set_num_threads(before)
        written = [path for path in sorted((tmp_path / str(threads)).rglob("*")) if path.is_file()]
        found.append([path.read_bytes() for path in written])
    assert found[0] and all(other == found[0] for other in found)


def test_the_output_may_be_an_input_only_when_forced(tmp_path: Path) -> None:
    source, target = write(odd(4), tmp_path / "a.safetensors"), write(odd(8), tmp_path / "b.safetensors")
    inject(source, target, tmp_path / "expected.safetensors")
    for over in (source, target):
        before = Path(over).read_bytes()
        with pytest.raises(TliError, match="exists already"):
            inject(source, target, over)
        assert Path(over).read_bytes() == before
        inject(source, target, over, options=Options(force=True))
        assert {k: raw(v) for k, v in load_file(over).items()} == {
            k: raw(v) for k, v in load_file(tmp_path / "expected.safetensors").items()
        }
        Path(over).write_bytes(before)


@pytest.mark.parametrize("device", ["cuda", "mps", "cuda:7", "nonsense"])
def test_a_device_that_is_not_here_is_told(tmp_path: Path, device: str, capsys: pytest.CaptureFixture[str]) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is one")
    source, target = write(odd(4), tmp_path / "a.safetensors"), write(odd(8), tmp_path / "b.safetensors")
    given = ("inject", source, "-t", target, "-o", str(tmp_path / "out.safetensors"))
    assert run((*given, "--device", device)) == 1
    said = capsys.readouterr().err
    assert f"--device {device}: cannot be used here" in said and said.count("\n") == 1
    assert not (tmp_path / "out.safetensors").exists()


def test_the_device_is_where_the_arithmetic_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tli_cli.injection import making

    seen = []
    real = making.usable_device
    monkeypatch.setattr(making, "usable_device", lambda name: seen.append(name) or real(name))
    source, target = write(odd(4), tmp_path / "a.safetensors"), write(odd(8), tmp_path / "b.safetensors")
    inject(source, target, tmp_path / "a.out.safetensors", options=Options(device="cpu"))
    inject(source, target, tmp_path / "b.out.safetensors")
    assert seen == ["cpu", "cpu"]
    assert (tmp_path / "a.out.safetensors").read_bytes() == (tmp_path / "b.out.safetensors").read_bytes()


def test_a_packed_type_is_copied_or_kept(tmp_path: Path) -> None:
    def packed(rows: int, fill: int) -> bytes:
        size = rows * 4
        header = {"fc.weight": {"dtype": "F4", "shape": [rows, 8], "data_offsets": [0, size]}}
        header["fc.bias"] = {"dtype": "F32", "shape": [rows], "data_offsets": [size, 2 * size]}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text + bytes([fill]) * (2 * size)

    for name, data in (("a", packed(4, 1)), ("b", packed(4, 2)), ("c", packed(6, 3))):
        (tmp_path / f"{name}.safetensors").write_bytes(data)
    for target, fill in (("b", 1), ("c", 3)):
        out = tmp_path / f"{target}.out.safetensors"
        inject(str(tmp_path / "a.safetensors"), str(tmp_path / f"{target}.safetensors"), out)
        with open_checkpoint(out) as found:
            assert set(stored_bytes(found, "fc.weight")) == {fill}

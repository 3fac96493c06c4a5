"""Which module may import which, and what must start without torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import tli_cli

ROOT = Path(tli_cli.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
VALUES = {"sealed", "errors", "registry", "noted", "architecture", "decoding", "pieces", "plan", "options"}
NOT_ABOVE = {"checkpoints", "catalogue", "describe", "matching", "resizing", "axis_maps"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path, *, at_start_only: bool = False) -> set[str]:
    """Return the modules that a file imports; with `at_start_only`, not those inside functions or type checks."""
    names = set()
    for node in _imports(parsed(path), at_start_only):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _imports(tree: ast.Module, at_start_only: bool):
    if not at_start_only:
        yield from (node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom)))
        return
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not _is_type_check(node):
            waiting.extend(ast.iter_child_nodes(node))


def _is_type_check(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def within(path: Path) -> set[str]:
    """Return the dotted names below `tli_cli` that a file imports."""
    return {name.removeprefix("tli_cli.") for name in imported(path) if name.startswith("tli_cli.")}


@pytest.mark.parametrize("path", [p for p in MODULES if module_name(p) in VALUES], ids=module_name)
def test_values_import_nothing_but_errors(path):
    assert {name.split(".")[0] for name in within(path)} <= {"errors", "decoding", "noted", "sealed", "pieces"}
    assert {name.split(".")[0] for name in imported(path)} <= {"tli_cli", *sys.stdlib_module_names}


@pytest.mark.parametrize("path", [p for p in MODULES if module_name(p).split(".")[0] != "cli"], ids=module_name)
def test_nothing_but_the_entry_imports_the_command_line(path):
    if module_name(path) != "__main__":
        assert not {name for name in within(path) if name.split(".")[0] == "cli"}
        assert not {name for name in imported(path) if name.split(".")[0] in ("typer", "rich")}


@pytest.mark.parametrize("path", [p for p in MODULES if module_name(p).split(".")[0] in NOT_ABOVE], ids=module_name)
def test_parts_do_not_import_what_uses_them(path):
    assert not {name for name in within(path) if name.split(".")[0] in ("api", "references")}


def test_no_module_imports_itself_in_the_end():
    known = {module_name(path) for path in MODULES}
    graph = {
        name: {other for other in within(path) & known if not f"{name}.".startswith(f"{other}.")}
        for path in MODULES
        for name in [module_name(path)]
    }
    assert len(tuple(TopologicalSorter(graph).static_order())) == len(MODULES)


@pytest.mark.parametrize("depth", [1, 2])
def test_no_package_imports_itself_through_another(depth):
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        package, *others = (".".join(name.split(".")[:depth]) for name in (module_name(path), *within(path)))
        others = [other for other in others if not f"{package}.".startswith(f"{other}.")]
        graph.setdefault(package, set()).update(others if package else ())
    assert len(tuple(TopologicalSorter(graph).static_order())) >= len(graph)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_only_renderers_print(path):
    calls = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]
    prints = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
    assert path.stem.startswith("render") or not prints


@pytest.mark.parametrize(
    "path",
    [p for p in MODULES if module_name(p).split(".")[0] in {"cli", *VALUES} or p.stem == "__init__"],
    ids=module_name,
)
def test_commands_and_values_do_not_import_torch_at_start(path):
    assert "torch" not in {name.split(".")[0] for name in imported(path, at_start_only=True)}


def run_without_torch(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `tli` in a process in which importing torch is an error."""
    code = "import sys; sys.modules['torch'] = None\nfrom tli_cli.cli import run\nsys.exit(run(sys.argv[1:]))"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=cwd, timeout=60)


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("match", "--help"), ("inject", "--help"), ("version",)],
    ids=" ".join,
)
def test_starts_without_torch(arguments):
    done = run_without_torch(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_completion_starts_without_torch(monkeypatch):
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    done = run_without_torch("--show-completion", "bash")
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import numpy
    from safetensors.numpy import save_file

    folder = tmp_path_factory.mktemp("files")
    for name, width in (("small", 4), ("wide", 8)):
        shapes = {
            "conv1.weight": (width, 3, 3, 3),
            "bn1.weight": (width,),
            "bn1.bias": (width,),
            "bn1.running_mean": (width,),
            "bn1.running_var": (width,),
            "fc.weight": (10, width),
            "fc.bias": (10,),
        }
        save_file({key: numpy.zeros(shape, "float32") for key, shape in shapes.items()}, folder / f"{name}.safetensors")
    return folder


@pytest.mark.parametrize("command", ["match", "score"])
def test_safetensors_files_are_planned_without_torch(command, files):
    done = run_without_torch(command, "small.safetensors", "wide.safetensors", "--json", cwd=files)
    assert done.returncode == 0, done.stderr
    assert "conv1" in done.stdout or command == "score"


@pytest.mark.parametrize("command", ["match", "score"])
def test_names_are_planned_without_torch(command):
    names = run_without_torch("archs").stdout.split()
    done = run_without_torch(command, names[0], names[1], "--json")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "module"),
    [(("--help",), "tli_cli.matching"), (("score", "timm:resnet18", "timm:resnet34"), "numpy")],
    ids=["help", "score"],
)
def test_what_is_not_needed_is_not_imported(arguments, module):
    code = "import sys\nfrom tli_cli.cli import run\nrun(sys.argv[1:])\nsys.stderr.write('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60)
    assert done.stdout and module not in done.stderr.splitlines()


def test_inspecting_reads_no_values(files):
    for reference in ("small.safetensors", run_without_torch("archs").stdout.split()[0]):
        done = run_without_torch("inspect", reference, cwd=files)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_tensors_are_made_without_what_compiles(device, monkeypatch):
    import torch

    from tli_cli.devices import reproducible

    monkeypatch.setattr(torch, "use_deterministic_algorithms", None)  # it imports all of torch's compiler
    with reproducible(torch.device(device)):
        assert torch.get_num_threads() == 1
        assert torch.are_deterministic_algorithms_enabled() == (device == "cuda")
    assert not torch.are_deterministic_algorithms_enabled()

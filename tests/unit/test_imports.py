"""The import rules hold, and what is pure calls neither clock, chance, files nor the terminal."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parents[2]
PURE = sorted(path for path in (ROOT / "vitaledger").rglob("*.py") if "cli" not in path.relative_to(ROOT).parts)
SIMULATOR = sorted((ROOT / "firmware_sim").rglob("*.py"))
# what reaches outside without an import, and what reads a clock or chance through an import that looks harmless
CALLS = {"open", "print", "input", "exec", "eval", "compile", "__import__", "breakpoint", "exit", "quit"}
# functions made while the package is imported, of the shapes that it states, as `dataclasses` makes its own
MADE = {"compiled.py": {"exec"}}
METHODS = {
    "now", "utcnow", "today", "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "sleep", "urandom",
    "token_bytes", "token_hex", "getrandbits", "randbytes", "randrange", "uuid1", "uuid4", "generate", "system",
    "read_text", "read_bytes", "write_text", "write_bytes", "import_module", "getenv", "popen", "urlopen",
}  # fmt: skip


def test_contracts(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setattr("importlinter.cli.logging_config.dictConfig", lambda config: None)  # it silences other loggers
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True, no_logo=True)
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                yield node.func.id, node.lineno, CALLS
            elif isinstance(node.func, ast.Attribute):
                yield node.func.attr, node.lineno, METHODS


@pytest.mark.parametrize("path", PURE, ids=lambda path: path.name)
def test_the_core_is_pure(path):
    tree = ast.parse(path.read_text())
    made = MADE.get(path.name, set())
    found = [f"{path.name}:{line}: {name}()" for name, line, barred in calls(tree) if name in barred - made]
    assert not found
    # nor is such a function taken by its name
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert not names & CALLS - made
    assert not names & {"environ", "stdin", "stdout", "stderr"}


@pytest.mark.parametrize("path", PURE, ids=lambda path: path.name)
def test_the_core_imports_only_what_it_may(path):
    allowed = {"cbor2", "cryptography", "vitaledger"} | PURE_STANDARD
    assert set(imported(path)) <= allowed, "a module of the standard library that does I/O, or a new dependency?"


PURE_STANDARD = {
    "array", "base64", "binascii", "collections", "contextlib", "dataclasses", "enum", "fractions", "functools",
    "hashlib", "itertools", "json", "math", "re", "struct", "sys", "types", "typing", "zlib",
}  # fmt: skip


@pytest.mark.parametrize("path", SIMULATOR, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_simulator_imports_only_the_standard_library(path):
    plugin = {"pytest"} if path.name == "pytest_plugin.py" else set()  # pytest is what loads it
    assert set(imported(path)) <= sys.stdlib_module_names | {"firmware_sim"} | plugin


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "vitaledger").partition(".")[0] if node.level == 0 else path.parent.name


def test_the_core_is_imported_without_the_programs():
    """Neither the command line nor what only the programs need comes with the core."""
    modules = ", ".join(f"vitaledger.{path.stem}" for path in PURE if path.stem != "__init__")
    code = f"import {modules}; import sys; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {
        "click",
        "rich",
        "paho",
        "serial",
        "sqlite_utils",
        "msgspec",
        "starlette",
        "gateway",
        "collector",
    }

"""The documents cannot go stale: links, commands, examples, licences, and what must not be said in them."""

import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zlib
from pathlib import Path

import click
import pytest
from packaging.requirements import Requirement

import collector.cli
import firmware_sim.cli
import gateway.cli
import vitaledger.cli
from tests import docs
from tests.life import example

ROOT = docs.ROOT
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "deploy").glob("*.md"),
        *(ROOT / "tests").rglob("*.md"),
    ]
)
CLICK = {
    "vitaledger": vitaledger.cli.cli,
    "vitaledger-gateway": gateway.cli.main,
    "vitaledger-collector": collector.cli.cli,
}
# What an engineer's own machine has; only in deploy/
SYSTEM = {"python3", "install", "apt-get", "systemctl", "useradd", "chown", "pip", "ls"}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[list[str]]:
    """The commands of every ```sh block, a block each."""
    found = re.findall(r"^```sh\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [[line for line in each.replace("\\\n", " ").splitlines() if line.strip()] for each in found]


def check_click(command: click.Command, words: list[str], parent: click.Context | None, name: str) -> None:
    """Parse a command line with the program's own parser, to the last option; nothing is run."""
    context = command.make_context(name, list(words), parent)
    if isinstance(command, click.Group):
        rest = [*getattr(context, "_protected_args", []), *context.args]
        if not rest and command.invoke_without_command:
            return
        assert rest, f"{name}: which command?"
        inner, found, left = command.resolve_command(context, rest)
        assert found is not None
        check_click(found, left, context, inner or "")


def check_command(line: str, *, system: bool) -> None:
    words = shlex.split(line, comments=True)
    if system and words[0] == "sudo":
        words = words[3:] if words[1] == "-u" else words[1:]
    program = Path(words[0]).name
    if program == "make":
        targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
        assert {word for word in words[1:] if "=" not in word} <= targets, line
    elif program == "firmware-sim":
        firmware_sim.cli.parser().parse_args(words[1:])
    elif program in CLICK:
        check_click(CLICK[program], words[1:], None, program)
    elif system:
        assert program in SYSTEM, line
    else:
        assert line == "source .venv/bin/activate", f"not one of our commands: {line}"


# -- links and words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            assert (page.parent / path).exists(), target
            assert not anchor, f"{target}: link to the page"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_named_in_code_marks_exist(page):
    packages = ("vitaledger", "gateway", "collector", "firmware_sim", "tests", "docs", "deploy", "scenarios", "bench")
    for named in re.findall(rf"`((?:{'|'.join(packages)})/(?!v1/)[\w./-]+)`", page.read_text("utf-8")):
        assert (ROOT / named).exists(), named


def text_files():
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("no git: which files are the project's is not known")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def test_no_file_knows_the_machine_that_it_was_written_on():
    # put together here, so that this file does not contain what it looks for
    forbidden = re.compile("|".join(["/" + "work/", "/" + "root/", r"/home/\w+/", r"/Users/\w+/", "/tmp/" + "bash"]))
    for path in text_files():
        data = path.read_bytes()
        if b"\0" not in data:
            for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
                assert not forbidden.search(line), f"{name_of(path)}:{number}: {line.strip()[:100]}"


def test_the_licence_is_the_one_that_is_named():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text("utf-8")
    assert f"[{project['version']}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_every_decision_is_in_the_list():
    listed = (ROOT / "docs/adr/README.md").read_text("utf-8")
    found = sorted(path.name for path in (ROOT / "docs/adr").glob("0*.md"))
    assert len({name[:4] for name in found}) == len(found)
    for name in found:
        text = (ROOT / "docs/adr" / name).read_text("utf-8")
        assert f"]({name})" in listed
        assert text.startswith(f"# {name[:4]}: ")
        for part in ("**Context.**", "**Decision.**", "**Consequences.**"):
            assert part in text, (name, part)


# -- commands ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=name_of)
def test_commands_are_what_the_programs_take(page):
    for block in blocks(page):
        for line in block:
            check_command(line, system=page.parent.name == "deploy")


@pytest.mark.parametrize(
    "line",
    [
        "make nonsense",
        "vitaledger demo --secnods 3",
        "vitaledger-collector history",
        "vitaledger-gateway --confg x run",
        "firmware-sim emit x.toml",
        "curl example.org",
    ],
)
def test_a_wrong_command_is_found(line):
    with pytest.raises((AssertionError, click.UsageError, SystemExit)):
        check_command(line, system=False)


def test_the_page_of_commands_is_what_they_print():
    assert (ROOT / "docs/commands.md").read_text("utf-8") == docs.commands(), "make docs rewrites it"


def test_every_program_is_on_the_page():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    assert set(scripts) == set(docs.PROGRAMS)
    named = [name for name, _ in docs.helps()]
    assert len(named) > 20
    assert {"vitaledger verify", "vitaledger-gateway run", "vitaledger-collector run", "firmware-sim run"} <= set(named)


def test_a_program_starts_as_installed():
    beside = Path(sys.executable).with_name("vitaledger")
    if not beside.exists():
        pytest.skip("not installed beside this Python")
    said = subprocess.run(
        [beside, "--help"], capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "80"}
    )
    assert "demo" in said.stdout


@pytest.mark.e2e
def test_the_readmes_commands_run(tmp_path):
    look, (check,) = blocks(ROOT / "README.md")[1:3]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "80",
    }
    said = ""
    for line in [*look, check]:
        words = shlex.split(re.sub(r"--seconds \d+", "--seconds 3", line))
        if words[0] == "source":
            continue
        if line == check:
            policy = re.search(r"^log \S+\nquorum none$", said, re.MULTILINE)
            (tmp_path / "policy.txt").write_text(f"{policy[0]}\n", "utf-8")
        done = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=90, check=False
        )
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        said = done.stdout
    assert said.startswith("VERIFIED\n")


# -- the example ------------------------------------------------------------------------------------------------------


def test_the_life_of_a_reading_is_what_the_code_makes():
    if "zlib-ng" in zlib.ZLIB_RUNTIME_VERSION:
        pytest.skip("another zlib deflates to other bytes")
    page = (ROOT / "docs/life-of-a-reading.md").read_text("utf-8")
    made = example()
    assert docs.example_names(page) <= set(made)
    assert docs.with_examples(page, made) == page, "make docs rewrites it"


# -- dependencies -----------------------------------------------------------------------------------------------------


def closure(*extras: str) -> dict[str, importlib.metadata.Distribution]:
    """What the project with these extras needs, by name, all the way down; as it is installed."""
    found: dict[str, importlib.metadata.Distribution] = {}
    todo, done = [("vitaledger", extra) for extra in ("", *extras)], set()
    while todo:
        name, extra = todo.pop()
        if (name, extra) in done:
            continue
        done.add((name, extra))
        found[name] = importlib.metadata.distribution(name)
        for text in found[name].requires or []:
            wanted = Requirement(text)
            if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
                canonical = re.sub(r"[-_.]+", "-", wanted.name).lower()
                todo += [(canonical, each) for each in ("", *wanted.extras)]
    return found


def licences(of: importlib.metadata.Distribution) -> list[str]:
    """Every word that a distribution says of its licence; the first kind that it has."""
    metadata = of.metadata
    if expression := metadata.get("License-Expression"):
        return [expression]
    said = [each for each in metadata.get_all("Classifier") or [] if each.startswith("License ::")]
    if text := metadata.get("License"):
        said.append(text.strip().splitlines()[0][:80])
    return said


def refused(said: list[str]) -> bool:
    """Whether there is no way to use it but under the GPL or AGPL. The LGPL, and a choice of another, are taken."""
    strong = re.compile(r"(?<![A-Za-z])A?GPL|(?<!Lesser )(?<!Library )General Public License|Affero")
    return not said or all(
        all(strong.search(way) for way in re.split(r"\s+OR\s+", each)) for each in said if not each.endswith("Approved")
    )


def test_licences_that_are_refused_are_known():
    assert refused([])
    assert refused(["GPL-3.0-or-later"])
    assert refused(["AGPL-3.0-only"])
    assert refused(["License :: OSI Approved :: GNU General Public License v3 (GPLv3)"])
    assert refused(["License :: OSI Approved :: GNU Affero General Public License v3"])
    assert not refused(["GPL-2.0-only OR BSD-3-Clause"])
    assert not refused(["LGPL-3.0-only"])
    assert not refused(["License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)"])
    assert not refused(["EPL-2.0 OR BSD-3-Clause"])


def test_nothing_that_runs_is_under_the_gpl():
    found = closure("gateway", "collector", "sim")
    assert len(found) > 20
    for name, of in found.items():
        assert not refused(licences(of)), (name, licences(of))


def test_a_gateway_gets_no_web_framework():
    assert not {"starlette", "uvicorn", "jinja2", "amqtt"} & set(closure("gateway"))


def test_every_dependency_has_its_row_and_every_row_its_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = {
        Requirement(text).name
        for texts in (project["dependencies"], *project["optional-dependencies"].values())
        for text in texts
    } - {"vitaledger"}
    page = (ROOT / "docs/dependencies.md").read_text("utf-8")
    rows = {
        name.strip()
        for row in re.findall(r"^\| ([a-z][^|]+) \|", page, re.MULTILINE)
        for name in row.split(",")
        if row != "package"
    }
    assert rows == wanted

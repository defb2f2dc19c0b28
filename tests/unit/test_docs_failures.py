"""The page of failures: each of its commands leads to tests and programs that exist."""

import re
import shlex

import pytest

from tests import docs

PAGE = (docs.ROOT / "docs/failures.md").read_text("utf-8")
COMMANDS = re.findall(r'^make (\w+) ARGS="(.*)"$', PAGE, re.MULTILINE)


def test_there_are_ten_and_each_has_a_command():
    parts = re.split(r"^## (\d+)\. ", PAGE, flags=re.MULTILINE)[1:]
    assert parts[::2] == [str(number) for number in range(1, 11)]
    assert all("```sh" in part and "Seen" in part for part in parts[1::2])


@pytest.mark.parametrize("words", [args for target, args in COMMANDS if target == "test"])
def test_the_tests_exist(words):
    paths, _, chosen = words.partition(" -k ")
    assert paths
    for path in shlex.split(paths):
        names = re.findall(r"^def (test_\w+)", (docs.ROOT / path).read_text("utf-8"), re.MULTILINE)
        assert any(chosen.strip() in name for name in names), words


@pytest.mark.parametrize(("target", "words"), [each for each in COMMANDS if each[0] != "test"])
def test_the_options_exist(target, words):
    module = {"fault": "tests/e2e/fault_bench.py", "flood": "tests/e2e/flood_bench.py", "bench": "bench/__main__.py"}
    text = (docs.ROOT / module[target]).read_text("utf-8")
    options = [word for word in shlex.split(words) if word.startswith("--")]
    assert options
    assert all(f'"{option}"' in text for option in options)
    assert f"\n{target}: " in (docs.ROOT / "Makefile").read_text("utf-8")

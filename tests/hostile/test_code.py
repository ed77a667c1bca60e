"""What the code itself must not do, whoever's bytes it reads; and that the table of the corpus names tests that are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import datavc

_TESTS = Path(__file__).parents[1]
_CODE = sorted(Path(datavc.__file__).parent.rglob("*.py"))
_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "yaml"}
_CALLS = {"eval", "exec", "compile"}


def _nodes() -> list[tuple[Path, ast.AST]]:
    return [(path, node) for path in _CODE for node in ast.walk(ast.parse(path.read_bytes()))]


def test_nothing_is_read_by_a_parser_that_can_run_code():
    for path, node in _nodes():
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name.partition(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [(node.module or "").partition(".")[0]]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS:
            names = [node.func.id]
        assert not _MODULES.union(_CALLS).intersection(names), (path, getattr(node, "lineno", 0), names)


def test_no_program_is_started_through_a_shell():
    for path, node in _nodes():
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("subprocess."):
            assert not [word for word in node.keywords if word.arg == "shell"], (path, node.lineno)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            assert node.attr not in {"system", "popen"}, (path, node.lineno)


def test_every_row_of_the_corpus_names_tests_that_are_there():
    table = (_TESTS / "hostile/README.md").read_text()
    rows = re.findall(r"^\| ([A-N]) \|[^|]*\|([^|]*)\|$", table, re.MULTILINE)
    assert [row for row, _ in rows] == list("ABCDEFGHIJKLMN")
    for row, tests in rows:
        named = re.findall(r"`([\w/]+/test_\w+\.py|test_\w+\.py)`", tests)
        assert named, row
        assert not [name for name in named if not (_TESTS / name).is_file()], row

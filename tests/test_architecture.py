"""The house rules that no linter knows: sizes, words, who may print, and that imports point down."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve()
REPO = HERE.parents[1]
PACKAGE = REPO / "datavc"
MODULES = sorted(PACKAGE.rglob("*.py"))

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60
# One word per thing (docs/glossary.md); these are what other tools say for a digest, an object, a pointer or a store.
BANNED_WORDS = {"oid", "oids", "checksum", "checksums", "manifest", "manifests", "artifact", "artifacts"}
BANNED_WORDS |= {"metafile", "metafiles", "odb", "odbs"}
# Transport checks of other people's interfaces keep their names: boto3's ChecksumXXHASH128 and its like.
FOREIGN_NAMES = re.compile(r"Checksum[A-Z0-9]*|request_checksum_calculation|response_checksum_validation")
BANNED_MODULES = {"utils", "util", "helpers", "common", "misc", "core", "manager"}


def _name(path: Path) -> str:
    return path.relative_to(REPO).as_posix()


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _identifiers(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that the code gives or uses: functions, classes, variables, attributes, arguments, keywords."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, line
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name, line
            case ast.keyword(arg=str(name)) | ast.alias(asname=str(name)):
                yield name, line
            case _:
                pass


def _words(identifier: str) -> set[str]:
    """``readManifest_v2`` is read, manifest, v2."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", identifier)
    return set(spaced.lower().split("_"))


def test_every_module_is_found():
    assert PACKAGE / "errors.py" in MODULES


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_module_is_short_enough_to_read_at_once(path: Path):
    lines = len(path.read_text(encoding="utf-8").splitlines())

    assert lines <= MAX_MODULE_LINES, f"{_name(path)} has {lines} lines: which two things live in it?"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_function_fits_on_a_screen(path: Path):
    long = [
        f"{_name(path)}:{node.lineno} {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
    ]

    assert not long, "\n".join(long)


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_names_use_the_words_of_the_glossary(path: Path):
    wrong = [
        f"{_name(path)}:{line} {name}"
        for name, line in _identifiers(_tree(path))
        if _words(name) & BANNED_WORDS and not FOREIGN_NAMES.fullmatch(name)
    ]

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_module_says_what_lives_in_it(path: Path):
    assert ast.get_docstring(_tree(path)), f"{_name(path)} has no docstring"


def test_no_module_is_named_after_nothing():
    wrong = [
        _name(path) for path in MODULES if path.stem in BANNED_MODULES or path.parent.name in BANNED_MODULES
    ]

    assert not wrong


def test_folders_with_modules_are_packages():
    folders = {path.parent for path in MODULES}

    assert not [_name(folder) for folder in folders if not (folder / "__init__.py").exists()]


def test_core_never_prints():
    wrong = [
        f"{_name(path)}:{node.lineno}"
        for path in MODULES
        if "cli" not in path.relative_to(PACKAGE).parts
        for node in ast.walk(_tree(path))
        if _talks(node)
    ]

    assert not wrong, "only datavc/cli talks to people: " + ", ".join(wrong)


def _talks(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="print" | "input")):
            return True
        case ast.Attribute(value=ast.Name(id="sys"), attr="stdout" | "stderr" | "stdin"):
            return True
        case _:
            return False


def test_imports_point_down_and_siblings_do_not_meet():
    # A process of its own: the graph that import-linter builds is kept for the life of a process.
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"]
    environment = os.environ | {"PYTHONPATH": str(REPO)}
    ended = subprocess.run(
        [*command, "--no-cache"], cwd=REPO, env=environment, capture_output=True, text=True
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr

"""What a Python says of itself: asked once, and again when something was installed."""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from datavc.lineage import interpreter
from datavc.lineage.interpreter import ask
from datavc.lineage.observed import Interpreter

THIS = Interpreter(sys.executable, sys.version.replace("\n", " "), sys.prefix, sys.base_prefix, "")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path with one distribution; nothing there is as young as the question."""
    folder = tmp_path / "installed"
    install(folder, "pack", "1.0")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setattr(interpreter, "_SETTLED_NS", -(10**15))
    return folder


def install(folder: Path, name: str, version: str) -> None:
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: text\n")
    (info / "RECORD").write_text(
        f'{name}/__init__.py,sha256=x,1\n"{name}_single.py",,\n../../bin/{name},,\n{info.name}/RECORD,,\n'
    )


def questions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked = []
    real = interpreter._ask

    def counted(executable: str) -> dict[str, Any] | None:
        asked.append(executable)
        return real(executable)

    monkeypatch.setattr(interpreter, "_ask", counted)
    return asked


def test_the_answer_is_what_the_standard_library_says(tmp_path: Path):
    answer = ask(THIS, tmp_path / "notes")

    assert answer is not None
    expected = {}
    for found in importlib.metadata.distributions():
        expected.setdefault(found.metadata["Name"], found.version)
    named = {name: about["version"] for name, about in answer["distributions"].items()}
    assert expected.items() <= named.items()
    tops = importlib.metadata.packages_distributions()
    tops.pop("__pycache__", None)  # Python 3.13 takes compiled files for a package.
    for top, names in tops.items():
        assert set(names) <= set(answer["names"].get(top, [])) | {None}, top


def test_it_is_asked_once(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked = questions(monkeypatch)
    first, second = ask(THIS, tmp_path / "notes"), ask(THIS, tmp_path / "notes")

    assert first == second
    assert first is not None
    assert first["distributions"]["pack"] == {"version": "1.0"}
    assert (first["names"]["pack"], first["names"]["pack_single"]) == (["pack"], ["pack"])
    assert len(asked) == 1


@pytest.mark.parametrize(
    "change", ["install", "remove", "upgrade in place", "a .pth", "another path", "damage"]
)
def test_it_is_asked_again_when_something_changed(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
):
    asked = questions(monkeypatch)
    before = ask(THIS, tmp_path / "notes")
    info = installed / "pack-1.0.dist-info"
    if change == "install":
        install(installed, "other", "2")
    elif change == "remove":
        info.rename(tmp_path / "gone")
    elif change == "upgrade in place":
        (info / "METADATA").unlink()
        (info / "METADATA").write_text("Name: pack\nVersion: 3\n")
    elif change == "a .pth":
        (installed / "more.pth").write_text(str(tmp_path))
    elif change == "another path":
        monkeypatch.setenv("PYTHONPATH", f"{installed}{os.pathsep}{tmp_path}")
    else:
        (tmp_path / "notes").write_text('{"format": 1, "answers"')
    after = ask(THIS, tmp_path / "notes")

    assert len(asked) == 2
    assert before is not None
    assert after is not None
    changed = {"install", "remove", "upgrade in place"}
    assert (before["distributions"] != after["distributions"]) == (change in changed)


def test_what_may_still_change_within_the_clocks_step_is_not_kept(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(interpreter, "_SETTLED_NS", 10**18)
    asked = questions(monkeypatch)
    ask(THIS, tmp_path / "notes")
    ask(THIS, tmp_path / "notes")

    assert len(asked) == 2
    assert not (tmp_path / "notes").exists()


def test_few_answers_are_kept(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for number in range(12):
        monkeypatch.setenv("HOME", str(tmp_path / str(number)))
        ask(THIS, tmp_path / "notes")

    assert len(json.loads((tmp_path / "notes").read_bytes())["answers"]) == 8


@pytest.mark.parametrize("executable", ["python", "/missing/python", "/bin/false", "/bin/echo"])
def test_what_is_no_python_gives_no_answer(tmp_path: Path, executable: str):
    assert ask(Interpreter(executable, "", "", "", ""), tmp_path / "notes") is None


def test_an_answer_that_cannot_be_kept_is_given_all_the_same(installed: Path, tmp_path: Path):
    assert ask(THIS, tmp_path / "missing" / "notes") is not None

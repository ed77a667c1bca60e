"""How fast commands start: what they must not import, and how much they may."""

from __future__ import annotations

import compileall
import json
import subprocess
import sys
from pathlib import Path

import pytest
from projects import Project

import datavc

PACKAGE = Path(datavc.__file__).parent
# What neither `--version`, `--help` nor a quiet `status` has any use for; milliseconds as measured on a 4-core VM.
HEAVY = {
    "asyncio",  # 64
    "boto3",  # 195
    "botocore",
    "dask",
    "distributed",
    "fsspec",  # 115
    "importlib.metadata",  # 25
    "multiprocessing",
    "pathspec",
    "pydantic",  # 80; Typer 0.29 imports it
    "pyfastcdc",
    "rich",  # 58
    "tomlkit",  # 90
}
LIGHT = HEAVY | {"typer", "subprocess", "sqlite3", "json", "xxhash", "datavc.repo", "datavc.formats"}


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    """Where PYTHONDONTWRITEBYTECODE is set, each run would compile datavc anew."""
    compileall.compile_dir(str(PACKAGE), quiet=2, workers=1)


def _imported(project: Project, *arguments: str) -> set[str]:
    """The modules that are loaded when a command has run in a process of its own."""
    script = (
        "import sys, json, atexit\n"
        f"atexit.register(lambda: open({str(project.root.parent / 'modules')!r}, 'w').write(json.dumps(list(sys.modules))))\n"
        f"from datavc.cli.main import main\nsys.exit(main({list(arguments)!r}))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=project.root,
        env=project.environment,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    # `json` is the test's own.
    return set(json.loads((project.root.parent / "modules").read_text())) - {"json"}


@pytest.mark.parametrize("arguments", [("--version",), ("--help",)])
def test_the_version_and_the_overview_import_next_to_nothing(
    bare_project: Project, arguments: tuple[str, ...]
):
    assert _imported(bare_project, *arguments) & LIGHT == set()


def test_status_imports_nothing_heavy(project: Project):
    project.write({"data/a": "1"})
    project.run("add", "data")

    assert _imported(project, "status") & HEAVY == set()


def test_status_of_what_was_not_changed_imports_nothing_that_reads_writes_or_compares_objects(
    project: Project,
):
    project.write({"data/a": "1"})
    project.run("add", "data")
    project.commit("data")

    imported = _imported(project, "status")

    assert (
        imported
        & {
            "datavc.store.reader",
            "datavc.store.packwriter",
            "datavc.operations.steps.comparing.compare",
            "shlex",
        }
        == set()
    )


def test_the_version_takes_few_modules_and_a_quiet_status_some_two_hundred(project: Project):
    # Modules are what starting up takes time for: 10 ms and 140 ms with so many (docs/explanation/performance.md).
    project.write({"data/a": "1"})
    project.run("add", "data")

    assert len(_imported(project, "--version")) < 75
    assert len(_imported(project, "status")) < 275

"""The examples of docs/how-to/python.md run, each in a process of its own; and the Python reference is that of the code."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from projects import Project
from remotes import add_folder

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "how-to" / "python.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# The entry point does the same wherever datavc is installed anew.
PRELUDE = """
import fsspec
fsspec.register_implementation("datavc", "datavc.filesystem.DatavcFileSystem", clobber=True)
"""
# pyarrow's threads may abort a process that ends while they let go of a file system in Python (apache/arrow#39162).
EPILOGUE = """
import os, sys
sys.stdout.flush()
os._exit(0)
"""


def _examples() -> list[object]:
    text = PAGE.read_text(encoding="utf-8")
    found: list[object] = []
    for block in BLOCK.finditer(text):
        line = text.count("\n", 0, block.start()) + 1
        found.append(pytest.param(block[1], id=f"line-{line}"))
    return found


@pytest.fixture
def described(project: Project, tmp_path: Path) -> Project:
    """The repository that the page describes. Without pyarrow its Parquet files are none, and no example reads them."""
    for version in (1, 2):
        project.write({"data/x.csv": f"id,a\n1,{version}.5\n2,3.5\n"})
        project.write({f"data/parts/part{number}.parquet": _parquet(version) for number in range(2)})
        project.run("add", "data")
        project.commit(f"version {version}")
        if version == 1:
            add_folder(project, tmp_path / "remote")
            project.git("tag", "v1")
        project.run("push", "--yes")
    shutil.rmtree(project.root / ".git" / "datavc" / "cache")
    return project


def _parquet(version: int) -> bytes:
    if importlib.util.find_spec("pyarrow") is None:
        return b"PAR1 and so on, PAR1"
    import io

    import pyarrow
    import pyarrow.parquet

    rows = pyarrow.table({"id": list(range(1000)), "a": [version / (1 + number) for number in range(1000)]})
    file = io.BytesIO()
    pyarrow.parquet.write_table(rows, file)
    return file.getvalue()


@pytest.mark.parametrize("example", _examples())
def test_an_example_runs(example: str, described: Project):
    for package in re.findall(r"^import (\w+)", example, re.MULTILINE):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install 'datavc[examples]'")
    if "pd.read_parquet" in example and importlib.util.find_spec("pyarrow") is None:
        pytest.skip("pyarrow is not installed: pip install 'datavc[examples]'")

    ended = subprocess.run(
        [sys.executable, "-c", PRELUDE + example + EPILOGUE],
        cwd=described.root,
        env=described.environment,
        capture_output=True,
        text=True,
    )

    assert ended.returncode == 0, f"{example}\n{ended.stdout}{ended.stderr}"


def test_there_are_examples():
    assert len(_examples()) > 8


def test_the_python_reference_is_that_of_the_code():
    spec = importlib.util.spec_from_file_location("generate_python", DOCS / "generate_python.py")
    assert spec is not None and spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)

    assert generator.PAGE.read_text(encoding="utf-8") == generator.page(), (
        "run: python docs/generate_python.py"
    )

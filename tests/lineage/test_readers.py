"""One tracked file, read through whatever people read data with: it is an input of the record, or that says partial."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from typing import Any, NamedTuple

import pytest
from projects import Project

from datavc.formats.record import Record
from datavc.lineage.preload import usable_library
from datavc.operations.steps.runs.lineageindex import LineageIndex
from datavc.operations.steps.runs.recordstore import read_record
from datavc.repo import Repo

PYTHON = sys.executable


class Reader(NamedTuple):
    """How a file ``name`` is made here, which packages read it, and by which program; what the hook alone is blind to."""

    name: str
    make: str
    read: str
    packages: tuple[str, ...] = ()
    blind: str | None = None


TEXT = "open(path, 'w').write('x,y\\n1,2\\n')"
TABLE = "import pyarrow as pa, pyarrow.parquet as pq; pq.write_table(pa.table({'x': [1, 2]}), path)"
ARRAY = "import numpy; numpy.arange(9.0).tofile(path)"
TENSORS = "import numpy, safetensors.numpy as s; s.save_file({'x': numpy.arange(9.0)}, path)"
C = 'int see(const char *path) { FILE *file = fopen(path, "r"); return file != NULL && fclose(file) == 0; }'
COMPILED = f"""{TEXT}
import os, subprocess
source = '#include <stdio.h>\\n{C}'
target = os.path.dirname(os.path.dirname(path)) + '/see.so'
subprocess.run(['cc', '-shared', '-fPIC', '-x', 'c', '-', '-o', target], input=source.encode(), check=True)
"""
WORKERS = """
import ctypes, multiprocessing
def read(path):
    return ctypes.CDLL("./see.so").see(path.encode())
if __name__ == "__main__":
    with multiprocessing.get_context({way!r}).Pool(1) as pool:
        assert pool.map(read, [path]) == [1]
"""
RUST_WORKER = """
import os, safetensors.numpy as s
pid = os.fork()
if not pid:
    s.load_file(path)
    os._exit(0)
os.waitpid(pid, 0)
"""
READERS = {
    "open": Reader("a.csv", TEXT, "open(path).read()"),
    "pandas": Reader("a.csv", TEXT, "import pandas; pandas.read_csv(path)", ("pandas",)),
    "numpy.load": Reader(
        "a.npy",
        "import numpy; numpy.save(path, numpy.arange(9))",
        "import numpy; numpy.load(path)",
        ("numpy",),
    ),
    "numpy.memmap": Reader("a.bin", ARRAY, "import numpy; numpy.memmap(path, mode='r').sum()", ("numpy",)),
    "numpy.fromfile": Reader("a.bin", ARRAY, "import numpy; numpy.fromfile(path)", ("numpy",)),
    "pyarrow": Reader(
        "a.parquet", TABLE, "import pyarrow.parquet as pq; pq.read_table(path)", ("pyarrow",), "pyarrow"
    ),
    "polars": Reader("a.csv", TEXT, "import polars; polars.read_csv(path)", ("polars",), "polars"),
    "polars, lazy": Reader(
        "a.parquet",
        TABLE,
        "import polars; polars.scan_parquet(path).collect()",
        ("polars", "pyarrow"),
        "polars",
    ),
    "duckdb": Reader(
        "a.csv",
        TEXT,
        "import duckdb; duckdb.sql(f\"select * from '{path}'\").fetchall()",
        ("duckdb",),
        "duckdb",
    ),
    "h5py": Reader(
        "a.h5",
        "import h5py; h5py.File(path, 'w')['x'] = [1, 2]",
        "import h5py; h5py.File(path, 'r')['x'][:]",
        ("h5py",),
        "h5py",
    ),
    "safetensors": Reader(
        "a.safetensors",
        TENSORS,
        "import safetensors.numpy as s; s.load_file(path)",
        ("safetensors", "numpy"),
        "safetensors",
    ),
    "sqlite3": Reader(
        "a.db",
        "import sqlite3; c = sqlite3.connect(path); c.execute('create table t (x)'); c.commit(); c.close()",
        "import sqlite3; sqlite3.connect(path).execute('select * from t').fetchall()",
    ),
    "a child": Reader(
        "a.csv", TEXT, "import subprocess; subprocess.run(['cat', path], check=True)", (), "cat"
    ),
    "C in a forked worker": Reader("a.csv", COMPILED, WORKERS.format(way="fork"), (), "see.so"),
    "C in a spawned worker": Reader("a.csv", COMPILED, WORKERS.format(way="spawn"), (), "see.so"),
    "Rust in a forked child": Reader(
        "a.safetensors", TENSORS, RUST_WORKER, ("safetensors", "numpy"), "safetensors"
    ),
}


def play(project: Project, reader: Reader, trace: str) -> tuple[Record, set[str]]:
    """The record of a run that reads a tracked file, and the files that were seen to be read."""
    for package in reader.packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    if reader.make is COMPILED and not shutil.which("cc"):
        pytest.skip("there is no C compiler")
    path = project.root / "data" / reader.name
    path.parent.mkdir()
    subprocess.run(
        [PYTHON, "-c", f"path = {str(path)!r}\n{reader.make}"], check=True, env=project.environment
    )
    project.write({"read.py": f"path = {'data/' + reader.name!r}\n{reader.read}\n"})
    project.run("add", "data")
    project.commit()
    project.run("run", "--trace", trace, PYTHON, "read.py")

    repo = Repo.find(project.root)
    index = LineageIndex(repo)
    (known,) = index.records()
    index.close()
    record = read_record(repo, known.digest)
    digest = record.objects["files"].digest
    rows: list[dict[str, Any]] = json.loads(b"".join(repo.cache.reader(digest).stream(digest.raw)))
    return record, {row["path"] for row in rows if row["way"] == "read"}


def assert_is_input(record: Record, read: set[str], reader: Reader) -> None:
    assert f"data/{reader.name}" in read
    assert [(row.path, row.digest is not None) for row in record.inputs] == [(b"data", True)]
    assert not record.outputs


@pytest.mark.skipif(usable_library() is None, reason="the preload library was not built")
@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_what_any_library_reads_is_an_input(project: Project, reader: Reader):
    record, read = play(project, reader, "auto")

    assert_is_input(record, read, reader)
    assert record.reads == "full"
    assert record.section("observed")["by"] == ["hook", "preload"]


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_the_hook_alone_sees_it_or_names_what_it_cannot_see(project: Project, reader: Reader):
    record, read = play(project, reader, "python")

    if reader.blind is None:
        assert_is_input(record, read, reader)
    else:
        assert record.reads == "partial"
        assert any(reader.blind in name for name in record.section("observed")["blind"])


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_strace_sees_it(project: Project, reader: Reader):
    record, read = play(project, reader, "full")

    assert_is_input(record, read, reader)
    assert record.reads == "full"

"""The hook: what it notes, in every kind of process, and that programs do not feel it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from datavc.lineage.observed import Observed, hook_environment, read_log


def observe(tmp_path: Path, program: str, *, seed: int | None = None) -> tuple[str, Observed]:
    """What a program prints, and what was noted of it."""
    log = tmp_path / "log"
    log.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=hook_environment(os.environ, log, seed),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout, read_log(log)


def names(paths: Iterable[bytes]) -> set[str]:
    return {os.fsdecode(path).rpartition("/")[2] for path in paths}


@pytest.mark.parametrize(
    ("program", "read", "written"),
    [
        ("open('a').read()", {"a"}, set()),
        ("open(b'a').read()", {"a"}, set()),
        ("import pathlib; pathlib.Path('a').read_text()", {"a"}, set()),
        ("import os; os.close(os.open('a', os.O_RDONLY))", {"a"}, set()),
        ("open('c', 'w').write('x')", set(), {"c"}),
        ("open('a', 'r+').read()", {"a"}, {"a"}),
        ("open('c', 'w').close(); import os; os.rename('c', 'd')", set(), {"d"}),
        ("import sqlite3; sqlite3.connect('a.db').execute('create table t (x)')", {"a.db"}, {"a.db"}),
        ("import os; open('missing') if os.path.exists('missing') else None", set(), set()),
        ("import shutil; shutil.copyfile('a', 'c')", {"a"}, {"c"}),
    ],
)
def test_files_are_noted_as_read_and_written(files: Path, program: str, read: set[str], written: set[str]):
    _, observed = observe(files, program)

    assert names(observed.read) & {"a", "b", "c", "d", "a.db"} == read
    assert names(observed.written) == written


def test_relative_paths_are_seen_from_where_the_program_is(files: Path):
    _, observed = observe(files, "import os; open('a'); os.chdir('inner'); open('a'); open('../b')")

    top = os.fsencode(os.path.realpath(files))
    assert {top + b"/a", top + b"/inner/a", top + b"/b"} <= set(observed.read)


def test_a_forked_child_has_notes_of_its_own(files: Path):
    program = "import os\npid = os.fork()\nopen('a' if pid else 'b')\nif pid: os.wait()\nelse: os._exit(0)"
    _, observed = observe(files, program)

    assert {"a", "b"} <= names(observed.read)


def test_a_killed_child_leaves_what_it_had_noted(files: Path):
    program = "import os, signal\npid = os.fork()\nif pid: os.wait()\nelse: open('b'); os.kill(os.getpid(), signal.SIGKILL)"
    _, observed = observe(files, program)

    assert "b" in names(observed.read)


def test_more_files_than_fit_into_the_first_map(files: Path):
    (files / "many").mkdir()
    for number in range(3000):
        (files / "many" / f"{number:060}").touch()
    _, observed = observe(files, "import os\nfor name in os.listdir('many'): open('many/' + name).close()")

    assert len([name for name in names(observed.read) if len(name) == 60]) == 3000


def test_odd_arguments_are_the_programs_own_business(files: Path):
    program = (
        "import os\n"
        "for bad in ('\\ud800', 'x\\0y', 'x' * 100_000, b'\\xff', 10**6, -1, [], None):\n"
        "    try: open(bad)\n"
        "    except (OSError, ValueError, TypeError): pass\n"
        "os.closerange(3, 1000); open('a'); print('fine')"
    )
    out, observed = observe(files, program)

    assert out == "fine\n"
    assert "a" in names(observed.read)


def test_random_numbers_are_seeded_and_that_is_said(files: Path):
    program = "import random; print(random.random(), hash('x'))"
    (files / "1").mkdir()
    (files / "2").mkdir()

    first, observed = observe(files / "1", program, seed=5)
    second, _ = observe(files / "2", program, seed=5)

    assert first == second
    assert observed.seeded == {"random"}


def test_programs_that_were_started_are_named(files: Path):
    _, observed = observe(files, "import subprocess; subprocess.run(['cat', 'a'], capture_output=True)")

    assert observed.blind == ["cat"]
    assert observed.reads == "partial"

"""``datavc fsck`` in workers, interrupted and gone on with, and a little each night."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from projects import Project
from remotes import add_folder, flip
from sweeps import COMPLETED, run_killed

from datavc.store import check


@pytest.fixture
def many(project: Project) -> Project:
    """Some packs and blobs."""
    for number in range(4):
        project.write({f"data{number}/{n}": os.urandom(300) for n in range(3)})
        project.run("add", f"data{number}")
    project.commit()
    return project


def read(project: Project, *words: str, code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(project.run("fsck", "--json", *words, code=code).out)
    return found


def stored(project: Project) -> list[Path]:
    return sorted(path for path in (project.root / ".git/datavc/cache/packs").rglob("xxh128-*"))


def test_workers_find_what_one_process_finds(many: Project, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("datavc.parallel.SERIAL_BELOW_SECONDS", 0.0)
    for pack in stored(many)[:3]:
        flip(pack)
    alone = read(many, "-j", "1", code=12)
    together = read(many, "-j", "3", code=12)
    assert together["problems"] == alone["problems"]
    assert together["read"]["files"] == alone["read"]["files"] == len(stored(many))


def test_a_file_that_the_disk_cannot_read_is_damaged_and_the_rest_is_read(
    many: Project, monkeypatch: pytest.MonkeyPatch
):
    bad = stored(many)[1]
    real = os.pread

    def pread(fd: int, length: int, start: int) -> bytes:
        if os.readlink(f"/proc/self/fd/{fd}").endswith(bad.name):
            raise OSError(5, "Input/output error")
        return real(fd, length, start)

    if not os.path.exists("/proc/self/fd"):
        pytest.skip("needs /proc")
    monkeypatch.setattr(os, "pread", pread)
    found = read(many, code=12)
    assert [row["object"] for row in found["problems"] if row["kind"] == "pack"] == [
        f"packs/{bad.parent.name}/{bad.name}"
    ]
    assert found["read"]["files"] == len(stored(many))


def test_killed_it_goes_on_where_it_was(many: Project, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("datavc.store.checklog._FLUSH_SECONDS", 0.0)
    seen: list[str] = []
    real = check.check_pack

    def interrupted(backend: Any, path: str, **named: Any) -> Any:
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(path)
        return real(backend, path, **named)

    with monkeypatch.context() as patch:
        patch.setattr(check, "check_pack", interrupted)
        many.run("fsck", code=130)
    said = many.run("fsck", "--json")
    assert "going on with the check that began at" in said.err
    found = json.loads(said.out)["read"]
    assert (found["before"], found["files"]) == (3, len(stored(many)) - 3)
    # It ended: the next one reads everything, and so does one that is told to begin anew.
    assert read(many)["read"]["files"] == len(stored(many))


def test_an_interrupted_check_is_begun_anew_when_asked(many: Project, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("datavc.operations.fsck._Check.indexes", interrupted)
        many.run("fsck", code=130)
    found = read(many, "--older-than", "0")["read"]
    assert (found["before"], found["files"]) == (0, len(stored(many)))


def test_a_nightly_sample_says_what_was_read_when(many: Project):
    total = len(stored(many))
    first = many.run("fsck", "--sample", "30%")
    assert "never yet" in first.err
    left = total
    for _ in range(total):
        found = read(many, "--sample", "1%")["read"]
        assert found["files"] == 1
        assert found["never"] < left
        left = found["never"] or left
    said = many.run("fsck", "--older-than", "30")
    assert f"0 files read now; {total} before, " in said.err
    assert read(many, "--older-than", "30")["read"]["last"] is not None


def test_damage_in_what_is_not_read_this_time_is_found_by_its_own_time(many: Project):
    many.run("fsck")
    pack = stored(many)[0]
    flip(pack)
    read(many, "--older-than", "30", code=12)  # its time has changed
    os.utime(pack, ns=(0, 0))
    read(many, code=12)
    read(many, "--older-than", "30", code=12)


def test_a_remote_is_read_on_where_it_was(many: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    add_folder(many, tmp_path / "remote")
    many.run("push")
    found = read(many, "-r", "origin", "--full")["read"]
    assert found["files"] > 2
    assert read(many, "-r", "origin", "--older-than", "30")["read"]["before"] == found["files"]
    assert read(many, "-r", "origin", "--sample", "1%")["read"]["files"] == 1
    assert read(many, "-r", "origin", "--full")["read"]["files"] == found["files"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_any_change_the_next_check_finds_the_damage(many: Project):
    flip(stored(many)[2])
    for point in range(1, 200, 7):
        if run_killed(many, ["fsck"], point) == COMPLETED:
            break
        read(many, code=12)

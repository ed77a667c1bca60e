"""Versions of a few kilobytes that claim files, folders or bytes without end: refused at once, or read in bounded memory."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from planting import Planter, Row, raw_tree
from projects import Project, Result
from remotes import add_folder, overwrite
from stored import XXH

from datavc.errors import MalformedError
from datavc.formats.digest import Digest
from datavc.formats.tree import FILE, FOLDER, MAX_FILES
from datavc.operations.steps.delivering.plan import Planner
from datavc.operations.steps.trees.trees import TreeSource

CACHE = ".git/datavc/cache"
WALKING = [
    ("checkout", "--force"),
    ("checkout", "--dry-run"),
    ("checkout", "planted/0003"),
    ("diff",),
    ("ls", "-r", "planted"),
    ("du", "-d", "2000", "planted"),
    ("fsck",),
    ("push",),
]


@pytest.fixture
def planter(project: Project, tmp_path: Path) -> Planter:
    add_folder(project, tmp_path / "remote")
    return Planter(project)


def refused(project: Project, *command: str) -> str:
    """The command ends with an error of ours, and soon: none that walked would ever end."""
    result: Result = project.run(*command, code=None)
    assert result.code != 0 and "bug in datavc" not in result.err, (command, result)
    return result.out + result.err


def full_of_files(planter: Planter) -> None:
    """2^40 files of two bytes, in eleven trees."""
    top, size, files = planter.nested((b"file", FILE, 2, 1, planter.blob(b"hi")), 10)
    planter.point("planted", top, size, files)


def full_of_folders(planter: Planter) -> None:
    """2^40 folders with nothing in them: of files and bytes the trees declare none."""
    top, _, _ = planter.nested((b"empty", FOLDER, 0, 0, planter.tree()), 10)
    planter.point("planted", top, 0, 0)


@pytest.mark.parametrize("plant", [full_of_files, full_of_folders])
@pytest.mark.parametrize("standing", [False, True], ids=["away", "in the workspace"])
def test_every_command_that_walks_refuses_a_version_without_end(planter: Planter, plant, standing: bool):
    project = planter.project
    plant(planter)
    if standing:
        project.write({"planted/0000/mine": "mine"})

    for command in WALKING:
        if command[0] == "push" and plant is full_of_folders:
            # Each distinct tree is sent once, which ends.
            project.run(*command)
            continue
        said = refused(project, *command)
        assert "allowed" in said or "more than 268,435,456 folders" in said, (command, said)
    for command in (("status",), ("status", "-v")):
        assert project.run(*command, code=None).code == (12 if standing else 0)
    assert (project.root / "planted").exists() is standing
    if standing:
        assert project.read("planted/0000/mine") == b"mine"


def test_two_versions_without_end_are_not_compared_path_by_path(planter: Planter):
    project = planter.project
    full_of_folders(planter)
    project.git("add", "-f", "planted.datavc")
    project.git("commit", "-q", "-m", "one")
    other, _, _ = planter.nested((b"other", FOLDER, 0, 0, planter.tree()), 10)
    planter.point("planted", other, 0, 0)
    project.git("commit", "-q", "-a", "-m", "two")

    for command in (("diff", "HEAD~1", "HEAD"), ("log", "--stat")):
        assert "more than 268,435,456 folders" in refused(project, *command)


@pytest.mark.parametrize("plant", [full_of_files, full_of_folders])
def test_what_a_remote_has_of_it_is_not_walked_either(planter: Planter, plant, tmp_path: Path):
    project = planter.project
    plant(planter)
    shutil.rmtree(tmp_path / "remote", ignore_errors=True)
    shutil.move(project.root / CACHE, tmp_path / "remote")

    for command in (("fetch", "planted/0003"), ("pull",), ("checkout",), ("pull", "planted/0003")):
        if command[0] == "fetch" and plant is full_of_folders:
            project.run(*command)
        else:
            said = refused(project, *command)
            assert "allowed" in said or "more than 268,435,456 folders" in said, (command, said)
    assert not (project.root / "planted").exists()


def test_a_version_with_much_in_common_is_walked_by_its_paths_and_checked_by_its_trees(
    planter: Planter, monkeypatch
):
    """10,000 files in five trees: nothing is wrong with that."""
    project = planter.project
    top, size, files = planter.nested((b"file", FILE, 2, 1, planter.blob(b"hi")), 4, 10)
    planter.point("planted", top, size, files)
    read = []
    take = TreeSource.take
    monkeypatch.setattr(TreeSource, "take", lambda *given: read.append(given[1]) or take(*given))

    project.run("fsck")
    # Each once, and the first of them again for the amounts that the pointer says.
    assert (len(set(read)), len(read)) == (5, 6)
    project.run("checkout")
    assert len(project.run("ls", "-r", "planted").out.splitlines()) == files == 10_000
    assert len(project.run("du", "-d", "9", "planted").out.splitlines()) == 11_111
    assert project.read("planted/0000/0009/0005/0001/file") == b"hi"


def test_fsck_names_every_path_of_what_is_wrong_as_far_as_they_can_be_read(planter: Planter):
    project = planter.project
    lost, damaged = XXH(b"lost"), planter.blob(b"damaged" * 100)
    fine = planter.tree((b"fine", FILE, 2, 1, planter.blob(b"hi")))
    bad = planter.tree((b"away", FILE, 4, 1, lost), (b"file", FILE, 700, 1, damaged))
    gone = (b"gone", FOLDER, 1, 1, XXH(b"no such tree"))
    rows = [(name, FOLDER, 704, 2, bad) for name in (b"one", b"two")]
    top = planter.tree((b"fine", FOLDER, 2, 1, fine), gone, *rows)
    planter.point("planted", top, 1411, 6)
    planter.point("sound", fine, 2, 1)
    cache = project.root / CACHE
    (pack,) = [file for file in cache.glob("packs/*/*") if b"damaged" in file.read_bytes()]
    content = pack.read_bytes()
    overwrite(pack, content.replace(b"damageddamaged", b"damageddamagex", 1))

    told = project.run("fsck", code=12).out

    for path in (
        "gone is not in the cache",
        *(f"{name}/away is not in the cache" for name in ("one", "two")),
        "one/file is damaged",
        "two/file is damaged",
    ):
        assert f": planted/{path}" in told
    assert "fine" not in told and "sound" not in told


def test_fsck_stops_naming_paths_where_there_is_no_end_of_them(planter: Planter, monkeypatch):
    project = planter.project
    top, size, files = planter.nested((b"file", FILE, 4, 1, XXH(b"lost")), 6, 16)
    planter.point("planted", top, size, files)
    (project.root / "datavc.toml").write_text(project.read("datavc.toml").decode().partition("[remote")[0])

    told = project.run("fsck", code=12).out.splitlines()

    assert len(told) == 10_001
    assert "more than 10,000 paths" in told[-1]


def test_folders_are_counted_however_they_are_nested():
    trees = TreeSource(None, None, Digest("xxh128", bytes(16)), "folder")
    tops = [_take(trees, [])]
    for _ in range(28):
        tops.append(_take(trees, [(name, FOLDER, 0, 0, tops[-1]) for name in (b"a", b"b")]))

    trees.require_walkable(tops[27])  # 2^28 - 2 folders
    with pytest.raises(MalformedError, match=f"more than {MAX_FILES:,} folders"):
        trees.require_walkable(tops[28])
    trees.require_walkable(tops[28], 2)


def _take(trees: TreeSource, rows: list[Row]) -> bytes:
    encoded = raw_tree(rows)
    trees.take(XXH(encoded), encoded)
    return XXH(encoded)


def room_for(monkeypatch, files: int | None) -> None:
    """File systems say that so many more files can be made; with None that they do not know, as Btrfs does."""
    true = os.statvfs

    def statvfs(path):
        seen = list(true(path))
        seen[5:8] = [0, 0, 0] if files is None else [10**9, files, files]
        return os.statvfs_result(seen)

    monkeypatch.setattr(os, "statvfs", statvfs)


def test_more_files_than_the_file_system_has_room_for_are_refused_before_they_are_planned(
    planter: Planter, monkeypatch
):
    project = planter.project
    top, size, files = planter.nested((b"file", FILE, 0, 1, planter.blob(b"")), 6, 22)
    planter.point("planted", top, size, files)
    assert files < MAX_FILES
    room_for(monkeypatch, 5_000_000)
    monkeypatch.setattr(Planner, "plan", None)

    said = refused(project, "checkout")
    assert f"makes {files:,} files" in said and "5,000,000" in said
    assert "makes 5,153,632 files" in refused(project, "checkout", "planted/0003")
    assert not (project.root / "planted").exists()


def test_room_for_files_is_counted_to_the_last_folder(project: Project, monkeypatch):
    project.write({f"data/{folder}/{n}": "x" for folder in "ab" for n in range(5)})
    project.run("add", "data")
    shutil.rmtree(project.root / "data")
    room_for(monkeypatch, 12)  # 13 with three folders
    assert "makes 13 files and folders" in refused(project, "checkout")
    assert not (project.root / "data").exists()
    room_for(monkeypatch, None)
    project.run("checkout")

    room_for(monkeypatch, 1)
    os.unlink(project.root / "data/a/1")
    project.run("checkout")
    project.write({"data/a/1": "changed"})
    room_for(monkeypatch, 0)
    project.run("checkout", "--force")
    assert project.read("data/a/1") == b"x"


def test_bytes_without_end_are_refused_before_any_is_written(planter: Planter, tmp_path: Path):
    """A thousand files of 26 GB out of one chunk of 512 KiB, which is all that is stored, and looked at once."""
    project = planter.project
    film = planter.listed(XXH(b"film"), b"frame" * 100_000, 50_000)
    top = planter.tree(*((b"%04d" % n, FILE, 25 * 10**9, 1, film) for n in range(1000)))
    planter.point("planted", top, 25 * 10**12, 1000)

    assert "needs 22.7 TiB" in refused(project, "checkout")
    assert not (project.root / "planted").exists()
    project.run("fsck")
    # What cat writes is verified chunk by chunk as it goes, and holds one at a time.
    process = subprocess.Popen(
        [sys.executable, "-m", "datavc", "cat", "planted/0007"], cwd=project.root, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        for _ in range(400):
            assert process.stdout.read(500_000) == b"frame" * 100_000
        used = (
            int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) if sys.platform == "linux" else 0
        )
    finally:
        process.kill()
        process.communicate()
    assert used * resource.getpagesize() < 150 << 20
    project.run("push")
    assert sum(file.stat().st_size for file in (tmp_path / "remote").rglob("*") if file.is_file()) < 2 << 20


def test_a_file_out_of_one_chunk_many_times_comes_out_as_it_is(planter: Planter):
    project = planter.project
    frame = bytes(range(250)) * 40
    film = planter.listed(XXH(frame * 300), frame, 300)
    planter.point("planted", film, len(frame) * 300, kind="file")

    project.run("fsck")
    project.run("checkout")

    assert project.read("planted") == frame * 300

"""Versions of a few kilobytes that claim files, folders or bytes without end: refused at once, or read in bounded memory."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from planting import Planter, Row, raw_tree
from projects import Project, Result
from remotes import add_folder
from stored import XXH

from datavc.errors import MalformedError
from datavc.formats.digest import Digest
from datavc.formats.tree import FILE, FOLDER, MAX_FILES
from datavc.operations.steps.trees import TreeSource

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
    assert len(read) == 5
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
    pack.write_bytes(content.replace(b"damageddamaged", b"damageddamagex", 1))

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

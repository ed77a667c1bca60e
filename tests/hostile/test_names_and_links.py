"""Pointers and trees from strangers, through the command line: nothing outside the dataset is ever written."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostilenames import DOTDATAVC, DOTGIT, MISSHAPEN
from loopfs import loop_filesystem
from planting import Planter
from projects import Project
from racing import flipping

from datavc.formats.tree import EXECUTABLE, FILE, FOLDER, MAX_DEPTH, SYMLINK
from datavc.operations.steps.delivering.fulfil import Fulfilment
from datavc.store import layout
from datavc.workspace import hashing

# Every command that reads the trees of a version.
READING = [
    ("checkout", "--force"),
    ("checkout", "--dry-run"),
    ("ls", "-r", "planted"),
    ("du", "-d", "3", "planted"),
    ("diff",),
    ("status",),
    ("fsck",),
    ("checkout", "planted/folder"),
    ("cat", "planted/folder/file"),
]


@pytest.fixture
def planter(project: Project) -> Planter:
    # What a hook or a configuration of git would run is there to be seen if it were written over.
    project.write({".git/hooks/post-checkout": "mine"})
    return Planter(project)


def _outside(project: Project) -> dict:
    """All that no checkout may touch: what is beside the project, git's folder, and what git tracks in it."""
    tree = Project(project.root.parent).tree()
    return {
        path: found
        for path, found in tree.items()
        if not path.startswith((b"project/planted", b"project/.git/datavc", b"project/.git/index"))
    }


def _assert_refused(project: Project, *command: str, code: int | None = 12) -> str:
    """The command ends with an error of ours (a bug of ours has exit code 1 and says so)."""
    result = project.run(*command, code=None)
    assert "bug in datavc" not in result.err, result.err[-2000:]
    assert code is None or result.code == code, (command, result)
    return result.out + result.err


_BAD_NAMES = [name.encode() for name in (*DOTGIT, *DOTDATAVC)] + MISSHAPEN + [b".datavc-tmp-1f"]


@pytest.mark.parametrize("inner", [False, True], ids=["at the top", "in a folder"])
@pytest.mark.parametrize("kind", [FILE, SYMLINK, FOLDER], ids=["file", "symlink", "folder"])
def test_no_name_of_a_tree_reaches_git_or_leaves_the_dataset(planter: Planter, kind: int, inner: bool):
    project = planter.project
    # A sample of the spellings for each kind and place; that all are refused shows tests/workspace/test_safepath.py.
    names = _BAD_NAMES[kind + 3 * inner :: 6]
    for number, name in enumerate(names):
        content = planter.blob(b"#!/bin/sh\necho pwned\n")
        hooks = planter.tree((b"hooks", EXECUTABLE, 21, 1, content))
        row = (name, kind, 21, 1, hooks if kind == FOLDER else content)
        top = planter.tree(row)
        if inner:
            top = planter.tree((b"folder", FOLDER, 21, 1, top))
        planter.point(f"planted{number}", top, 21)
    before = _outside(project)

    for number, name in enumerate(names):
        _assert_refused(project, "checkout", "--force", f"planted{number}")
        assert not (project.root / f"planted{number}").exists(), name
    assert _outside(project) == before


def test_every_command_refuses_a_version_with_such_a_name(planter: Planter):
    top = planter.tree((b".GIT", FILE, 1, 1, planter.blob(b"x")))
    planter.point("planted", top, 1)
    before = _outside(planter.project)

    for command in READING:
        said = _assert_refused(planter.project, *command, code=None)
        assert ".GIT" in said or command[0] == "status", command
    assert _outside(planter.project) == before


@pytest.mark.parametrize(
    "path",
    [".GIT", ".git ", ".git.", "git~1", "git~1/hooks/post-checkout", ".g\u200cit", "\u200egit~1", ".git::$INDEX_ALLOCATION",
     ".Git/config", "sub/.gIt/hooks", ".DATAVC", "datavc~1", "a\\.git\\config"],
)  # fmt: skip
def test_no_pointer_stands_for_what_some_file_system_takes_for_git(planter: Planter, path: str):
    project = planter.project
    planter.point(path, planter.blob(b"pwned"), 5, kind="file")
    before = _outside(project)

    for command in (("checkout", "--force"), ("status",), ("diff",), ("add", "-u"), ("fsck",)):
        _assert_refused(project, *command, code=None)
    said = _assert_refused(project, "checkout", "--force", code=None)
    assert "stands for what no dataset may be" in said or "there are no datasets" in said
    assert _outside(project) == before
    assert not (project.root / path).exists()


def test_a_pointer_that_a_symlink_leads_to_writes_nothing_at_its_other_end(planter: Planter):
    project = planter.project
    outside = project.root.parent / "outside"
    outside.mkdir()
    planter.point("real/planted", planter.blob(b"pwned"), 5, kind="file")
    os.rename(project.root / "real/planted.datavc", outside / "planted.datavc")
    (project.root / "folder").symlink_to(outside)

    _assert_refused(project, "checkout", "--force", code=None)
    _assert_refused(project, "checkout", "--force", "folder/planted", code=None)

    assert sorted(os.listdir(outside)) == ["planted.datavc"]


def _deep(planter: Planter, depth: int) -> bytes:
    below = planter.tree((b"file", FILE, 4, 1, planter.blob(b"deep")))
    for _ in range(depth):
        below = planter.tree((b"folder", FOLDER, 4, 1, below))
    return below


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, pytest.param(100_000, marks=pytest.mark.slow)])
def test_folders_nested_deeper_than_allowed_are_refused_by_every_command(planter: Planter, depth: int):
    planter.point("planted", _deep(planter, depth), 4)
    before = _outside(planter.project)

    for command in READING:
        said = _assert_refused(planter.project, *command, code=None)
        assert "deep" in said or command[0] in ("status", "du", "checkout", "cat"), command
    _assert_refused(planter.project, "checkout")
    assert _outside(planter.project) == before
    assert not (planter.project.root / "planted/folder/folder/folder").exists()


def test_folders_as_deep_as_allowed_go_in_and_out_by_every_command(planter: Planter):
    project = planter.project
    planter.point("planted", _deep(planter, MAX_DEPTH), 4)
    deepest = "planted/" + "folder/" * 500

    project.run("ls", "-r", "planted")
    project.run("checkout", "--dry-run")
    project.run("fsck")
    project.run("du", "-d", "3", "planted")
    project.run("ls", deepest)


@pytest.fixture
def deep_project(project: Project) -> Iterator[Project]:
    """Python's own rmtree, with which pytest cleans up, stops where folders are nested deeply."""
    yield project
    subprocess.run(["rm", "-rf", *project.root.parent.glob("away*"), project.root / "data"], check=True)


def _make_deep(top: Path, depth: int) -> None:
    """Folders called d inside each other, with a file in the last; no path is as long as all of them."""
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT, dir_fd=here))
    os.close(here)


# Python itself gives up at a thousand nested calls, of which a folder may need two.
@pytest.mark.parametrize("depth", [520, pytest.param(MAX_DEPTH, marks=pytest.mark.slow)])
def test_what_add_takes_checkout_gives_back_however_deep(deep_project: Project, depth: int):
    project = deep_project
    _make_deep(project.root / "data", depth)
    project.run("add", "data")
    pointer = project.read("data.datavc")
    os.rename(project.root / "data", project.root.parent / "away")

    assert project.run("ls", "-r", "data").out.count("d/") == depth
    project.run("checkout")
    assert '"states":["pointer not committed"]' in project.run("status", "--json").out
    assert project.read("data.datavc") == pointer


@pytest.mark.slow
def test_a_part_that_lies_as_deep_as_allowed_is_grafted_into_another_version(deep_project: Project):
    project = deep_project
    _make_deep(project.root / "data", MAX_DEPTH)
    project.write({"data/top": "one"})
    project.run("add", "data")
    project.commit("one")
    project.write({"data/top": "two"})
    project.run("add", "data")
    project.git("checkout", "-q", "HEAD", "--", "data.datavc")

    project.run("checkout", "data" + "/d" * MAX_DEPTH)

    assert project.read("data/top") == b"two"
    assert "behind" in project.run("status").out


def test_deeper_than_checkout_goes_add_refuses(deep_project: Project):
    project = deep_project
    _make_deep(project.root / "data", MAX_DEPTH + 1)

    said = project.run("add", "data", code=1)

    assert f"more than {MAX_DEPTH} folders deep" in said.err
    assert not (project.root / "data.datavc").exists()


@pytest.mark.parametrize(
    ("size", "files"), [(1, 1), (3, 1), (2, 0), (2, 2), (0, 1), (2**63 - 1, 1), (2, 2**63 - 1)]
)
def test_a_folder_of_another_size_or_count_than_its_tree_is_refused(planter: Planter, size: int, files: int):
    inner = planter.tree((b"file", FILE, 2, 1, planter.blob(b"hi")))
    planter.point("planted", planter.tree((b"folder", FOLDER, size, files, inner)), size, files)

    for command in (("checkout",), ("fsck",), ("diff",)):
        _assert_refused(planter.project, *command, code=12)
    assert not (planter.project.root / "planted").exists()


@pytest.mark.parametrize("size", [0, 1, 3, 2**40, 2**63 - 1])
@pytest.mark.parametrize("kind", [FILE, EXECUTABLE, SYMLINK], ids=["file", "executable", "symlink"])
def test_a_file_of_another_size_than_its_tree_says_is_refused(planter: Planter, size: int, kind: int):
    planter.point("planted", planter.tree((b"file", kind, size, 1, planter.blob(b"hi"))), size)

    said = _assert_refused(planter.project, "checkout", code=None)

    assert "says" in said or "needs" in said
    assert not (planter.project.root / "planted").exists()


@pytest.mark.parametrize(("size", "files"), [(1, 1), (2, 2), (3, 1), (2**62, 2**62), (2, 2**62)])
def test_a_pointer_that_lies_about_its_folder_is_refused(planter: Planter, size: int, files: int):
    top = planter.tree((b"file", FILE, 2, 1, planter.blob(b"hi")))
    planter.point("planted", top, size, files)

    _assert_refused(planter.project, "checkout", code=1)
    assert not (planter.project.root / "planted").exists()


@pytest.mark.parametrize("sizes", [(2**63, 0), (2**64 - 1, 1), (2**63 - 1, 1)])
def test_sizes_that_no_disk_has_are_refused(planter: Planter, sizes: tuple[int, int]):
    blob = planter.blob(b"hi")
    top = planter.tree((b"a", FILE, sizes[0], 1, blob), (b"b", FILE, sizes[1], 1, blob))
    planter.point("planted", top, 2, 2)

    _assert_refused(planter.project, "checkout", code=12)


def test_a_kind_that_is_another_kinds_object_is_refused(planter: Planter):
    tree = planter.tree((b"file", FILE, 2, 1, planter.blob(b"hi")))
    no_tree = planter.blob(b"no tree at all")
    planter.point("planted", planter.tree((b"folder", FOLDER, 2, 1, no_tree)), 2)
    _assert_refused(planter.project, "checkout")
    planter.point("planted", no_tree, 2)
    _assert_refused(planter.project, "checkout")
    # A tree taken for a file is bytes like any other.
    planter.point("planted", tree, len(planter.project.read("planted.datavc")), kind="file")
    _assert_refused(planter.project, "checkout")
    assert not (planter.project.root / "planted").exists()


def test_a_film_where_a_tree_should_be_is_not_read_into_memory(planter: Planter, monkeypatch):
    monkeypatch.setattr("datavc.operations.steps.trees.trees.MAX_TREE_BYTES", 1 << 20)
    project = planter.project
    film = bytes(range(16))
    path = project.root / ".git/datavc/cache" / layout.blob_path("xxh128", film)
    path.parent.mkdir(parents=True)
    with open(path, "wb") as file:
        file.truncate(1 << 36)
    planter.blob(b"")
    planter.point("planted", film, 0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    assert "are allowed" in _assert_refused(project, "checkout")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 100_000


def test_a_symlink_may_point_anywhere_and_nothing_is_written_through_it(planter: Planter):
    project = planter.project
    outside = project.root.parent / "outside"
    outside.mkdir()
    target = os.fsencode(outside)
    link = (b"link", SYMLINK, len(target), 1, planter.blob(target))
    planter.point("planted", planter.tree(link), len(target))
    project.run("checkout")
    assert os.readlink(project.root / "planted/link") == str(outside)

    # The next version has a folder where the link is: it takes the link's place.
    inner = planter.tree((b"file", FILE, 2, 1, planter.blob(b"hi")))
    planter.point("planted", planter.tree((b"link", FOLDER, 2, 1, inner)), 2)
    project.run("checkout")

    assert project.read("planted/link/file") == b"hi"
    assert list(outside.iterdir()) == []


def _inodes(folder: Path) -> list:
    """Everything in a folder, so that a file written, replaced, removed or chmoded is seen."""
    found = [folder, *sorted(folder.rglob("*"))]
    return [(path, seen.st_ino, seen.st_mode, seen.st_size, seen.st_mtime_ns, seen.st_nlink)
            for path in found if (seen := path.lstat())]  # fmt: skip


@pytest.mark.parametrize("flipped", ["data", "data/a", "data/a/b"])
@pytest.mark.parametrize("rounds", [6, pytest.param(120, marks=pytest.mark.slow)])
def test_a_folder_that_turns_into_a_symlink_during_checkout_leads_nowhere(
    project: Project, flipped: str, rounds: int
):
    for version in ("one", "two"):
        project.write({f"data/a/b/{n}": f"{version} {n}" for n in range(0 if version == "one" else 10, 40)})
        project.write({f"data/{version}/new": version, "data/a/mode": "m", f"data/a/b/c/{version}": version})
        (project.root / "data/a/mode").chmod(0o755 if version == "one" else 0o644)
        project.run("add", "data")
        project.commit(version)
        if version == "one":
            shutil.rmtree(project.root / "data")
    # The outside looks like the inside, so that nothing would stop one who follows the symlink.
    outside = project.root.parent / "outside"
    shutil.copytree(project.root / "data", outside / "data", copy_function=shutil.copy)
    before = _inodes(outside)
    ended = []

    with flipping(project.root / flipped, outside / flipped, project.root.parent / "away"):
        for number in range(rounds):
            project.git("checkout", "--quiet", "HEAD~1" if number % 2 == 0 else "main", code=None)
            result = project.run("checkout", "--force", code=None)
            assert "bug in datavc" not in result.err, result.err[-3000:]
            ended.append(result.code)

    assert _inodes(outside) == before
    # Left in peace, the same command finishes what was begun.
    place, away = project.root / flipped, project.root.parent / "away"
    if place.is_symlink():
        place.unlink()
    if away.exists() and not place.exists():
        os.rename(away, place)
    project.git("checkout", "--quiet", "--force", "main")
    project.run("checkout", "--force")
    assert project.read("data/a/b/39") == b"two 39"
    assert "modified" not in project.run("status").out
    assert _inodes(outside) == before


def test_a_symlink_planted_above_a_dataset_is_not_gone_through(project: Project):
    outside = project.root.parent / "outside"
    (outside / "inner").mkdir(parents=True)
    project.write({"sub/inner/data/file": "mine", "sub/keep": ""})
    project.run("add", "sub/inner/data")
    pointer = project.read("sub/inner/data.datavc")
    shutil.rmtree(project.root / "sub")
    (project.root / "sub").symlink_to(outside)
    (outside / "inner/data.datavc").write_bytes(pointer)

    for command in (("checkout",), ("checkout", "--force", "sub/inner/data"), ("status",), ("fsck",)):
        _assert_refused(project, *command, code=None)
    assert sorted(os.listdir(outside / "inner")) == ["data.datavc"]


def _colliding(project: Project) -> None:
    """Two files that differ in case, one with two forms of é, in a version and in a part of another."""
    project.write({
        "clash/README": "one", "clash/readme": "two",
        "unicode/\u00e9": "composed", "unicode/e\u0301": "decomposed",
        "fine/inner/Mixed": "x", "fine/other": "y",
    })  # fmt: skip
    project.run("add", "clash", "unicode", "fine")
    project.commit("all")


@pytest.mark.parametrize("kind", ["ext4-casefold", "vfat", "as if"])
def test_names_that_are_one_where_case_does_not_count_are_refused_before_anything_is_touched(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
):
    _colliding(project)
    with contextlib.ExitStack() as stack:
        if kind != "as if":
            top = stack.enter_context(loop_filesystem(kind, tmp_path, 64 << 20))
            target = Project(top / "clone", project.environment)
            project.git("clone", "--quiet", str(project.root), str(target.root))
        else:
            monkeypatch.setattr(
                "datavc.operations.steps.delivering.switching.is_case_sensitive", lambda _: False
            )
            target = project.clone("clone")
        # A process of its own keeps nothing open that is to be unmounted.
        run = target.run if kind == "as if" else target.datavc
        run("config", "--local", "cache.dir", str(project.root / ".git/datavc/cache"))

        for name, pair in (("clash", "README"), ("unicode", "\u00e9")):
            said = run("checkout", name, code=12).err
            assert "one name on this file system" in said and pair in said
            assert not (target.root / name).exists()
        run("checkout", "fine")
        assert target.tree("fine") == project.tree("fine")
        assert "modified" not in run("status", "fine").out


def _rename_by_case(project: Project) -> None:
    """Two commits, between which a file and a folder change nothing but the case of their names."""
    project.write({"data/Readme": "same", "data/Folder/file": "in it", "data/other": "o"})
    project.run("add", "data")
    project.commit("one")
    os.rename(project.root / "data/Readme", project.root / "data/README")
    os.rename(project.root / "data/Folder", project.root / "data/folder")
    project.run("add", "data")
    project.commit("two")


@pytest.mark.parametrize("kind", ["ext4-casefold", "vfat"])
def test_a_name_that_only_changes_its_case_changes_it_where_case_does_not_count(
    project: Project, tmp_path: Path, kind: str
):
    _rename_by_case(project)
    with loop_filesystem(kind, tmp_path, 64 << 20) as top:
        clone = Project(top / "clone", project.environment)
        project.git("clone", "--quiet", str(project.root), str(clone.root))
        clone.datavc("config", "--local", "cache.dir", str(project.root / ".git/datavc/cache"))
        clone.datavc("checkout")
        clone.git("checkout", "--quiet", "HEAD~1")
        clone.datavc("checkout")

        assert clone.tree("data").keys() == {b".", b"Folder", b"Folder/file", b"Readme", b"other"}
        assert "modified" not in clone.datavc("status").out


@pytest.mark.parametrize("case_sensitive", [True, False])
def test_what_would_be_taken_for_a_new_file_goes_before_that_is_written_and_all_else_after(
    project: Project, monkeypatch: pytest.MonkeyPatch, case_sensitive: bool
):
    _rename_by_case(project)
    later = project.tree("data")
    project.git("checkout", "--quiet", "HEAD~1")
    monkeypatch.setattr(
        "datavc.operations.steps.delivering.switching.is_case_sensitive", lambda _: case_sensitive
    )
    there = []
    real = Fulfilment._write

    def write(self: Fulfilment, root_fd: int) -> None:
        there.extend(project.tree("data"))
        real(self, root_fd)

    monkeypatch.setattr(Fulfilment, "_write", write)
    project.run("checkout")

    # What has another name everywhere stays until the new is there.
    assert (b"README" in there, b"folder/file" in there) == (case_sensitive, case_sensitive)
    assert project.tree("data").keys() == {b".", b"Folder", b"Folder/file", b"Readme", b"other"}
    project.git("checkout", "--quiet", "main")
    project.run("checkout")
    assert project.tree("data") == later


@pytest.mark.parametrize(
    "command", [("status",), ("diff",), ("checkout",), ("checkout", "--force"), ("add", "one")]
)
def test_a_dataset_that_goes_between_its_stat_and_its_reading_is_no_bug(
    project: Project, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
):
    project.write({"one": "first"})
    project.run("add", "one")
    project.write({"one": "changed"})
    real = hashing.hash_unknown

    def vanishing(*arguments, **options):
        (project.root / "one").unlink(missing_ok=True)
        return real(*arguments, **options)

    monkeypatch.setattr(hashing, "hash_unknown", vanishing)

    _assert_refused(project, *command, code=None)

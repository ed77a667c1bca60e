"""The kill sweep where files are shared between cache and workspace: by hard link, symbolic link, and reflink on a real XFS.

The quick part takes every few points of a checkout; ``-m slow`` takes all of them, and ``add`` too.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faultcases import CASES, make_case
from loopfs import loop_filesystem
from projects import Project, environment_of, let_go
from sweeps import killed_at_each

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
_FORCED = "check out over unsaved work"


def _slow(link: str, name: str, stride: int) -> object:
    return pytest.param(link, name, stride, marks=pytest.mark.slow)


@pytest.fixture
def linking(tmp_path: Path) -> Iterator[Callable[[str], Project]]:
    """A maker of a project whose files are shared with its cache by links of one type."""
    held = []

    def make(link: str) -> Project:
        top = tmp_path
        if link == "reflink":
            held.append(loop_filesystem("xfs", tmp_path))
            top = held[0].__enter__()
        home, project = tmp_path / "home", Project(top / "project", environment_of(tmp_path / "home"))
        home.mkdir()
        project.root.mkdir()
        project.git("init", "--quiet")
        project.run("init")
        project.run("config", "--local", "cache.link", link)
        project.run("config", "--local", "cache.share_above", "100")
        project.commit("datavc init")
        return project

    yield make
    let_go()
    for file_system in held:
        file_system.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("link", "name", "stride"),
    [
        ("hardlink", _FORCED, 29),
        ("symlink", _FORCED, 29),
        *(_slow(link, name, 1) for link in ("hardlink", "symlink", "reflink") for name in CASES),
    ],
)
def test_killed_at_any_change_linked_files_are_whole_and_it_finishes(
    linking: Callable[[str], Project],
    record_property: Callable[[str, object], None],
    link: str,
    name: str,
    stride: int,
):
    case = make_case(linking(link), name)
    assert any(_is_shared(path, link) for path in (case.project.root / "data").rglob("*")), (
        "nothing is linked"
    )
    points = 0
    for _ in killed_at_each(case.project, case.command, case.fresh, stride):
        case.assert_nothing_lost()
        case.assert_it_finishes()
        points += 1
    assert points * stride > 20, "the sweep saw no changes at all"
    record_property("points", points)


@pytest.mark.parametrize("link", ["hardlink", "symlink"])
def test_what_a_killed_add_has_linked_already_is_added_by_the_next(
    linking: Callable[[str], Project], link: str
):
    project = linking(link)
    project.write({"data/a": "alpha" * 100, "data/same": "alpha" * 100})
    project.run("add", "data")
    (project.root / "data.datavc").unlink()
    shutil.rmtree(project.root / ".git/datavc/state")
    (project.root / ".git/datavc/stat.db").unlink()
    project.run("add", "data")
    assert project.read("data/a") == project.read("data/same") == b"alpha" * 100
    assert _is_shared(project.root / "data/a", link)
    project.run("fsck")


def _is_shared(path: Path, link: str) -> bool:
    if link == "symlink":
        return path.is_symlink() and "blobs" in os.readlink(path)
    if link == "hardlink":
        return path.stat(follow_symlinks=False).st_nlink > 1 and path.is_file()
    # Of a reflink only the device knows; that the file system can is what the cache's own note says.
    notes = (path for path in _private(path).glob("links-*"))
    return any("reflink" in note.read_text() for note in notes)


def _private(path: Path) -> Path:
    return next(parent for parent in path.parents if parent.name == "project") / ".git/datavc"

"""gc killed before any change: nothing that is needed is lost, and the same command goes on. And random lives of a repo."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from pathlib import Path

import pytest
from loopfs import loop_filesystem
from projects import Project, let_go
from sweeps import Kept, killed_at_each

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
DAY = 86_400


def cache(project: Project) -> Path:
    return project.root / ".git/datavc/cache"


def age(project: Project, days: float) -> None:
    for folder in ("roots", "trash"):
        for file in (cache(project) / folder).rglob("*"):
            if file.is_file():
                seen = file.stat()
                os.utime(file, (seen.st_atime, seen.st_mtime - days * DAY))


def versions(project: Project) -> dict[str, bytes]:
    """Three commits of one dataset, the last of which is forgotten; what the others have."""
    kept = {}
    for name in ("one", "two", "three"):
        project.write({"data/a": os.urandom(3000), f"data/{name}": os.urandom(2000)})
        project.run("add", "data")
        kept[project.commit(name)] = project.read("data/a")
    project.git("reset", "-q", "--hard", "HEAD~1")
    project.git("reflog", "expire", "--expire=now", "--all")
    (project.root / ".git/ORIG_HEAD").unlink()
    project.run("checkout", "--force")
    return dict(list(kept.items())[:2])


def assert_kept(project: Project, kept: dict[str, bytes]) -> None:
    project.run("fsck")
    for commit, content in kept.items():
        assert project.run("cat", f"{commit}:data/a").out.encode("utf-8", "surrogateescape") == content


@pytest.mark.parametrize("stride", [3, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])
@pytest.mark.parametrize("case", ["removes", "deletes", "at once", "restores"])
def test_killed_at_any_change_it_loses_nothing_and_goes_on(
    project: Project, record_property, case: str, stride: int
):
    kept = versions(project)
    command = ["gc", "--yes", "--most"]
    age(project, 15)
    if case in ("deletes", "restores"):
        project.run(*command)
        age(project, 15)
    if case == "at once":
        command += ["--grace", "0"]
    if case == "restores":
        command = ["gc", "--restore"]
    start = Kept.of(project.root.parent / "start", project.root)
    points = 0
    for _ in killed_at_each(project, command, start.fresh, stride):
        points += 1
        assert_kept(project, kept)
        project.run(*command)
        assert_kept(project, kept)
        # What was killed anywhere is through, two graces later at the latest.
        for _ in range(3):
            age(project, 40)
            project.run("gc", "--yes", "--most")
        assert not list((cache(project) / "trash").glob("*"))
        assert len(list((cache(project) / "roots").rglob("xxh128-*"))) == 2
        assert_kept(project, kept)
    assert points
    record_property("points", points)


@pytest.mark.slow
def test_it_frees_a_disk_without_a_free_byte(project: Project, tmp_path: Path):
    with loop_filesystem("ext4", tmp_path, 160 << 20) as top:
        shutil.move(project.root, top / "project")
        full = Project(top / "project", project.environment)
        kept = versions(full)
        for number in range(10):
            full.write({"tiny/x": f"{number}"})
            full.run("add", "tiny")
            full.commit(f"tiny {number}")
        for piece in (bytes(1 << 20), b"x"):
            with open(top / "fill", "ab", buffering=0) as fill, contextlib.suppress(OSError):
                while fill.write(piece):
                    pass
        age(full, 15)
        assert "gc --grace 0" in full.run("gc", "--yes", "--most", code=1).err
        before = sorted(cache(full).rglob("xxh128-*"))
        said = full.run("gc", "--repack", "--yes", "--most", "--grace", "0", code=1).err
        assert "repacking needs 16." in said and "nothing was touched" in said
        assert sorted(cache(full).rglob("xxh128-*")) == before
        assert "freed" in full.run("gc", "--yes", "--most", "--grace", "0").err
        assert len(list((cache(full) / "roots").rglob("xxh128-*"))) == 12
        (top / "fill").unlink()
        full.run("gc", "--repack", "--yes", "--most", "--grace", "0")
        assert_kept(full, kept)
        let_go()


@pytest.mark.parametrize(
    "seed", [*range(3), *(pytest.param(n, marks=pytest.mark.slow) for n in range(3, 40))]
)
def test_a_random_life_loses_nothing_that_git_can_reach(project: Project, seed: int):
    """Adds, edits, commits, branches that are deleted, graces that pass and gc, against a dict."""
    chance = random.Random(seed)
    commits: dict[str, dict[str, bytes]] = {}
    project.write({"data/first": b"first"})
    project.run("add", "data")
    commits[project.commit("first")] = {"first": b"first"}
    for step in range(25):
        action = chance.choice(["edit", "edit", "edit", "branch", "drop", "age", "gc", "gc", "now"])
        if action == "edit":
            project.write(
                {f"data/{chance.randrange(4)}": chance.randbytes(chance.choice([10, 3000, 90_000]))}
            )
            project.run("add", "data")
            commit = project.commit(f"{step}")
            files = project.tree("data")
            commits[commit] = {
                os.fsdecode(name): what[1] for name, what in files.items() if what[0] == "file"
            }
        elif action == "branch":
            project.git("checkout", "-q", "-B", f"b{chance.randrange(3)}")
        elif action == "drop":
            project.git("reset", "-q", "--hard", chance.choice(sorted(commits)))
            project.git("reflog", "expire", "--expire=now", "--all")
            project.run("checkout", "--force")
        elif action == "age":
            age(project, chance.choice([5, 15, 40]))
        elif action == "gc":
            project.run("gc", "--yes", "--most")
        else:
            project.run("gc", "--yes", "--most", "--grace", "0")
        reachable = set(project.git("rev-list", "--all", "--reflog").split())
        commits = {commit: files for commit, files in commits.items() if commit in reachable}
    project.run("fsck")
    for commit, files in commits.items():
        project.run("checkout", "--force", commit)
        found = {
            os.fsdecode(name): what[1] for name, what in project.tree("data").items() if what[0] == "file"
        }
        assert found == files

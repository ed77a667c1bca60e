"""What git holds anywhere, ``datavc gc`` keeps: each place is made by plain git commands, and is all that leads there.

Each place is undone in the end, and then one version goes: so nothing else has kept it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from projects import Project
from sweeps import run_killed

Undo = Callable[[], object]
WITHOUT_EDITOR = {"GIT_EDITOR": "true", "GIT_SEQUENCE_EDITOR": "true"}


def add(project: Project, text: str, size: int = 3000) -> None:
    project.write({"data": text + "x" * size})
    project.run("add", "--force", "data")


def doomed(project: Project) -> list[str]:
    """The datasets of the versions that a gc without a grace would delete."""
    said = json.loads(project.run("gc", "--dry-run", "--json", "--most", "--grace", "0").out)
    return [row["path"] for row in said["removed"]]


def let_go(project: Project) -> None:
    """Whatever git remembers of where branches have been."""
    project.git("reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all")
    for name in ("ORIG_HEAD", "FETCH_HEAD"):
        (project.root / ".git" / name).unlink(missing_ok=True)


def forget(project: Project) -> str:
    """The last commit never was: its id, and the workspace shows the one before."""
    last = project.git("rev-parse", "HEAD").strip()
    project.git("reset", "-q", "--hard", "HEAD~1")
    let_go(project)
    project.run("checkout", "--force")
    return last


@pytest.fixture
def two(project: Project) -> Project:
    """Two commits of a dataset."""
    project.environment.update(WITHOUT_EDITOR)
    add(project, "one")
    project.commit("one")
    add(project, "two")
    project.commit("two")
    return project


def by_ref(project: Project, name: str) -> Undo:
    project.git("update-ref", name, "HEAD")
    forget(project)
    return lambda: project.git("update-ref", "-d", name)


def in_a_branch(project: Project) -> Undo:
    return by_ref(project, "refs/heads/other")


def in_a_remote_branch(project: Project) -> Undo:
    return by_ref(project, "refs/remotes/origin/other")


def in_a_ref_of_a_tools_own(project: Project) -> Undo:
    return by_ref(project, "refs/pull/7/head")


def in_a_tag_of_a_tag(project: Project) -> Undo:
    project.git("tag", "-a", "-m", "x", "inner")
    project.git("tag", "-a", "-m", "x", "outer", "inner")
    project.git("tag", "-d", "inner")
    forget(project)
    return lambda: project.git("tag", "-d", "outer")


def in_a_tag_of_a_tree(project: Project) -> Undo:
    project.git("tag", "-a", "-m", "x", "tree", "HEAD^{tree}")
    forget(project)
    return lambda: project.git("tag", "-d", "tree")


def in_a_tag_of_a_pointer(project: Project) -> Undo:
    project.git("tag", "pointer", "HEAD:data.datavc")
    forget(project)
    return lambda: project.git("tag", "-d", "pointer")


def in_a_tag_of_the_dataset(project: Project) -> Undo:
    project.run("tag", "data", "best")
    forget(project)
    return lambda: project.git("tag", "-d", "data@best")


def behind_a_replacement(project: Project) -> Undo:
    """What is hidden is there again when the replacement is deleted."""
    project.git("replace", "--graft", "HEAD")
    let_go(project)

    def undo() -> None:
        project.git("replace", "-d", "HEAD")
        forget(project)

    return undo


def in_the_reflog(project: Project) -> Undo:
    project.git("reset", "-q", "--hard", "HEAD~1")
    (project.root / ".git/ORIG_HEAD").unlink()
    project.run("checkout", "--force")
    return lambda: let_go(project)


def in_the_reflog_of_a_branch(project: Project) -> Undo:
    project.git("branch", "other")
    last = forget(project)
    project.git("update-ref", "--create-reflog", "-m", "x", "refs/heads/other", "HEAD")
    log = project.root / ".git/logs/refs/heads/other"
    head = project.git("rev-parse", "HEAD").strip()
    log.write_text(f"{'0' * 40} {last} A <a@b> 1 +0000\tx\n{last} {head} A <a@b> 2 +0000\tx\n")
    return lambda: let_go(project)


def stashed(project: Project, *words: str) -> Undo:
    project.git("stash", "push", "-q", *words)
    project.run("checkout", "--force")
    return lambda: project.git("stash", "drop", "-q")


def in_the_stash(project: Project) -> Undo:
    pointer = project.read("data.datavc")
    forget(project)
    project.write({"data.datavc": pointer})
    return stashed(project)


def in_the_index_that_was_stashed(project: Project) -> Undo:
    pointer, own = project.read("data.datavc"), project.git("show", "HEAD~1:data.datavc")
    forget(project)
    project.write({"data.datavc": pointer})
    project.git("add", "data.datavc")
    project.write({"data.datavc": own})
    return stashed(project)


def untracked_in_the_stash(project: Project) -> Undo:
    pointer = project.read("data.datavc")
    forget(project)
    project.write({"deep/down/other.datavc": pointer})
    return stashed(project, "--include-untracked")


def in_an_older_stash(project: Project) -> Undo:
    undo = in_the_stash(project)
    project.write({"datavc.toml": project.read("datavc.toml") + b"# x\n"})
    project.git("stash", "push", "-q")

    def both() -> None:
        project.git("stash", "drop", "-q")
        undo()

    return both


def in_the_index(project: Project) -> Undo:
    pointer = project.read("data.datavc")
    forget(project)
    own = project.read("data.datavc")
    project.write({"data.datavc": pointer})
    project.git("add", "data.datavc")
    project.write({"data.datavc": own})
    return lambda: project.git("reset", "-q")


def in_a_pointer_of_the_workspace(project: Project) -> Undo:
    pointer = project.read("data.datavc")
    forget(project)
    project.write({"deep/other.datavc": pointer})
    return lambda: shutil.rmtree(project.root / "deep")


def in_what_a_checkout_is_on_the_way_to(project: Project) -> Undo:
    last = forget(project)
    pointer = project.git("show", f"{last}:data.datavc")
    project.write({"data.datavc": pointer})
    for point in range(10, 60):
        run_killed(project, ["checkout"], point)
        if b'"checkout":{' in b"".join(
            file.read_bytes() for file in (project.root / ".git/datavc/state").iterdir()
        ):
            break
    else:
        pytest.fail("no checkout was under way")
    project.git("checkout", "-q", "--", "data.datavc")
    return lambda: project.run("checkout", "--force")


@pytest.mark.parametrize(
    "place",
    [
        in_a_branch,
        in_a_remote_branch,
        in_a_ref_of_a_tools_own,
        in_a_tag_of_a_tag,
        in_a_tag_of_a_tree,
        in_a_tag_of_a_pointer,
        in_a_tag_of_the_dataset,
        behind_a_replacement,
        in_the_reflog,
        in_the_reflog_of_a_branch,
        in_the_stash,
        in_the_index_that_was_stashed,
        untracked_in_the_stash,
        in_an_older_stash,
        in_the_index,
        in_a_pointer_of_the_workspace,
        in_what_a_checkout_is_on_the_way_to,
    ],
)
def test_a_version_stays_that_git_holds(two: Project, place: Callable[[Project], Undo]):
    undo = place(two)
    assert doomed(two) == []
    two.run("gc", "--yes", "--most", "--grace", "0")
    undo()
    assert doomed(two) == ["data"]


# Operations under way


def conflict(project: Project) -> tuple[str, str]:
    """Two commits, of which one conflicts with the other: main's and that of no branch, which is checked out nowhere."""
    base = project.git("rev-parse", "HEAD").strip()
    project.git("checkout", "-q", "--detach")
    add(project, "theirs")
    theirs = project.commit("theirs")
    project.git("checkout", "-q", "main")
    add(project, "ours")
    project.commit("ours")
    let_go(project)
    return base, theirs


def in_a_merge(project: Project) -> Undo:
    _, theirs = conflict(project)
    project.git("merge", "-q", theirs, code=1)
    return lambda: project.git("merge", "--abort")


def in_a_merge_that_was_settled(project: Project) -> Undo:
    """Only the index remembers: ``git checkout --merge`` brings the conflict back."""
    in_a_merge(project)
    (project.root / ".git/MERGE_HEAD").unlink()
    (project.root / ".git/AUTO_MERGE").unlink(missing_ok=True)
    project.git("checkout", "-q", "--ours", "data.datavc")
    project.git("add", "data.datavc")
    return lambda: project.git("read-tree", "--reset", "HEAD")


def in_a_cherry_pick(project: Project) -> Undo:
    _, theirs = conflict(project)
    project.git("cherry-pick", theirs, code=1)
    return lambda: project.git("cherry-pick", "--abort")


def in_the_picks_to_come(project: Project) -> Undo:
    base, theirs = conflict(project)
    project.git("checkout", "-q", base)
    project.write({"data.datavc": project.git("show", f"{base}:data.datavc") + "# z\n"})
    first = project.commit("conflicts too")
    project.git("checkout", "-q", "main")
    let_go(project)
    project.git("cherry-pick", first, theirs, code=1)
    return lambda: project.git("cherry-pick", "--abort")


def in_a_revert(project: Project) -> Undo:
    _, theirs = conflict(project)
    project.git("revert", theirs, code=1)
    return lambda: project.git("revert", "--abort")


def in_a_rebase(project: Project) -> Undo:
    """Of commits that no branch leads to."""
    _, theirs = conflict(project)
    project.git("checkout", "-q", theirs)
    project.git("rebase", "-q", "main", code=1)
    let_go(project)

    def undo() -> None:
        project.git("rebase", "--abort")
        project.git("checkout", "-q", "main")

    return undo


def in_what_a_rebase_has_put_away(project: Project) -> Undo:
    project.write({"code": "1\n"})
    first = project.commit("code")
    project.write({"code": "2\n"})
    project.commit("code again")
    project.git("checkout", "-q", "--detach", first)
    project.write({"code": "3\n"})
    project.commit("conflicting code")
    add(project, "not committed")
    let_go(project)
    project.git("rebase", "-q", "--autostash", "main", code=1)
    let_go(project)

    def undo() -> None:
        project.git("rebase", "--quit")
        project.git("stash", "clear")
        project.git("checkout", "-q", "--force", "main")

    return undo


def in_a_bisection(project: Project) -> Undo:
    base, theirs = conflict(project)
    project.git("bisect", "start", theirs, f"{base}~1")
    let_go(project)
    return lambda: project.git("bisect", "reset")


@pytest.mark.parametrize(
    "place",
    [
        in_a_merge,
        in_a_merge_that_was_settled,
        in_a_cherry_pick,
        in_the_picks_to_come,
        in_a_revert,
        in_a_rebase,
        in_what_a_rebase_has_put_away,
        in_a_bisection,
    ],
)
def test_a_version_stays_that_an_operation_under_way_comes_back_to(
    two: Project, place: Callable[[Project], Undo]
):
    undo = place(two)
    two.run("checkout", "--force", code=None)
    assert doomed(two) == []
    undo()
    let_go(two)
    two.run("checkout", "--force")
    assert doomed(two) == ["data"]


# Linked worktrees


def linked(project: Project) -> Project:
    """A linked worktree that shows the last commit, detached."""
    project.git("worktree", "add", "-q", "--detach", "../linked")
    (project.root / ".git/worktrees/linked/ORIG_HEAD").unlink(missing_ok=True)
    return Project(project.root.parent / "linked", project.environment)


def at_its_head(project: Project, tree: Project) -> None:
    forget(project)


def in_its_reflog(project: Project, tree: Project) -> None:
    forget(project)
    tree.git("reset", "-q", "--hard", "main")
    own = project.root / ".git/worktrees/linked"
    (own / "ORIG_HEAD").unlink()


def in_its_index(project: Project, tree: Project) -> None:
    forget(project)
    pointer = tree.read("data.datavc")
    tree.git("reset", "-q", "--hard", "main")
    tree.write({"data.datavc": pointer})
    tree.git("add", "data.datavc")
    tree.write({"data.datavc": project.read("data.datavc")})
    let_go(project)
    (project.root / ".git/worktrees/linked/ORIG_HEAD").unlink()


def in_a_pointer_of_it(project: Project, tree: Project) -> None:
    forget(project)
    pointer = tree.read("data.datavc")
    tree.git("reset", "-q", "--hard", "main")
    tree.write({"deep/other.datavc": pointer})
    let_go(project)
    (project.root / ".git/worktrees/linked/ORIG_HEAD").unlink()


def in_its_bisection(project: Project, tree: Project) -> None:
    last = forget(project)
    tree.git("bisect", "start", last, f"{last}~2")
    let_go(project)


def in_a_ref_of_its_own(project: Project, tree: Project) -> None:
    forget(project)
    tree.git("update-ref", "refs/worktree/mine", "HEAD")
    tree.git("checkout", "-q", "--detach", "main")
    let_go(project)


def in_its_rebase(project: Project, tree: Project) -> None:
    forget(project)
    add(project, "ours")
    project.commit("ours")
    tree.git("rebase", "-q", "main", code=1)
    let_go(project)


def in_a_folder_that_is_away(project: Project, tree: Project) -> None:
    forget(project)
    tree.root.rename(tree.root.with_name("unplugged"))


@pytest.mark.parametrize(
    "place",
    [
        at_its_head,
        in_its_reflog,
        in_its_index,
        in_a_pointer_of_it,
        in_its_bisection,
        in_a_ref_of_its_own,
        in_its_rebase,
        in_a_folder_that_is_away,
    ],
)
@pytest.mark.parametrize("asked", ["the main worktree", "another"])
def test_a_version_stays_that_a_linked_worktree_holds(
    two: Project, place: Callable[[Project, Project], None], asked: str
):
    place(two, linked(two))
    asker = two
    if asked == "another":
        two.git("worktree", "add", "-q", "--detach", "../third")
        asker = Project(two.root.parent / "third", two.environment)
    assert doomed(asker) == []
    two.git("worktree", "remove", "--force", "../linked", code=None)
    two.git("worktree", "prune")
    assert doomed(asker) == ["data"]


# Other kinds of clones


def age(project: Project, cache: Path) -> None:
    for file in (cache / "roots").rglob("*"):
        if file.is_file():
            os.utime(file, (0, file.stat().st_mtime - 40 * 86_400))


def test_a_clone_that_lacks_history_keeps_everything(two: Project, tmp_path: Path):
    two.run("remote", "add", "store", str(tmp_path / "store"))
    two.run("push", "--all-branches")
    two.commit("remote")
    two.git("clone", "-q", "--depth", "1", f"file://{two.root}", "../shallow")
    clone = Project(two.root.parent / "shallow", two.environment)
    clone.run("pull")
    add(clone, "three")
    clone.git("checkout", "-q", "data.datavc")
    clone.run("checkout", "--force")
    age(clone, clone.root / ".git/datavc/cache")

    said = clone.run("gc", "--dry-run")
    assert "a part of git's history: git fetch --unshallow" in said.out
    assert doomed(clone) == []
    assert "only a part of git's history" in clone.run("gc", "-r", "store", "--yes", code=1).err
    clone.git("fetch", "-q", "--unshallow")
    assert doomed(clone) == ["data"]


@pytest.mark.parametrize("given", ["blob:none", "tree:0"])
def test_a_clone_that_has_no_blobs_gets_the_pointers_that_it_must_know(
    two: Project, tmp_path: Path, given: str
):
    two.git("config", "uploadpack.allowFilter", "true")
    two.git("config", "uploadpack.allowAnySHA1InWant", "true")
    shutil.move(two.root / ".git/datavc/cache", tmp_path / "shared")
    two.git("clone", "-q", f"--filter={given}", f"file://{two.root}", "../partial")
    clone = Project(two.root.parent / "partial", two.environment)
    for one in (clone, two):
        one.run("config", "--local", "cache.dir", str(tmp_path / "shared"))
    add(clone, "three")
    clone.commit("three")
    forget(clone)
    two.root.rename(two.root.with_name("away"))
    assert "does not appear to be a git repository" in clone.run("gc", "--yes", code=1).err
    two.root.with_name("away").rename(two.root)
    assert doomed(clone) == ["data"]
    assert doomed(two) == ["data"]


def test_in_a_submodule_git_is_asked_as_anywhere(two: Project, tmp_path: Path):
    outer = Project(tmp_path / "outer", two.environment)
    outer.root.mkdir()
    outer.git("init", "-q")
    outer.git("submodule", "--quiet", "add", str(two.root), "inner")
    outer.git("commit", "-q", "-m", "submodule")
    inner = Project(outer.root / "inner", two.environment)
    inner.write({"data": "new"})
    inner.run("add", "--force", "data")
    pointer = inner.read("data.datavc")
    inner.git("stash", "push", "-q")
    inner.write({"data": "newer"})
    inner.run("add", "--force", "data")
    assert doomed(inner) == []
    inner.git("worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    inner.git("stash", "drop", "-q")
    inner.write({"deep/other.datavc": pointer})
    assert doomed(Project(tmp_path / "linked", two.environment)) == []
    shutil.rmtree(inner.root / "deep")
    assert doomed(inner) == ["data"]

"""``datavc checkout REV``: pointers, ignore lines and data of a revision, while git's HEAD stays; and back again."""

from __future__ import annotations

import json
import os
import re
import shutil

import pytest
from projects import Found, Project

Snapshot = dict[bytes, Found]


def snapshot(project: Project) -> Snapshot:
    """Everything in the workspace but git's own folder."""
    return {
        path: found
        for path, found in project.tree().items()
        if not (path == b".git" or path.startswith(b".git/"))
    }


def data(project: Project) -> Snapshot:
    """The same without the files that git alone keeps, which a checkout of datasets does not touch."""
    return {path: found for path, found in snapshot(project).items() if path != b"code.py"}


@pytest.fixture
def history(project: Project) -> list[tuple[str, Snapshot]]:
    """Four commits with their workspaces: a dataset, a change and a second one, a file dataset, one gone and one moved."""
    found = []

    def commit(message: str) -> None:
        found.append((project.commit(message), snapshot(project)))

    project.write({"code.py": "1", "data/a": "one", "data/sub/b": "b", "data/empty": None})
    (project.root / "data/a").chmod(0o755)
    os.symlink("a", project.root / "data/link")
    project.run("add", "data")
    commit("first")
    project.write({"code.py": "2", "data/a": "two", "more/deep/set/x": "x" * 3000})
    project.run("add", "data", "more/deep/set")
    commit("second")
    project.write({"single.bin": "single"})
    project.run("add", "single.bin")
    shutil.rmtree(project.root / "data/sub")
    project.write({"data/sub": "a file now"})
    project.run("add", "data")
    commit("third")
    project.run("remove", "--delete", "more/deep/set")
    project.run("move", "single.bin", "moved.bin")
    shutil.rmtree(project.root / "more", ignore_errors=True)
    commit("fourth")
    return found


def test_every_revision_comes_back_exactly_and_head_stays(
    project: Project, history: list[tuple[str, Snapshot]]
):
    head = project.git("rev-parse", "HEAD")
    for commit, then in [*history, *reversed(history), history[0], history[3], history[1]]:
        project.run("checkout", commit)
        assert data(project) == {path: found for path, found in then.items() if path != b"code.py"}
        assert project.git("rev-parse", "HEAD") == head
        assert project.read("code.py") == b"2"
    project.run("checkout", "HEAD")
    assert snapshot(project) == history[-1][1]
    assert project.git("status", "--porcelain") == ""


def test_branches_tags_and_ancestors_name_revisions_and_the_way_back_is_told(
    project: Project, history: list[tuple[str, Snapshot]]
):
    project.git("branch", "side", history[1][0])
    project.git("tag", "-m", "a tag", "v0", history[0][0])
    for word, number in (("side", 1), ("v0", 0), ("HEAD~1", 2), ("v0", 0), ("@~2", 1)):
        said = project.run("checkout", word)
        assert project.read("data/a") == history[number][1][b"data/a"][1]
        assert said.err.splitlines()[-1] == "next: datavc checkout HEAD, to return"
    assert "next:" not in project.run("checkout", "HEAD").err


def test_paths_limit_what_is_touched_and_drop_nothing(project: Project, history: list[tuple[str, Snapshot]]):
    project.run("checkout", history[0][0], "--", "data")
    assert project.read("data/a") == b"one"
    assert project.read("moved.bin") == b"single"
    said = project.run("checkout", history[0][0], "--", "moved.bin", code=1)
    assert "moved.bin is no dataset at that revision" in said.err
    project.run("checkout", "HEAD~1", "more")
    assert project.read("more/deep/set/x") == b"x" * 3000


def test_part_of_a_dataset_comes_into_the_rest_of_another_version_and_can_be_committed(
    project: Project, history: list[tuple[str, Snapshot]]
):
    project.write({"data/new": "new"})
    project.run("add", "data")
    project.commit("fifth")
    project.run("checkout", history[0][0], "--", "data/a")

    assert project.read("data/a") == b"one"
    assert project.read("data/new") == b"new"
    assert json.loads(project.run("status", "--json", "data").out)[0]["states"] == ["pointer not committed"]
    project.run("fsck")
    project.commit("mixed")
    there = project.tree("data")
    project.run("checkout", "HEAD~1")
    project.run("checkout", "HEAD")
    assert project.tree("data") == there
    project.run("checkout", "HEAD~1", "--", "data/a")
    assert project.git("diff", "--stat", "HEAD~1", "--", "data.datavc") == ""


def test_unsaved_changes_are_refused_before_anything_is_touched(
    project: Project, history: list[tuple[str, Snapshot]]
):
    project.write({"moved.bin": "precious"})
    before = snapshot(project)

    said = project.run("checkout", history[0][0], code=1)

    assert "unsaved changes would be lost: moved.bin" in said.err
    assert snapshot(project) == before


def test_force_saves_what_a_dropped_dataset_had_and_says_how_to_get_it_back(
    project: Project, history: list[tuple[str, Snapshot]]
):
    project.write({"moved.bin": "precious"})

    said = project.run("checkout", "--force", history[0][0])

    assert not (project.root / "moved.bin").exists()
    command = re.search(r"datavc (checkout --force xxh128:[0-9a-f]+ -- moved.bin)", said.err)
    assert command is not None
    project.run(*command[1].split())
    assert project.read("moved.bin") == b"precious"
    assert b"/moved.bin" in project.read(".gitignore")
    assert "moved.bin.datavc" in project.git("status", "--porcelain", "--untracked-files=all")


def test_work_that_was_added_and_not_committed_is_saved_and_the_way_back_is_told(
    project: Project, history: list[tuple[str, Snapshot]]
):
    project.write({"data/a": "added", "fresh/f": "f"})
    project.run("add", "data", "fresh")
    there = project.tree("data")

    said = project.run("checkout", "HEAD").err

    assert project.read("data/a") == b"two"
    assert not (project.root / "fresh").exists()
    commands = dict(re.findall(r"datavc (checkout xxh128:[0-9a-f]+ -- (?:data|fresh))()", said))
    assert len(commands) == 2
    for command in commands:
        project.run(*command.split())
    assert project.tree("data") == there
    assert project.read("fresh/f") == b"f"
    assert "is in no commit" not in project.run("status").err


def test_a_dropped_dataset_that_the_cache_does_not_prove_to_have_is_stored_first(
    project: Project, history: list[tuple[str, Snapshot]]
):
    for root in (project.root / ".git/datavc/cache/roots").rglob("xxh128-*"):
        root.unlink()
    project.run("checkout", history[0][0], "--", "data")

    project.run("checkout", history[0][0])

    assert not (project.root / "moved.bin").exists()
    project.run("checkout", "HEAD")
    assert snapshot(project) == history[-1][1]


def test_a_dropped_dataset_whose_files_the_cache_has_lost_is_stored_first(
    project: Project, history: list[tuple[str, Snapshot]]
):
    project.run("checkout", "HEAD~3")
    project.run("checkout", "HEAD")
    for pack in (project.root / ".git/datavc/cache/packs").rglob("xxh128-*"):
        if b"single" in pack.read_bytes():
            pack.unlink()

    project.run("checkout", "HEAD~3")

    assert not (project.root / "moved.bin").exists()
    project.run("checkout", "HEAD")
    assert snapshot(project) == history[-1][1]


def test_files_of_the_user_in_a_dropped_dataset_that_are_ignored_stay(
    project: Project, history: list[tuple[str, Snapshot]]
):
    project.write({".datavcignore": "*.log\n"})
    project.commit("ignore")
    project.run("checkout", history[1][0])
    project.write({"more/deep/set/a.log": "log"})

    project.run("checkout", "HEAD")

    assert project.tree("more") == {
        b".": ("folder", b""),
        b"deep": ("folder", b""),
        b"deep/set": ("folder", b""),
        b"deep/set/a.log": ("file", b"log"),
    }


def test_a_dataset_that_was_split_into_two_is_put_together_again_and_back(project: Project):
    project.write({"all/left/l": "l", "all/right/r": "r", "all/loose": "x"})
    project.run("add", "all")
    project.commit("whole")
    whole = snapshot(project)
    project.run("remove", "all")
    (project.root / "all/loose").unlink()
    project.run("add", "all/left", "all/right")
    project.commit("split")
    split = snapshot(project)
    for _ in range(2):
        project.run("checkout", "HEAD~1")
        assert snapshot(project) == whole
        project.run("checkout", "HEAD")
        assert snapshot(project) == split


def test_what_is_in_the_way_of_a_dataset_put_together_is_not_overwritten(project: Project):
    project.write({"all/left/l": "l"})
    project.run("add", "all")
    project.commit("whole")
    project.run("remove", "all")
    project.run("add", "all/left")
    project.write({"all/README": "git's"})
    project.commit("split")
    before = snapshot(project)

    assert "all/README" in project.run("checkout", "HEAD~1", code=1).err

    assert snapshot(project) == before


def test_a_dry_run_says_what_would_be_and_touches_nothing(
    project: Project, history: list[tuple[str, Snapshot]]
):
    before = snapshot(project)

    said = project.run("checkout", "--dry-run", history[1][0])

    assert "moved.bin: would be dropped, 1 file" in said.out
    assert "more/deep/set: 1 file, 2.9 KiB would be written" in said.out
    assert snapshot(project) == before


def test_a_digest_is_one_version_of_one_dataset_with_its_pointer(
    project: Project, history: list[tuple[str, Snapshot]]
):
    digest = re.search(r"xxh128:[0-9a-f]+", history[0][1][b"data.datavc"][1].decode())
    assert digest is not None

    project.run("checkout", digest[0][:20])
    assert project.read("data/a") == b"one"
    assert project.read("data.datavc") == history[0][1][b"data.datavc"][1]
    project.run("checkout", "HEAD")
    project.run("checkout", digest[0], "--", "elsewhere/copy")
    assert project.tree("elsewhere/copy") == {**project.tree("elsewhere/copy"), b"a": ("executable", b"one")}
    assert project.read("data/a") == b"two"
    assert b"/copy" in project.read("elsewhere/.gitignore")
    project.run("checkout", "HEAD")
    assert not (project.root / "elsewhere").exists()
    project.run("checkout", digest[0], "data", "moved.bin", code=2)


def test_a_datasets_own_tag_checks_out_that_dataset_alone(
    project: Project, history: list[tuple[str, Snapshot]]
):
    project.git("tag", "data@v1", history[0][0])

    project.run("checkout", "data@v1")

    assert project.read("data/a") == b"one"
    assert project.read("moved.bin") == b"single"
    project.run("checkout", "HEAD")
    project.run("checkout", "data@v1", "--", "data/a")
    assert project.read("data/a") == b"one"
    assert project.read("data/sub") == b"a file now"


def test_before_takes_the_last_commit_until_then(project: Project):
    for day in (2, 3, 4):
        project.environment["GIT_COMMITTER_DATE"] = f"2030-01-0{day}T12:00:00Z"
        project.write({"data/a": f"day {day}"})
        project.run("add", "data")
        project.commit(f"day {day}")

    project.run("checkout", "--before", "2030-01-04")
    assert project.read("data/a") == b"day 3"
    project.run("checkout", "--before", "2030-01-02T12:00:00Z", "--", "data")
    assert project.read("data/a") == b"day 2"
    assert "is no date" in project.run("checkout", "--before", "someday", code=2).err
    assert "--before DATE" in project.run("checkout", "HEAD@{1}", code=2).err
    project.run("checkout", "--before", "2030-01-04", "HEAD", code=2)


def test_a_word_that_is_both_a_revision_and_a_path_shows_both_spellings(
    project: Project, history: list[tuple[str, Snapshot]]
):
    project.git("branch", "data", history[0][0])

    said = project.run("checkout", "data", code=2).err

    assert "datavc checkout data -- for the revision, datavc checkout -- data for the path" in said
    project.run("checkout", "data", "--")
    assert project.read("data/a") == b"one"
    (project.root / "data/a").unlink()
    project.run("checkout", "--", "data")
    assert project.read("data/a") == b"one"
    project.run("checkout", "heads/data", "data")


def test_a_word_that_is_neither_is_said_to_be(project: Project, history: list[tuple[str, Snapshot]]):
    assert "no revision, no dataset" in project.run("checkout", "nowhere", code=1).err
    assert "no such ancestor" in project.run("checkout", "HEAD~99", code=2).err
    assert "before --" in project.run("checkout", "a", "b", "--", "c", code=2).err


def test_to_writes_elsewhere_and_leaves_the_workspace_alone(
    project: Project, history: list[tuple[str, Snapshot]]
):
    before = snapshot(project)
    target = project.root.parent / "export"

    project.run("checkout", history[1][0], "--to", str(target))
    project.run("checkout", history[1][0], "--to", str(target))

    exported = Project(target, project.environment)
    files = {
        path: found for path, found in history[1][1].items() if path.startswith((b"data/", b"more/deep/set/"))
    }
    there = exported.tree()
    assert {path: there[path] for path in files} == files
    assert not [path for path in there if path.endswith((b".datavc", b".gitignore"))]
    assert snapshot(project) == before
    assert not list((project.root / ".git/datavc/elsewhere").iterdir())


def test_to_overwrites_nothing(project: Project, history: list[tuple[str, Snapshot]]):
    project.write({"out/data/a": "mine", "file": "x"})

    assert "out" not in project.run("checkout", "HEAD~1", "--to", "out", code=1).out
    assert project.read("out/data/a") == b"mine"
    assert project.tree("out").keys() == {b".", b"data", b"data/a"}
    project.run("checkout", "HEAD~1", "--to", "file", code=1)
    project.run("checkout", "HEAD~1", "--to", ".", code=2)
    project.run("checkout", "HEAD~1", "--to", "data/inner", code=2)
    project.run("checkout", "HEAD~1", "--to", ".git/datavc/x", code=2)


def test_a_missing_object_is_found_before_anything_is_touched(
    project: Project, history: list[tuple[str, Snapshot]]
):
    for pack in (project.root / ".git/datavc/cache/packs").rglob("xxh128-*"):
        if b"one" in pack.read_bytes():
            pack.unlink()
    before = snapshot(project)

    assert "nothing was touched" in project.run("checkout", history[0][0], code=1).err
    assert snapshot(project) == before


def test_what_the_cache_lacks_of_a_revision_is_fetched(project: Project, history: list[tuple[str, Snapshot]]):
    remote = project.root.parent / "remote"
    project.run("remote", "add", "--default", "far", str(remote))
    for commit, _ in history:
        project.run("push", "--rev", commit)
    project.commit("remote")
    clone = project.clone("clone")

    assert "would be written" in clone.run("checkout", "--dry-run", history[1][0]).out
    for commit, then in history[:3]:
        clone.run("checkout", commit)
        assert {path: found for path, found in data(clone).items() if path != b"datavc.toml"} == {
            path: found for path, found in then.items() if path not in (b"code.py", b"datavc.toml")
        }
    shutil.rmtree(clone.root / ".git/datavc/cache")
    digest = re.search(r"xxh128:[0-9a-f]+", history[0][1][b"data.datavc"][1].decode())
    assert digest is not None
    clone.run("checkout", digest[0], "--to", "out")
    assert clone.read("out/data/a") == b"one"
    shutil.rmtree(remote)
    shutil.rmtree(clone.root / ".git/datavc/cache")
    before = snapshot(clone)
    assert clone.run("checkout", history[0][0], code=None).code in (1, 2)
    assert snapshot(clone) == before


def test_work_on_a_part_that_was_fetched_comes_back_by_its_digest(
    project: Project, history: list[tuple[str, Snapshot]]
):
    remote = project.root.parent / "remote"
    project.run("remote", "add", "--default", "far", str(remote))
    project.run("checkout", history[0][0], "--", "data")
    project.commit("back")
    project.run("push")
    clone = project.clone("clone")
    clone.run("pull", "data/sub")
    clone.write({"data/sub/b": "mine", "data/sub/new": "new"})
    clone.run("add", "data")

    said = clone.run("checkout", "HEAD").err

    command = re.search(r"datavc (checkout xxh128:[0-9a-f]+ -- data)", said)
    assert command is not None
    assert clone.read("data/sub/b") == b"b"
    clone.run(*command[1].split())
    assert clone.read("data/sub/b") == b"mine"
    assert clone.read("data/sub/new") == b"new"
    assert clone.read("data/a") == b"one"


def test_a_shallow_clone_is_told_what_to_fetch(project: Project, history: list[tuple[str, Snapshot]]):
    shallow = Project(project.root.parent / "shallow", project.environment)
    project.git("clone", "-q", "--depth=2", f"file://{project.root}", str(shallow.root))

    assert "git fetch --depth=4" in shallow.run("checkout", "HEAD~3", code=1).err


@pytest.mark.parametrize("words", [["HEAD", "--", "data"], ["HEAD"], ["HEAD~3"]], ids=" ".join)
def test_a_pointer_that_was_edited_to_nonsense_is_replaced(
    project: Project, history: list[tuple[str, Snapshot]], words: list[str]
):
    project.write({"data.datavc": "nonsense"})

    project.run("checkout", *words)

    project.run("checkout", "HEAD")
    assert snapshot(project) == history[-1][1]


def test_a_pointer_with_conflict_markers_is_settled_first(
    project: Project, history: list[tuple[str, Snapshot]]
):
    project.write({"data.datavc": "<<<<<<< ours\n=======\n>>>>>>> theirs\n"})
    before = snapshot(project)

    assert "datavc resolve" in project.run("checkout", "HEAD~1", code=1).err
    assert snapshot(project) == before


def test_it_works_the_same_from_a_folder_below(project: Project, history: list[tuple[str, Snapshot]]):
    project.run("checkout", "HEAD~1", cwd="data")
    assert data(project) == {path: found for path, found in history[2][1].items() if path != b"code.py"}
    project.run("checkout", "HEAD~2", "--", "a", cwd="data")
    assert project.read("data/a") == b"two"

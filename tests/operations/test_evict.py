"""``datavc evict`` drops what a remote is seen to hold, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from projects import Project
from servers import S3Server, s3_server
from sweeps import COMPLETED, run_killed

from datavc.backends.folder import FolderBackend
from datavc.formats.root import decode_root, encode_root
from datavc.operations import evict
from datavc.operations.steps.examining.examine import View
from datavc.repo import Repo


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def pushed(project: Project) -> Project:
    """A project with two datasets, all of them in a store beside it."""
    project.write({"data/a": os.urandom(5000), "data/sub/b": os.urandom(3 << 20), "other/c": "gamma"})
    project.run("add", "data", "other")
    project.run("remote", "add", "store", "../store")
    project.run("push")
    project.commit("data")
    return project


@pytest.fixture
def linked(project: Project) -> Project:
    """A dataset of a large file that is linked to its whole blob, and a remote that has it."""
    project.run("config", "--local", "cache.link", "symlink")
    project.write({"data/big": "".join(f"{number}\n" for number in range(300_000))})
    project.run("add", "data")
    shutil.rmtree(project.root / "data")
    project.run("checkout", "data")
    project.run("remote", "add", "store", "../store")
    project.run("push")
    project.commit("data")
    assert stored(project, "blobs")
    return project


def stored(project: Project, *folders: str) -> list[str]:
    """The files of the cache in some of its folders."""
    cache = project.root / ".git/datavc/cache"
    return sorted(
        str(path.relative_to(cache)) for folder in folders for path in (cache / folder).rglob("xxh128-*")
    )


def everything(project: Project) -> list[str]:
    return stored(project, "packs", "indexes", "roots", "blobs")


def evicted(project: Project, *words: str) -> dict[str, list[dict[str, str]]]:
    return json.loads(project.run("evict", "--json", *words).out)


def test_all_that_was_pushed_goes_and_comes_back(pushed: Project):
    before = pushed.tree("data")
    assert pushed.run("evict").out.count("dropped from the cache; store holds it") == 2

    assert everything(pushed) == []
    assert pushed.tree("data") == before
    shutil.rmtree(pushed.root / "data")
    pushed.run("pull")
    assert pushed.tree("data") == before
    pushed.run("fsck")


@pytest.mark.s3
def test_a_bucket_is_asked_as_a_folder_is(pushed: Project, server: S3Server):
    pushed.environment.update(server.environment)
    url = f"s3://{server.make_bucket('evict')}/x"
    pushed.run("remote", "add", "--no-probe", "lab", url, "--endpoint", server.endpoint)
    assert [row["reason"] for row in evicted(pushed, "-r", "lab")["kept"]] == ["lab does not have it"] * 2
    pushed.run("push", "-r", "lab")

    assert [row["remote"] for row in evicted(pushed, "-r", "lab")["dropped"]] == ["lab", "lab"]
    assert everything(pushed) == []


def test_only_the_datasets_that_are_named_go(pushed: Project):
    pushed.run("evict", "other")

    assert "other: not in the cache" in pushed.run("status").out
    assert "data: clean" in pushed.run("status").out
    assert "not wholly, in this cache: other; datavc fetch" in pushed.run("fsck").err
    pushed.run("fetch")
    pushed.run("fsck")


def test_what_was_not_pushed_stays_with_all_that_it_needs(pushed: Project):
    pushed.write({"data/a": "changed"})
    pushed.run("add", "data")
    result = evicted(pushed)

    assert [row["reason"] for row in result["kept"]] == ["store does not have it"]
    shutil.rmtree(pushed.root / "data")
    pushed.run("checkout", "data")
    assert pushed.read("data/a") == b"changed"


def test_a_pack_that_two_datasets_share_stays_for_the_one_that_was_not_pushed(pushed: Project):
    pushed.write({"twin/b": pushed.read("data/sub/b"), "twin/own": "own"})
    pushed.run("add", "twin")
    assert {row["path"] for row in evicted(pushed)["dropped"]} == {"data", "other"}
    shutil.rmtree(pushed.root / "twin")
    pushed.run("checkout", "twin")

    assert pushed.read("twin/b") == pushed.read("data/sub/b")


def test_unsaved_work_that_was_put_aside_stays(pushed: Project):
    pushed.write({"data/a": "never added"})
    saved = pushed.run("checkout", "--force", "data")
    digest = next(word for word in (saved.out + saved.err).split() if word.startswith("xxh128:"))
    pushed.run("evict")

    assert pushed.run("ls", digest.rstrip(".,:;")).out


def test_a_dry_run_says_it_and_does_nothing(pushed: Project):
    before = everything(pushed)
    result = pushed.run("evict", "--dry-run", "--workspace")

    assert "would be dropped from the cache" in result.out
    assert "would be taken out of the workspace" in result.out
    assert everything(pushed) == before
    assert pushed.run("status").out == "data: clean\nother: clean\n"


def test_what_a_remote_has_lost_stays_here(pushed: Project):
    store = pushed.root.parent / "store"
    biggest = max((store / "packs").rglob("xxh128-*"), key=lambda path: path.stat().st_size)
    biggest.unlink()
    kept = {row["path"]: row["reason"] for row in evicted(pushed)["kept"]}

    assert kept == {"data": "store has lost packs of it (datavc push --check)"}
    for path in (store / "indexes").iterdir():
        path.unlink()
    pushed.run("fetch", "other", code=None)


def test_a_pack_of_another_length_is_a_lost_one(pushed: Project):
    for path in (pushed.root.parent / "store/packs").rglob("xxh128-*"):
        path.chmod(0o644)
        path.write_bytes(path.read_bytes() + b"x")

    assert evicted(pushed)["dropped"] == []


def test_a_root_that_promises_too_much_is_not_believed(pushed: Project):
    """The root of one dataset under the name of another's indexes: every pack is there, and none has the bytes."""
    roots = {}
    for path in (pushed.root.parent / "store/roots").rglob("xxh128-*"):
        roots[decode_root(path.read_bytes()).path] = path
    data, other = (decode_root(roots[name].read_bytes()) for name in (b"data", b"other"))
    roots[b"data"].chmod(0o644)
    roots[b"data"].write_bytes(encode_root(replace(data, indexes=other.indexes)))
    result = evicted(pushed)

    assert [row["path"] for row in result["dropped"]] == ["other"]
    assert "does not have all of it" in result["kept"][0]["reason"]


def test_a_remote_that_cannot_be_asked_holds_nothing(pushed: Project):
    (pushed.root.parent / "store").rename(pushed.root.parent / "away")
    before = everything(pushed)

    pushed.run("evict", code=1)
    assert everything(pushed) == before


def test_the_oldest_go_until_the_cache_is_small_enough(project: Project):
    project.run("remote", "add", "store", "../store")
    for number in range(3):
        project.write({f"d{number}/x": os.urandom(100_000)})
        project.run("add", f"d{number}")
    project.run("push")
    assert evicted(project, "--max-size", "1MB")["dropped"] == []
    dropped = evicted(project, "--max-size", "250kB")["dropped"]

    assert [row["path"] for row in dropped] == ["d0"]
    assert "--max-size must be a number" in project.run("evict", "--max-size", "much", code=2).err


def test_what_is_unchanged_leaves_the_workspace_too(pushed: Project):
    pushed.write({"other/c": "edited"})
    result = pushed.run("evict", "--workspace")

    assert "data: 2 files taken out of the workspace" in result.out
    assert not (pushed.root / "data").exists()
    assert (pushed.root / "data.datavc").exists()
    assert "other: stays in the workspace: it is modified" in result.out
    assert pushed.read("other/c") == b"edited"
    assert "data: missing" in pushed.run("status").out
    pushed.run("pull", "data")
    assert "data: clean" in pushed.run("status").out


def test_what_is_not_on_the_remote_stays_in_the_workspace(pushed: Project):
    pushed.write({"data/a": "changed"})
    pushed.run("add", "data")
    result = pushed.run("evict", "--workspace", "data")

    assert "data: stays in the workspace: store does not have it" in result.out
    assert pushed.read("data/a") == b"changed"


def test_a_file_that_is_edited_at_the_last_moment_stays(pushed: Project, monkeypatch: pytest.MonkeyPatch):
    real = evict.empty_workspace

    def edit_first(repo: Repo, view: View) -> int:
        pushed.write({"data/sub/b": "edited just now"})
        return real(repo, view)

    monkeypatch.setattr(evict, "empty_workspace", edit_first)
    assert "was changed meanwhile" in pushed.run("evict", "--workspace", "data", code=1).err

    assert pushed.read("data/sub/b") == b"edited just now"
    assert "checkout unfinished" in pushed.run("status", "data").out
    assert "interrupted" in pushed.run("add", "data", code=1).err
    again = pushed.run("evict", "--workspace", "data")
    assert "data: stays in the workspace: it is modified" in again.out
    assert pushed.read("data/sub/b") == b"edited just now"


def test_ignored_files_are_not_datavcs_to_delete(project: Project):
    project.write({"data/a": "alpha", ".datavcignore": "*.tmp\n", "data/notes.tmp": "mine"})
    project.git("add", ".datavcignore")
    project.run("add", "data")
    project.run("remote", "add", "store", "../store")
    project.run("push")
    project.run("evict", "--workspace")

    assert set(project.tree("data")) == {b".", b"notes.tmp"}
    project.run("pull")
    assert set(project.tree("data")) == {b".", b"notes.tmp", b"a"}


def test_a_partial_checkout_keeps_what_it_is_known_from(pushed: Project):
    clone = pushed.clone("clone")
    clone.run("pull", "data/sub")
    assert "a part of it is checked out" in str(evicted(clone)["kept"])
    assert "data/a" in clone.run("ls", "-r", "data").out
    assert not any(row["path"] == "data" for row in evicted(clone)["dropped"])


def test_links_into_the_cache_keep_what_they_lead_to(project: Project):
    project.run("config", "--local", "cache.link", "symlink")
    project.write({"data/big": os.urandom(2 << 20), "data/small": "s"})
    project.run("add", "data")
    shutil.rmtree(project.root / "data")
    project.run("checkout", "data")
    before = {path: (project.root / "data" / path).read_bytes() for path in ("big", "small")}
    project.run("remote", "add", "store", "../store")
    project.run("push")
    assert stored(project, "blobs")
    project.run("evict")

    assert {path: (project.root / "data" / path).read_bytes() for path in before} == before
    assert stored(project, "packs") == []
    project.run("evict", "--workspace")
    assert not (project.root / "data").exists()


def test_a_shared_cache_is_left_alone(pushed: Project):
    clone = pushed.clone("clone")
    clone.run("config", "--local", "cache.dir", str(pushed.root / ".git/datavc/cache"))
    clone.run("fetch")
    before = everything(pushed)

    assert "is shared with" in pushed.run("evict", code=1).err
    assert everything(pushed) == before


def test_another_worktree_at_work_is_waited_for(pushed: Project):
    pushed.git("worktree", "add", "-q", "../tree", "-b", "other")
    tree = Project(pushed.root.parent / "tree", pushed.environment)
    tree.run("checkout")
    with Repo.find(tree.root).lock("add"):
        assert "is in use by datavc add" in pushed.run("evict", "--wait=0", code=11).err
    pushed.run("evict")
    tree.run("status")


def test_an_interrupted_run_is_finished_by_the_next(pushed: Project, monkeypatch: pytest.MonkeyPatch):
    whole = len(everything(pushed))
    for calls in range(1, whole):
        with monkeypatch.context() as patch:
            left = iter([None] * calls)
            delete = FolderBackend.delete

            def failing(self: FolderBackend, name: str, delete: Any = delete, left: Any = left) -> None:
                if next(left, "over") == "over":
                    raise KeyboardInterrupt
                delete(self, name)

            patch.setattr(FolderBackend, "delete", failing)
            pushed.run("evict", code=None)
        assert "not in the cache" in pushed.run("status").out
        pushed.run("evict")
        assert everything(pushed) == [], calls
        pushed.run("pull")
        pushed.run("fsck")
        assert pushed.run("status").out == "data: clean\nother: clean\n"


def test_a_root_that_cannot_be_read_stops_it(pushed: Project):
    name = stored(pushed, "roots")[0]
    path = pushed.root / ".git/datavc/cache" / name
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    before = everything(pushed)

    assert "datavc fsck" in pushed.run("evict", code=1).err
    assert everything(pushed) == before


def test_a_part_of_a_dataset_is_refused(pushed: Project):
    assert "hint: datavc evict data" in pushed.run("evict", "data/sub", code=2).err


def test_only_what_is_not_pushed_is_kept_where_the_setting_says_so(pushed: Project):
    pushed.run("config", "--local", "cache.keep", "unpushed")
    pushed.write({"data/a": "changed"})
    pushed.run("add", "data")
    assert stored(pushed, "packs")
    assert "dropped from the cache" in pushed.run("push").err

    assert everything(pushed) == []
    pushed.write({"data/a": "changed again"})
    pushed.run("add", "data")
    pushed.run("push")
    clone = pushed.clone("clone")
    clone.write({"data.datavc": pushed.read("data.datavc")})
    clone.run("pull", "data")
    assert clone.tree("data") == pushed.tree("data")


def test_a_record_keeps_no_blob_that_it_does_not_need(linked: Project):
    linked.datavc("run", "true")
    linked.run("push")
    linked.run("evict", "--workspace")

    assert stored(linked, "blobs") == []
    assert len(stored(linked, "roots")) == 1
    linked.run("fsck")


def test_what_a_record_keeps_stays_where_a_whole_blob_is_all_that_has_it(linked: Project):
    said = linked.datavc("run", "cat", "data/big").out
    linked.run("push")
    clone = linked.clone("clone")
    clone.run("config", "--local", "cache.link", "symlink")
    clone.write({"data/big": said})
    clone.run("add", "data")
    record = json.loads(clone.run("runs", "--remote", "store", "--json").out)[0]["record"]
    clone.run("fetch", record)
    assert (
        sum(file.stat().st_size for file in (clone.root / ".git/datavc/cache/packs").rglob("xxh*")) < 100_000
    )
    clone.run("evict", "--workspace")
    clone.run("gc", "--yes", "--grace", "0")

    assert clone.run("show", record, "--part", "stdout").out == said
    clone.run("fsck")


def test_a_version_that_is_here_in_part_keeps_no_blob_of_another(linked: Project):
    linked.write({"other/one/x": "x", "other/two/y": "y"})
    linked.run("add", "other")
    linked.run("push")
    linked.commit("other")
    clone = linked.clone("clone")
    clone.run("config", "--local", "cache.link", "symlink")
    clone.write({"data/big": linked.read("data/big")})
    clone.run("add", "data")
    clone.run("pull", "other/one")
    assert stored(clone, "blobs")
    clone.run("evict", "--workspace", "data")

    assert stored(clone, "blobs") == []
    assert clone.read("other/one/x") == b"x"


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_one_that_was_killed_anywhere_is_finished_by_the_same_command(pushed: Project, step: int):
    for point in count(1, step):
        shutil.rmtree(pushed.root / "data", ignore_errors=True)
        pushed.run("pull")
        ended = run_killed(pushed, ["evict", "--workspace"], point)
        if ended != COMPLETED:
            pushed.run("evict", "--workspace")
        assert not (pushed.root / "data").exists() and not (pushed.root / "other").exists()
        assert (
            pushed.run("status").out == "data: missing, not in the cache\nother: missing, not in the cache\n"
        )
        assert stored(pushed, "packs") == []
        if ended == COMPLETED:
            break

"""``datavc fsck -r NAME --repair``: a remote gets again what it lost or has damaged, and loses nothing by it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from projects import Project
from remotes import Stopped, flip, indexes, overwrite, packs, push_two, roots, stop_at, watch_remotes
from spoiling import readable_in

from datavc.backends.folder import FolderBackend
from datavc.operations.repair_remote import repair_remote
from datavc.repo import Repo
from datavc.store import layout
from datavc.store.index import ObjectIndex


@pytest.fixture
def remote(project: Project, tmp_path: Path) -> Path:
    """Two versions of a dataset, one of a file, and a record, on a remote."""
    store = push_two(project, tmp_path / "remote")
    project.write({"data/small": os.urandom(120)})
    project.run("add", "data")
    project.commit("data again")
    copy = "import shutil; print('it works'); shutil.copy('other', 'made')"
    project.datavc("run", "-i", "other", "-o", "made", "--", sys.executable, "-c", copy)
    project.commit("made")
    project.run("push")
    return store


def is_whole(project: Project) -> bool:
    """Whether a clone gets all of it, old and new, with the record."""
    clone = project.clone(f"clone-{os.urandom(3).hex()}")
    clone.run("pull")
    clone.run("checkout", "HEAD~2", "--", "data")
    clone.run("whence", "made")
    return clone.run("fsck", "-r", "origin", "--full").code == 0


@pytest.mark.parametrize("kind", [packs, indexes, roots])
@pytest.mark.parametrize("damage", [flip, lambda path: overwrite(path, b"short"), Path.unlink])
def test_all_that_was_lost_or_damaged_is_sent_again(project: Project, remote: Path, kind, damage):
    for file in kind(remote):
        damage(file)
    if kind is roots and damage is Path.unlink:
        project.run("push", "--rev", "HEAD~2")
        project.run("push")
    else:
        said = project.run("fsck", "-r", "origin", "--full", "--repair")
        assert "whole again" in said.out
        if damage is not Path.unlink:
            assert list((remote / "quarantine").iterdir())
    assert is_whole(project)
    assert project.run("fsck", "-r", "origin", "--full", "--repair").out == ""


def test_what_this_clone_does_not_have_is_named(project: Project, remote: Path):
    clone = project.clone("clone")
    clone.run("config", "--local", "remote.origin.allow", str(remote))
    flip(packs(remote)[0])
    said = clone.run("fsck", "-r", "origin", "--full", "--repair", code=12)
    assert "not whole" in said.out
    assert "data/sub/big" in said.out
    project.run("fsck", "-r", "origin", "--full", "--repair")
    assert is_whole(project)


@pytest.mark.parametrize("words", [["--full"], []], ids=["full", "by listing"])
def test_pack_indexes_are_made_again_by_a_clone_that_has_nothing(
    project: Project, remote: Path, words: list[str]
):
    clone = project.clone("clone")
    clone.run("config", "--local", "remote.origin.allow", str(remote))
    for number, index in enumerate(indexes(remote)):
        if number % 2:
            index.unlink()
        else:
            flip(index, 0)
    said = clone.run("fsck", "-r", "origin", *words, "--repair")
    assert "made again from its packs" in said.err
    assert said.out.count("whole again") == 4 and "not whole" not in said.out
    shutil.rmtree(project.root / ".git/datavc/cache")
    assert is_whole(project)


def test_what_no_root_leads_to_stays_readable(project: Project, remote: Path):
    # A root is lost, and what it led to shares an index with a pack that is damaged.
    overwrite(packs(remote)[-1], b"")
    for root in roots(remote):
        root.unlink()
    before = readable_in(remote)
    assert before
    project.run("fsck", "-r", "origin", "--full", "--repair", code=None)
    assert readable_in(remote) >= before


def test_what_a_damaged_pack_index_alone_tells_of_stays_readable(project: Project, remote: Path):
    # Two are swapped, and packs of one are cut off, which do not tell any more what they hold.
    one, other, *_ = indexes(remote)
    mine = ObjectIndex(FolderBackend(remote), "xxh128", [one.name]).packs()
    swapped = one.read_bytes(), other.read_bytes()
    overwrite(other, swapped[0])
    overwrite(one, swapped[1])
    for pack in packs(remote):
        if layout.sealed_raw(pack.name) in mine:
            overwrite(pack, pack.read_bytes()[:-10])
    before = readable_in(remote)
    clone = project.clone("clone")
    clone.run("config", "--local", "remote.origin.allow", str(remote))
    clone.run("fsck", "-r", "origin", "--full", "--repair", code=12)
    assert before and before <= readable_in(remote)


def test_packs_without_a_sound_header_or_pack_index_are_read_by_what_they_say_of_themselves(
    project: Project, remote: Path
):
    before = readable_in(remote)
    for file in indexes(remote) + packs(remote):
        flip(file, 0)
    clone = project.clone("clone")
    clone.run("config", "--local", "remote.origin.allow", str(remote))
    clone.run("fsck", "-r", "origin", "--full", "--repair", code=12)
    assert readable_in(remote) == before
    project.run("fsck", "-r", "origin", "--full", "--repair")
    assert is_whole(project)


def test_packs_that_are_damaged_beside_their_pack_indexes_are_sent_again_at_once(
    project: Project, remote: Path
):
    for file in indexes(remote) + packs(remote):
        flip(file, 0)
    assert "not whole" not in project.run("fsck", "-r", "origin", "--full", "--repair").out
    assert is_whole(project)


def test_a_repair_without_full_reads_no_pack_and_mends_what_is_lost(project: Project, remote: Path):
    packs(remote)[0].unlink()
    project.run("fsck", "-r", "origin", "--repair")
    assert is_whole(project)


@pytest.mark.parametrize("after", [False, True])
def test_cut_off_at_any_request_it_is_finished_by_the_same_command(
    project: Project, remote: Path, monkeypatch: pytest.MonkeyPatch, after: bool
):
    start = remote.parent / "start"
    shutil.copytree(remote, start)
    for point in range(1, 400, 5):
        shutil.rmtree(remote)
        shutil.copytree(start, remote)
        flip(packs(remote)[0])
        packs(remote)[-1].unlink()
        overwrite(roots(remote)[0], b"x")
        before = readable_in(remote)
        with monkeypatch.context() as patch:
            watch_remotes(patch, stop_at(point, after=after))
            try:
                repair_remote(Repo.find(project.root), "origin", full=True)
                break
            except Stopped:
                pass
        assert before <= readable_in(remote)
        project.run("fsck", "-r", "origin", "--full", "--repair")
        assert before <= readable_in(remote)
    assert point > 20
    assert is_whole(project)

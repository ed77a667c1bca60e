"""``datavc fsck --repair``: where lost objects come from, what is made again, and that nothing becomes less readable."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
import spoiling
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from projects import Project, environment_of
from remotes import add_folder, flip, overwrite

from datavc.formats.digest import Digest
from datavc.operations.repair import repair
from datavc.repo import Repo
from datavc.store import layout
from datavc.store.check import check_blob


def cache(project: Project) -> Path:
    return project.root / ".git/datavc/cache"


def stored(project: Project, kind: str = "packs") -> list[Path]:
    return sorted(path for path in (cache(project) / kind).rglob("*-*") if path.is_file())


@pytest.fixture
def history(project: Project) -> Project:
    """Two versions; the first has what is in the workspace no more."""
    project.write({f"data/{n}": os.urandom(500) for n in range(9)} | {"data/sub/large": os.urandom(3 << 20)})
    project.run("add", "data")
    project.commit("one")
    project.write({"data/0": os.urandom(700), "data/new": "new"})
    project.run("add", "data")
    project.commit("two")
    return project


def test_another_clones_cache_is_enough(history: Project):
    clone = history.clone("clone")
    shutil.copytree(cache(history), cache(clone))
    shutil.rmtree(history.root / "data")
    for pack in stored(history):
        flip(pack)
    said = history.run("fsck", "--repair", "--from", "../clone")
    assert "taken from" in said.err
    history.run("fsck")
    history.run("checkout", "HEAD~1")
    history.run("checkout", "HEAD")
    history.run("gc", "--dry-run")


def test_a_cache_is_named_by_its_own_folder_too_and_what_is_damaged_there_is_not_taken(history: Project):
    copy = history.root.parent / "copy"
    shutil.copytree(cache(history), copy)
    shutil.rmtree(history.root / "data")
    large = max(stored(history), key=lambda path: path.stat().st_size)
    flip(copy / large.relative_to(cache(history)))
    for pack in stored(history):
        overwrite(pack, pack.read_bytes()[:100])
    said = history.run("fsck", "--repair", "--from", str(copy), code=12)
    assert "sub/large" in said.out
    assert "data/3" not in said.out
    history.run("fsck", "--repair", "--from", "nowhere", code=1)
    history.run("fsck", "--from", str(copy), code=2)


def test_clones_that_share_the_cache_are_asked_for_the_one_that_they_had_before(history: Project):
    clone = history.clone("clone")
    shutil.copytree(cache(history), cache(clone))
    clone.run("config", "--local", "cache.dir", str(cache(history)))
    clone.run("status")
    shutil.rmtree(history.root / "data")
    for pack in stored(history):
        pack.unlink()
    history.run("fsck", "--repair")
    history.run("fsck")


def test_files_of_an_edited_dataset_that_are_still_what_they_were_are_taken(history: Project):
    history.write({"data/1": "edited"})
    pointer = history.read("data.datavc")
    large = max(stored(history), key=lambda path: path.stat().st_size)
    flip(large)
    said = history.run("fsck", "--repair")
    assert "taken from the workspace" in said.err
    assert history.read("data/1") == b"edited"
    assert history.read("data.datavc") == pointer
    history.run("fsck")


def test_records_come_back_from_a_remote_with_their_logs(project: Project, tmp_path: Path):
    add_folder(project, tmp_path / "remote")
    project.write({"raw": os.urandom(400)})
    project.run("add", "raw")
    project.commit("raw")
    copy = "import shutil, sys; print('it works' * 40); shutil.copy('raw', 'done')"
    project.datavc("run", "-i", "raw", "-o", "done", "--", sys.executable, "-c", copy)
    project.commit("done")
    project.run("push")
    for pack in stored(project):
        flip(pack)
    project.run("fsck", "--repair")
    assert "nothing is wrong" in project.run("fsck").err
    assert len(project.run("runs").out.splitlines()) >= 1
    for pack in stored(project):
        pack.unlink()
    for root in stored(project, "roots"):
        overwrite(root, b"x")
    project.run("fsck", "--repair")
    project.run("fsck")
    project.run("whence", "done")


@pytest.mark.parametrize("name", ["stat.db", "lineage.db", "checked.db"])
def test_damaged_databases_are_put_aside_and_made_again(history: Project, name: str):
    history.run("runs", code=None)
    history.run("fsck")
    file = history.root / ".git/datavc" / name
    if not file.exists():
        file.write_bytes(b"")
    file.write_bytes(b"SQLite format 3\0" + os.urandom(5000))
    said = history.run("fsck", "--repair")
    assert f"{name} is damaged" in said.err
    assert list((file.parent / "quarantine").glob(f"{name}-*"))
    history.run("status")
    history.run("runs", code=None)
    history.run("fsck")


def test_without_a_remote_roots_name_again_what_was_stored_anew(history: Project):
    large = max(stored(history), key=lambda path: path.stat().st_size)
    shutil.rmtree(history.root / "data")
    flip(large, 40)  # one chunk of the only file that nobody has elsewhere
    history.run("fsck", "--repair", code=12)
    history.run("checkout", "data/new", "data/3")
    assert history.read("data/new") == b"new"


# What is readable


def readable(root: Path) -> set[bytes]:
    """All objects that can be had from the cache, out of packs or as whole blobs."""
    store = Repo.find(root).cache
    found = spoiling.readable_in(store.folder)
    blobs = (file.name for file in store.backend.list(layout.BLOBS))
    sound = (name for name in blobs if check_blob(store.backend, name, store.backend.head(name).size) is None)
    return found | {Digest.parse_file_name(name.rpartition("/")[2]).raw for name in sound}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Three versions in packs and whole blobs, and no workspace to take anything from."""
    folder = tmp_path_factory.mktemp("template")
    root, home = folder / "project", folder / "home"
    root.mkdir()
    home.mkdir()
    project = Project(root, environment_of(home))
    project.git("init", "--quiet")
    project.run("init")
    project.run("config", "--local", "cache.link", "hardlink")
    project.run("config", "--local", "cache.share_above", "1500000")
    for version in range(3):
        # Anew, since writing into a link would change the blob that it is a link to.
        shutil.rmtree(root / "data", ignore_errors=True)
        project.write(
            {
                "data/large": os.urandom(1_200_000),
                "data/blob": os.urandom(1_600_000),
                f"data/sub/{version}": os.urandom(300),
                "data/text": f"text of {version} " * 100,
            }
        )
        project.run("add", "data")
        project.commit(f"version {version}")
    shutil.rmtree(root / "data")
    return project


def test_where_every_object_is_sound_all_of_them_stay_readable(template: Project, tmp_path: Path):
    # A header, a footer or an index is damaged: what is made anew is what was there once, under the very same name.
    digests = readable(template.root)
    spots = [(path, -1) for path in stored(template)] + [(path, 0) for path in stored(template)]
    spots += [(path, 20) for path in stored(template, "indexes")]
    for path, position in spots:
        root = tmp_path / "copy"
        shutil.copytree(template.root, root, symlinks=True)
        shutil.rmtree(root / ".git/datavc/cache/clones")
        damaged = root / path.relative_to(template.root)
        flip(damaged, position % damaged.stat().st_size)
        repaired = repair(Repo.find(root))
        assert [problem.message for problem in repaired.before.problems] and not repaired.after.problems
        assert readable(root) >= digests
        shutil.rmtree(root)


@pytest.mark.parametrize("is_swapped", [False, True], ids=["head", "swapped"])
def test_what_no_sound_pack_index_tells_of_stays_readable(
    template: Project, tmp_path: Path, is_swapped: bool
):
    # Packs whose headers are damaged tell what they hold, and those that are cut off what damaged indexes tell of them.
    root = tmp_path / "copy"
    shutil.copytree(template.root, root, symlinks=True)
    shutil.rmtree(root / ".git/datavc/cache/clones")
    digests = readable(root)
    copy = Project(root, template.environment)
    indexes = stored(copy, "indexes")
    contents = [index.read_bytes() for index in indexes]
    for index, content in zip(indexes, [*contents[1:], contents[0]], strict=True):
        if is_swapped:
            overwrite(index, content)
        else:
            flip(index, 0)
    for pack in stored(copy):
        if is_swapped:
            overwrite(pack, pack.read_bytes()[:-1])
        else:
            flip(pack, 0)
    repair(Repo.find(root))
    assert readable(root) >= digests


@pytest.mark.parametrize("examples", [12, pytest.param(150, marks=pytest.mark.slow)], ids=["some", "many"])
def test_whatever_was_damaged_a_repair_makes_nothing_unreadable(
    template: Project, tmp_path: Path, examples: int
):
    files = (
        stored(template) + stored(template, "indexes") + stored(template, "roots") + stored(template, "blobs")
    )
    kinds = ("packs", "indexes", "blobs")
    names = sorted(str(path.relative_to(template.root)) for path in files)

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(spoiling.spoilt(names), min_size=1, max_size=6), st.booleans())
    def law(happened: list[spoiling.Spoilt], alone: bool) -> None:
        root = tmp_path / "copy"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(template.root, root, symlinks=True)
        if alone:
            # Else the cache that this one was copied from is noted in it, and has everything.
            shutil.rmtree(root / ".git/datavc/cache/clones")
        spoiling.spoil(root, happened, names)
        before, stored = readable(root), spoiling.contents_of(root / ".git/datavc/cache", *kinds)
        repair(Repo.find(root))
        assert before <= readable(root)
        # Nothing is deleted: whatever was stored is stored still, here or in quarantine.
        assert stored <= spoiling.contents_of(root / ".git/datavc/cache", *kinds)

    law()

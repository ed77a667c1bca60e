"""Laws of ``datavc fsck -r NAME --repair``: whatever is damaged on a remote, and whoever repairs it, nothing gets worse."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from projects import Project, environment_of
from remotes import flip, indexes, packs, roots
from spoiling import Spoilt, contents_of, readable, readable_in, spoil, spoilt
from sweeps import Kept

from datavc.backends.folder import FolderBackend
from datavc.errors import DatavcError
from datavc.formats.pack import LIST
from datavc.formats.root import Root, decode_root
from datavc.formats.tree import FOLDER
from datavc.operations.fsck_remote import fsck_remote
from datavc.operations.repair_remote import repair_remote
from datavc.operations.steps.runs.recordstore import RECORD
from datavc.operations.steps.transfers.recordtransfer import record_objects
from datavc.operations.steps.trees.trees import TreeSource, entries
from datavc.repo import Repo
from datavc.store import layout
from datavc.store.cache import Cache
from datavc.store.index import ObjectIndex

# Who repairs: a clone that has all, one that has the first version alone, one that has nothing.
CLONES = ("whole", "first", "nothing")


@dataclass
class World:
    """A remote with three versions and a record, and those of a stranger's repo; the clones that may repair it."""

    top: Path
    kept: Kept
    closures: dict[str, set[bytes]]
    """Of each root, by its stored name, the objects that it is about."""

    @property
    def remote(self) -> Path:
        return self.top / "remote"

    @property
    def files(self) -> list[str]:
        """Packs, pack indexes and roots, by their path below the top."""
        found = packs(self.remote) + indexes(self.remote) + roots(self.remote)
        return sorted(str(path.relative_to(self.top)) for path in found)

    def repo(self, clone: str) -> Repo:
        return Repo.find(self.top / clone)

    def backend(self) -> FolderBackend:
        return FolderBackend(self.remote)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    top = tmp_path_factory.mktemp("world")
    (top / "home").mkdir()
    project, stranger = (Project(top / name, environment_of(top / "home")) for name in ("whole", "stranger"))
    large = os.urandom(1_200_000)
    for one in (project, stranger):
        one.root.mkdir()
        one.git("init", "--quiet")
        one.run("init")
        one.run("remote", "add", "origin", "../remote", "--no-probe")
        one.write({"data/large": large, "data/sub/0": os.urandom(300), "data/text": "text of it " * 100})
        one.run("add", "data")
        one.commit("first")
        one.run("push")
    first = project.clone("first")
    first.run("config", "--local", "remote.origin.allow", str(top / "remote"))
    first.run("pull")
    for version in (1, 2):
        project.write({f"data/sub/{version}": os.urandom(300), "data/large": large[: 300_000 * version]})
        project.run("add", "data")
        project.commit(f"version {version}")
        project.run("push")
    project.run("run", "-i", "data", "-o", "made", "--", "cp", "data/text", "made")
    project.commit("made")
    project.run("push")
    nothing = project.clone("nothing")
    nothing.run("config", "--local", "remote.origin.allow", str(top / "remote"))
    first.git("pull", "--quiet")
    folders = [top / name for name in (*CLONES, "remote")]
    found = World(top, Kept.of(top / "start", *folders), {})
    found.kept.fresh()
    algorithm, backend = found.repo("whole").algorithm, found.backend()
    for name, root in _roots(backend).items():
        found.closures[name] = _closure(Cache(found.remote, root.repo, algorithm), root)
        assert readable(backend, algorithm, root.indexes) >= found.closures[name]
    assert len({root.repo for root in _roots(backend).values()}) == 2 and len(found.closures) > 5
    yield found
    shutil.rmtree(top)


def _roots(backend: FolderBackend) -> dict[str, Root]:
    """Those that count: whole, and under their own name."""
    found = {}
    for file in backend.list(layout.ROOTS):
        try:
            root = decode_root(backend.read(file.name))
        except DatavcError:
            continue
        if layout.root_path(root.repo, root.digest) == file.name:
            found[file.name] = root
    return found


def _closure(store: Cache, root: Root) -> set[bytes]:
    if root.kind == RECORD:
        found = set(record_objects(store, root.digest, -1))
    else:
        source = TreeSource(store, None, root.digest, root.kind)
        found, pending = {root.digest.raw}, [root.digest.raw] if source.kind == FOLDER else []
        while pending:
            for entry in entries(source.tree(pending.pop())):
                found.add(entry.digest)
                pending += [entry.digest] if entry.kind == FOLDER else []
    reader = store.reader()
    for digest, location in (
        ObjectIndex(store.backend, store.algorithm, root.indexes).find_many(found).items()
    ):
        if location[4] & LIST:
            found.update(reader.chunk_list(digest, location).digests)
    return found


def _versions(world: World, algorithm: str) -> dict[str, set[bytes]]:
    """What of its own can be read through each root; one that names a pack index that is lost or damaged is none."""
    backend, found = world.backend(), {}
    names = {file.name.removeprefix(layout.INDEXES) for file in backend.list(layout.INDEXES)}
    for name, root in _roots(backend).items():
        if names.issuperset(root.indexes):
            found[name] = world.closures[name] & readable(backend, algorithm, root.indexes)
    return found


def _assert_no_worse(world: World, clone: str, *, full: bool) -> None:
    algorithm, backend = world.repo(clone).algorithm, world.backend()
    before = readable_in(world.remote)
    versions = _versions(world, algorithm)
    stored = contents_of(world.remote, "packs", "indexes")
    lost = contents_of(world.remote, "roots") - {backend.read(name) for name in _roots(backend)}
    try:
        repaired = repair_remote(world.repo(clone), "origin", full=full)
    except DatavcError:
        repaired = None
    backend = world.backend()
    assert before <= readable_in(world.remote)
    after = _versions(world, algorithm)
    for name, objects in versions.items():
        assert objects <= after.get(name, set()), name
    # Nothing is deleted: whatever was stored is stored still, there or in quarantine.
    assert stored <= contents_of(world.remote, "packs", "indexes")
    assert lost <= contents_of(world.remote, "roots")
    # Where nothing is found wrong, everything is there.
    if repaired is not None and full and not repaired.after.problems:
        ours = f"{layout.ROOTS}{world.repo(clone).config.repo_id}/"
        for file in backend.list(ours):
            assert after.get(file.name) == world.closures[file.name], file.name


@pytest.mark.parametrize("examples", [12, pytest.param(400, marks=pytest.mark.slow)], ids=["some", "many"])
def test_whatever_was_damaged_a_repair_makes_nothing_unreadable(world: World, examples: int):
    world.kept.fresh()
    names = world.files

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(spoilt(names), min_size=1, max_size=6), st.sampled_from(CLONES), st.booleans())
    def law(happened: list[Spoilt], clone: str, full: bool) -> None:
        world.kept.fresh()
        spoil(world.top, happened, names)
        _assert_no_worse(world, clone, full=full)

    law()


@pytest.mark.parametrize("clone", CLONES)
@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])
def test_where_every_object_is_sound_all_of_them_are_readable_afterwards(
    world: World, stride: int, clone: str
):
    # A header, a footer, or the head or the rows of a pack index are damaged: what there is says it all.
    world.kept.fresh()
    algorithm = world.repo(clone).algorithm
    spots = [(name, position) for name in world.files if "/packs/" in name for position in (0, -1)]
    spots += [(name, position) for name in world.files if "/indexes/" in name for position in (0, 20, -1)]
    for name, position in spots[CLONES.index(clone) :: stride]:
        world.kept.fresh()
        flip(world.top / name, position)
        repair_remote(world.repo(clone), "origin", full=True)
        found = readable_in(world.remote)
        assert found >= set().union(*world.closures.values()), (name, position)
        assert _versions(world, algorithm) == world.closures, (name, position)
        if clone == "whole":
            # What another repo alone leads to, and what this one has no bytes of, is left as it is.
            after = fsck_remote(world.repo(clone), "origin", full=True)
            assert {problem.object for problem in after.problems}.isdisjoint(_led_to(world)), (name, position)


def _led_to(world: World) -> set[str]:
    """The stored files that the roots of the repo under repair lead to."""
    found = set()
    for root in _roots(world.backend()).values():
        if root.repo == world.repo("whole").config.repo_id:
            index = ObjectIndex(world.backend(), root.digest.algorithm, root.indexes)
            found.update(map(layout.index_path, root.indexes), map(layout.pack_path, index.packs()))
    return found

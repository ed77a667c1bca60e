"""The cache: a root of it proves that everything is there, and it serves what it has whatever became of its roots."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from stored import REPO_ID, XXH, contents, overwrite, pack_file, write_index, write_packs, write_root

from datavc.errors import NotFoundError, ObjectNotFound, StorageError, UnsupportedFormat
from datavc.formats.digest import Digest
from datavc.store import layout
from datavc.store.cache import Cache
from datavc.store.cachefolder import CacheFolder

DIGEST = Digest("xxh128", bytes(range(16)))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", REPO_ID, "xxh128", create=True)


@pytest.fixture
def filled(cache: Cache, scratch: Path):
    """A root whose index names two packs, and those packs."""
    packs = write_packs(cache.backend, scratch, contents(20), limit=300)
    name = write_index(cache.backend, packs)
    return cache.publish_root(lambda names: _root(cache, names), [name]), packs


def _root(cache: Cache, names):
    return write_root(cache.backend, DIGEST, names)


def test_a_cache_is_made_only_when_asked(tmp_path: Path):
    with pytest.raises(NotFoundError):
        Cache(tmp_path / "none", REPO_ID, "xxh128")
    assert list(tmp_path.iterdir()) == []


def test_a_cache_of_another_format_is_refused(cache: Cache):
    overwrite(cache.backend, layout.STORE_NOTE, b'{"format": 7}')

    with pytest.raises(UnsupportedFormat):
        Cache(cache.folder, REPO_ID, "xxh128", create=True)


def test_a_root_proves_that_everything_is_there(cache: Cache, filled):
    root, packs = filled

    assert cache.root(DIGEST) == root
    assert cache.root(Digest("xxh128", bytes(16))) is None
    assert cache.index(DIGEST).names == root.indexes
    cache.backend.delete(pack_file(packs[1]))
    assert cache.root(DIGEST) is None


@pytest.mark.parametrize("harm", ["index lost", "index damaged", "pack cut off", "root damaged"])
def test_a_root_counts_as_absent_once_something_that_it_names_is_lost(cache: Cache, filled, harm: str):
    root, packs = filled
    path = {"index": layout.index_path(root.indexes[0]), "pack": pack_file(packs[0])}.get(
        harm.split()[0], layout.root_path(REPO_ID, DIGEST)
    )
    data = cache.backend.read(path)
    cache.backend.delete(path)
    cache.backend.close()
    if not harm.endswith("lost"):
        cache.backend.write(path, data[:-1])

    assert cache.root(DIGEST) is None


def test_an_incomplete_root_proves_nothing_and_is_listed(cache: Cache, filled):
    root, _ = filled
    part = write_root(cache.backend, DIGEST, root.indexes, complete=False)

    assert cache.root(DIGEST) is None
    assert list(cache.roots()) == [(layout.root_path(REPO_ID, DIGEST), part)]


def test_objects_are_read_whatever_became_of_their_root(cache: Cache, filled):
    for digest in (DIGEST, None, Digest("xxh128", b"\7" * 16)):
        reader = cache.reader(digest)
        assert [reader.read(XXH(raw), limit=100) for raw in contents(20)] == contents(20)
    cache.backend.delete(layout.root_path(REPO_ID, DIGEST))
    assert cache.reader(DIGEST).read(XXH(contents(1)[0]), limit=100) == contents(1)[0]


def test_what_a_root_does_not_reach_is_found_in_the_other_indexes(cache: Cache, filled, scratch: Path):
    write_index(cache.backend, write_packs(cache.backend, scratch, [b"elsewhere"]))
    reader = cache.reader(DIGEST)

    assert reader.read(XXH(b"elsewhere"), limit=9) == b"elsewhere"
    with pytest.raises(ObjectNotFound):
        reader.read(XXH(b"nowhere"), limit=9)


def test_the_largest_indexes_come_first_and_for_deduplication_the_newest_too(
    cache: Cache, scratch: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("datavc.store.cache._LARGEST_INDEXES", 2)
    monkeypatch.setattr("datavc.store.cache._NEWEST_INDEXES", 1)
    names = []
    for number, count in enumerate((300, 200, 100, 1)):
        packs = write_packs(cache.backend, scratch, contents(count, first=1000 * number))
        names.append(write_index(cache.backend, packs))
        os.utime(cache.folder / layout.index_path(names[-1]), (number, number))

    assert cache.index_names() == names
    assert cache.index_names(2) == names[:2]
    assert cache.dedup_names() == [names[0], names[1], names[3]]
    assert cache.dedup_names((names[2], names[0])) == [names[2], names[0], names[1], names[3]]


def test_a_whole_blob_is_known_by_its_length_alone(cache: Cache):
    path = layout.blob_path("xxh128", XXH(b"blob"))
    assert not cache.has_blob(XXH(b"blob"), 4)
    cache.backend.write(path, b"blob")

    assert cache.has_blob(XXH(b"blob"), 4)
    assert cache.has_blob(XXH(b"blob"), None)
    assert not cache.has_blob(XXH(b"blob"), 5)
    assert not cache.has_blob(XXH(b"another"), None)
    assert cache.blob_file(XXH(b"blob")).read_bytes() == b"blob"


def test_a_clone_is_noted_once_and_clones_are_told_apart(cache: Cache):
    for _ in range(2):
        cache.register_clone(Path("/one/clone"))
        cache.register_clone(Path("/another/clone"))

    notes = [json.loads(cache.backend.read(file.name)) for file in cache.backend.list(layout.CLONES)]
    assert sorted(note["path"] for note in notes) == ["/another/clone", "/one/clone"]
    assert {note["repo"] for note in notes} == {REPO_ID}


def test_a_cache_that_may_only_be_read_needs_no_note(cache: Cache, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise StorageError("read-only file system")

    monkeypatch.setattr(cache.backend, "write", refuse)
    cache.register_clone(Path("/one/clone"))

    assert list(cache.backend.list(layout.CLONES)) == []


def test_scratch_is_on_the_file_system_of_the_cache_and_gone_afterwards(cache: Cache):
    with cache.scratch() as folder:
        assert os.stat(folder).st_dev == os.stat(cache.folder).st_dev
        (folder / "file").write_bytes(b"x")

    assert not folder.exists()


@pytest.mark.parametrize("kind", ["packs", "indexes", "blobs"])
def test_what_stands_damaged_under_its_name_is_no_copy_of_what_is_written(tmp_path: Path, kind: str):
    folder = CacheFolder(tmp_path / "cache", create=True)
    content = b"a stored file that is named by its content" * 1000
    digest = XXH(content)
    name = {
        "packs": layout.pack_path(digest),
        "indexes": layout.index_path(layout.sealed_name(digest)),
        "blobs": layout.blob_path("xxh128", digest),
    }[kind]
    assert folder.write(name, bytes(len(content)))

    assert folder.write(name, content)
    assert folder.read(name) == content
    assert [folder.read(file.name) for file in folder.list("quarantine/")] == [bytes(len(content))]

    assert not folder.write(name, content)
    assert len(list(folder.list("quarantine/"))) == 1

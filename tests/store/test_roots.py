"""Roots: written last, believed only when they are whole and about the right thing, and naming few indexes."""

from __future__ import annotations

from pathlib import Path

import pytest
from damage import damaged
from hypothesis import given
from hypothesis import strategies as st
from stored import REPO_ID, XXH, contents, open_reader, overwrite, write_index, write_packs, write_root

from datavc.backends.base import Backend
from datavc.backends.memory import MemoryBackend
from datavc.backends.wrapping import WrappingBackend
from datavc.errors import StorageError, StoredFileNotFound, UsageError
from datavc.formats.digest import Digest
from datavc.formats.root import decode_root, encode_root
from datavc.store import layout
from datavc.store.roots import MAX_INDEXES, begin_writing, list_roots, new_root, publish_root, read_root

DIGEST = Digest("xxh128", bytes(range(16)))
OTHER = Digest("xxh128", bytes(16))
NAMES = [f"xxh128-{number:032x}" for number in range(40)]


def test_a_root_that_was_published_is_read_and_listed(backend: Backend):
    root = write_root(backend, DIGEST, NAMES[:2])

    assert read_root(backend, REPO_ID, DIGEST) == root
    assert list(list_roots(backend)) == list(list_roots(backend, REPO_ID))
    assert list(list_roots(backend)) == [(layout.root_path(REPO_ID, DIGEST), root)]
    assert root.indexes == tuple(NAMES[:2])


def test_a_second_root_of_the_same_digest_takes_the_place_of_the_first(backend: Backend):
    first = write_root(backend, DIGEST, NAMES[:1])
    second = write_root(backend, DIGEST, NAMES[1:2])

    assert first.nonce != second.nonce
    assert read_root(backend, REPO_ID, DIGEST) == second


def test_there_is_no_root_where_there_is_no_file(backend: Backend):
    assert read_root(backend, REPO_ID, DIGEST) is None
    assert list(list_roots(backend)) == []


def test_a_root_in_the_place_of_another_counts_as_absent(backend: Backend):
    path = layout.root_path(REPO_ID, OTHER)
    root = write_root(backend, DIGEST, NAMES[:2])
    backend.replace(path, encode_root(root))

    assert read_root(backend, REPO_ID, OTHER) is None
    assert dict(list_roots(backend)) == {path: None, layout.root_path(REPO_ID, DIGEST): root}


@given(st.data())
def test_a_damaged_root_counts_as_absent(data: st.DataObject):
    backend = MemoryBackend()
    path = layout.root_path(REPO_ID, DIGEST)
    root = write_root(backend, DIGEST, NAMES[:2])
    sound = backend.read(path)
    bad = data.draw(damaged(sound))
    backend.replace(path, bad)

    expected = root if bad == sound else None
    assert read_root(backend, REPO_ID, DIGEST) == expected
    assert list(list_roots(backend)) == [(path, expected)]


@pytest.mark.parametrize(
    "path",
    [layout.root_path(REPO_ID, OTHER), layout.root_path("f" * 32, DIGEST)],
    ids=["of another digest", "of another repo"],
)
def test_a_root_that_lies_where_another_should_counts_as_absent(backend: Backend, path: str):
    write_root(backend, DIGEST, NAMES[:1])
    backend.replace(path, backend.read(layout.root_path(REPO_ID, DIGEST)))

    repo_id, _, name = path.removeprefix("roots/").partition("/")
    assert read_root(backend, repo_id, Digest.parse_file_name(name)) is None


def test_a_place_that_fails_is_an_error_and_no_missing_root():
    class Failing(MemoryBackend):
        def read(self, name, start=0, length=None):
            raise StorageError("the test's disk is broken")

    backend = Failing()
    backend.write(layout.root_path(REPO_ID, DIGEST), b"x")

    with pytest.raises(StorageError):
        read_root(backend, REPO_ID, DIGEST)
    with pytest.raises(StorageError):
        list(list_roots(backend))


def test_a_root_that_goes_while_roots_are_listed_is_left_out():
    class Losing(MemoryBackend):
        def read(self, name, start=0, length=None):
            raise StoredFileNotFound(name)

    backend = Losing()
    backend.write(layout.root_path(REPO_ID, DIGEST), b"x")

    assert list(list_roots(backend)) == []


class Recording(WrappingBackend):
    """Notes what is written, in order."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.written: list[str] = []

    def write(self, name, data):
        self.written.append(name)
        return super().write(name, data)

    def replace(self, name, data):
        self.written.append(name)
        super().replace(name, data)


def _many_indexes(backend: Backend, scratch: Path, count: int) -> list[str]:
    """Pack indexes of one to so many objects each, all different."""
    names, first = [], 0
    for number in range(count):
        packs = write_packs(backend, scratch, contents(number + 1, first=first))
        names.append(write_index(backend, packs))
        first += number + 1
    return names


@pytest.mark.parametrize("count", [1, MAX_INDEXES, MAX_INDEXES + 1, 3 * MAX_INDEXES])
def test_the_17th_index_is_merged_with_the_smallest_and_everything_is_still_found(
    backend: Backend, scratch: Path, count: int
):
    recording = Recording(backend)
    names = _many_indexes(recording, scratch, count)
    recording.written.clear()

    root = write_root(recording, DIGEST, names)

    assert len(root.indexes) <= MAX_INDEXES
    reader = open_reader(backend, *root.indexes)
    for raw in contents(count * (count + 1) // 2):
        assert reader.read(XXH(raw), limit=100) == raw
    if count <= MAX_INDEXES:
        assert root.indexes == tuple(names)
        assert recording.written == [layout.root_path(REPO_ID, DIGEST)]
    else:
        # The largest stay, the merged one is there before the root that names it.
        assert set(names[-MAX_INDEXES // 2 :]) <= set(root.indexes)
        (merged,) = set(root.indexes) - set(names)
        assert recording.written == [layout.index_path(merged), layout.root_path(REPO_ID, DIGEST)]
        assert {layout.index_path(name) for name in names} <= {file.name for file in backend.list("indexes/")}


def test_no_root_is_written_while_an_index_to_be_merged_is_missing(backend: Backend, scratch: Path):
    names = _many_indexes(backend, scratch, MAX_INDEXES + 1)
    backend.delete(layout.index_path(names[0]))
    backend.close()

    with pytest.raises(StoredFileNotFound):
        write_root(backend, DIGEST, names)

    assert read_root(backend, REPO_ID, DIGEST) is None


def test_no_root_is_written_while_an_index_to_be_merged_is_damaged(backend: Backend, scratch: Path):
    names = _many_indexes(backend, scratch, MAX_INDEXES + 1)
    overwrite(backend, layout.index_path(names[0]), b"no index")

    with pytest.raises(Exception, match="pack index"):
        write_root(backend, DIGEST, names)

    assert read_root(backend, REPO_ID, DIGEST) is None


def test_what_a_root_says_of_its_writing():
    make = new_root(REPO_ID, DIGEST, kind="file", size=3, files=1, path=b"a\xff", commit="c" * 40, saved=True)
    one, other = make((NAMES[0],)), make((NAMES[0],))

    assert (one.digest, one.repo, one.path, one.commit, one.saved) == (
        DIGEST,
        REPO_ID,
        b"a\xff",
        "c" * 40,
        True,
    )
    assert one.nonce != other.nonce
    assert "@" in one.who and one.client.startswith("datavc ")
    assert decode_root(encode_root(one)) == one


def test_a_root_without_indexes_is_refused_and_nothing_is_written(backend: Backend):
    with pytest.raises(UsageError):
        write_root(backend, DIGEST, [])
    assert list(list_roots(backend)) == []
    with pytest.raises(UsageError):
        publish_root(
            backend,
            "xxh128",
            new_root(REPO_ID, DIGEST, kind="file", size=-1, files=1, path=b"a", commit=None),
            NAMES[:1],
            begin_writing(backend, "xxh128"),
        )
    assert list(list_roots(backend)) == []

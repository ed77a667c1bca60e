"""Objects longer than a pack entry: cut into chunks, listed, their lists listed in turn, and put together again."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stored import XXH, open_reader, write_index

from datavc.backends.base import Backend
from datavc.backends.memory import MemoryBackend
from datavc.formats.pack import DATA, LIST, META, WHOLE
from datavc.store import packstream
from datavc.store.blobwriter import BlobWriter, pack_chunks
from datavc.store.chunking import BLOB_CUTS, CutSizes, cut_points
from datavc.store.packstream import CHUNK_TREES_FROM, PackStream
from datavc.store.packwriter import SealedPack

SMALL = CutSizes(64, 256, 1024)


class Writing:
    """A blob writer over a store; ``packs`` are those that were published, in their order."""

    def __init__(self, backend: Backend, scratch: Path, known: set[bytes] = frozenset()) -> None:
        self.backend = backend
        self.packs: list[SealedPack] = []
        streams = (
            PackStream(backend, scratch, "xxh128", content, published=self.packs.append)
            for content in (DATA, META)
        )
        self.data, self.meta = streams
        self.known = known.__contains__
        self.writer = BlobWriter("xxh128", self.data, self.meta, self.known)

    def store(self, content: bytes, sizes: CutSizes = BLOB_CUTS) -> tuple[bytes, int, int]:
        start, view = 0, memoryview(content)
        for end in cut_points(content, sizes):
            self.writer.add(view[start:end], pack_chunks("xxh128", [view[start:end]], self.known))
            start = end
        return self.writer.finish()

    def reader(self):
        self.data.close()
        self.meta.close()
        return open_reader(self.backend, write_index(self.backend, self.packs))


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 9000), st.integers(0, 3)), min_size=1, max_size=4))
def test_blobs_come_back_and_equal_ones_are_stored_once(scratch: Path, drawn: list[tuple[int, int]]):
    writing = Writing(MemoryBackend(), scratch)
    blobs = [noise(size, seed) for size, seed in drawn]
    seen: set[bytes] = set()
    for blob in blobs:
        digest, size, stored = writing.store(blob, SMALL)
        assert (digest, size) == (XXH(blob), len(blob))
        assert (stored == 0) is (blob in seen)
        seen.add(blob)

    reader = writing.reader()
    for blob in blobs:
        assert reader.read(XXH(blob), limit=1 << 20) == blob
        assert b"".join(reader.stream(XXH(blob))) == blob


def test_a_large_blob_over_every_kind_of_store(backend: Backend, scratch: Path):
    writing = Writing(backend, scratch)
    blob = noise(3 << 20) + bytes(2 << 20) + b"text that shrinks " * 100_000

    digest, size, stored = writing.store(blob)

    assert (digest, size) == (XXH(blob), len(blob))
    assert 3 << 20 < stored < 4 << 20
    assert b"".join(writing.reader().stream(digest)) == blob


def test_an_edit_stores_the_chunks_around_it_and_the_list(backend: Backend, scratch: Path):
    writing = Writing(backend, scratch)
    blob = noise(8 << 20)
    _, _, first = writing.store(blob)
    _, _, second = writing.store(blob[: 4 << 20] + b"an insert" + blob[4 << 20 :])

    assert first > 8 << 20
    assert second < 3 << 20


def test_a_chunk_that_is_known_is_listed_and_not_stored(backend: Backend, scratch: Path):
    blob = noise(30_000)
    first = Writing(backend, scratch)
    first.store(blob, SMALL)
    first.reader()
    chunks = {digest for pack in first.packs for digest in pack.footer.digests} - {XXH(blob)}

    second = Writing(backend, scratch, known=chunks)
    _, _, stored = second.store(blob + b"more", SMALL)

    assert 0 < stored < 6000
    assert sum(len(pack.footer.digests) for pack in second.packs) < len(first.packs[0].footer.digests)


def test_a_blob_that_is_known_has_no_second_list(backend: Backend, scratch: Path):
    blob = noise(5000)
    writing = Writing(backend, scratch, known={XXH(blob)})
    writing.store(blob, SMALL)
    writing.data.close()
    writing.meta.close()

    assert [pack.footer.content for pack in writing.packs] == [DATA]


def test_a_blob_of_one_chunk_is_that_chunk(backend: Backend, scratch: Path):
    writing = Writing(backend, scratch)
    writing.store(b"short", SMALL)
    writing.data.close()
    writing.meta.close()

    (pack,) = writing.packs
    assert (pack.footer.digests, pack.footer.forms) == ([XXH(b"short")], bytes([WHOLE]))


def test_chunks_are_given_out_as_they_are_hashed_and_only_new_ones_compressed():
    text = memoryview(b"a line of text\n" * 3000)
    (new,) = pack_chunks("xxh128", [text], lambda _: False)
    (known,) = pack_chunks("xxh128", [text], lambda _: True)

    assert new[0] == known[0] == XXH(text)
    assert new[2] is not None and len(new[2]) < len(text)
    assert known[2] is None


@pytest.mark.parametrize(("entry", "levels"), [(1 << 20, 0), (20_000, 1), (700, 2)])
def test_lists_that_are_too_long_for_an_entry_are_listed_in_turn(
    backend: Backend, scratch: Path, monkeypatch: pytest.MonkeyPatch, entry: int, levels: int
):
    monkeypatch.setattr(packstream, "MAX_ENTRY_BYTES", entry)
    monkeypatch.setattr(packstream, "TREE_CUTS", SMALL if levels > 1 else CutSizes(1024, 4096, 16384))
    writing = Writing(backend, scratch)
    blob = noise(400_000)
    digest, _, _ = writing.store(blob, SMALL)

    reader = writing.reader()
    location = reader.locate(digest)
    assert location[4] & LIST
    assert [listed.level for listed in reader.levels(digest, location)] == list(range(levels, -1, -1))
    assert b"".join(reader.stream(digest)) == reader.read(digest, limit=1 << 20) == blob


@pytest.mark.parametrize("size", [1, CHUNK_TREES_FROM - 1, CHUNK_TREES_FROM, CHUNK_TREES_FROM + 1, 900_000])
def test_trees_of_any_length_come_back(backend: Backend, scratch: Path, size: int):
    writing = Writing(backend, scratch)
    tree = noise(size)
    assert writing.meta.add_tree(XXH(tree), tree, writing.known) >= size
    assert writing.meta.add_tree(XXH(tree), tree, writing.known) == 0

    assert writing.reader().read(XXH(tree), limit=size) == tree


def test_a_long_tree_after_an_edit_stores_a_little(backend: Backend, scratch: Path):
    writing = Writing(backend, scratch)
    tree = noise(1 << 20)
    writing.meta.add_tree(XXH(tree), tree, writing.known)
    edited = tree[:500_000] + b"edit" + tree[500_004:]

    assert writing.meta.add_tree(XXH(edited), edited, writing.known) < 200_000
    assert writing.reader().read(XXH(edited), limit=len(edited)) == edited

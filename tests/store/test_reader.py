"""Reading objects: what comes out is what went in, or an error of ours that names object and file."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from damage import damaged
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stored import XXH, contents, open_reader, overwrite, pack_file, write_index, write_packs

from datavc.backends.base import Backend
from datavc.backends.memory import MemoryBackend
from datavc.errors import (
    DatavcError,
    DigestMismatch,
    MalformedError,
    ObjectNotFound,
    StorageError,
)
from datavc.formats import codec
from datavc.formats.chunklist import ChunkList, encode_chunk_list
from datavc.formats.digest import hash_function
from datavc.formats.pack import DATA, LIST, META, WHOLE, ZSTD
from datavc.store import layout
from datavc.store.chunking import CutSizes, cut_points
from datavc.store.packstream import PackStream
from datavc.store.packwriter import SealedPack
from datavc.store.reader import ObjectReader

SMALL = CutSizes(64, 256, 1024)
LARGE = random.Random(3).randbytes(20_000)


def write_listed(backend: Backend, scratch: Path, content: bytes = LARGE) -> tuple[str, list[SealedPack]]:
    """An object in chunks, and its list; the names of the index and of the packs of chunks and of the list."""
    packs: list[SealedPack] = []
    data, meta = (
        PackStream(backend, scratch, "xxh128", kind, published=packs.append) for kind in (DATA, META)
    )
    ends = cut_points(content, SMALL)
    chunks = [content[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    for chunk in chunks:
        data.add(XXH(chunk), chunk, WHOLE, codec.compress(chunk))
    listed = ChunkList("xxh128", 0, len(content), [len(chunk) for chunk in chunks], list(map(XXH, chunks)))
    meta.add_list(XXH(content), listed, lambda _: False)
    data.close()
    meta.close()
    return write_index(backend, packs), packs


def test_whole_objects_and_listed_ones_come_back_in_one_piece_or_in_many(backend: Backend, scratch: Path):
    name, _ = write_listed(backend, scratch)
    other = write_index(backend, write_packs(backend, scratch, [b"whole", b""]))
    reader = open_reader(backend, name, other)

    for content in (LARGE, b"whole", b""):
        assert reader.read(XXH(content), limit=1 << 20) == content
        assert b"".join(reader.stream(XXH(content))) == content
    assert len(list(reader.stream(XXH(LARGE)))) > 20


def test_a_whole_blob_is_read_where_no_pack_has_the_object(backend: Backend):
    blob = b"blob " * 100
    backend.write(layout.blob_path("xxh128", XXH(blob)), blob)
    reader = open_reader(backend)

    assert reader.read(XXH(blob), limit=500) == blob
    assert b"".join(reader.stream(XXH(blob))) == blob


def test_a_damaged_blob_gives_no_more_than_its_pieces_and_then_an_error(backend: Backend):
    path = layout.blob_path("xxh128", XXH(b"blob"))
    backend.write(path, b"bl0b")
    reader = open_reader(backend)

    for read in (lambda: reader.read(XXH(b"blob"), limit=9), lambda: list(reader.stream(XXH(b"blob")))):
        with pytest.raises(DigestMismatch, match=path):
            read()


def test_an_object_that_is_nowhere_is_named(backend: Backend):
    reader = open_reader(backend)

    for ask in (
        lambda digest: reader.read(digest, limit=9),
        lambda digest: list(reader.stream(digest)),
        reader.locate,
    ):
        with pytest.raises(ObjectNotFound, match=XXH(b"nothing").hex()):
            ask(XXH(b"nothing"))


def test_nothing_longer_than_the_limit_is_read(backend: Backend, scratch: Path):
    blob = b"blob " * 100
    backend.write(layout.blob_path("xxh128", XXH(blob)), blob)
    name, _ = write_listed(backend, scratch)
    other = write_index(backend, write_packs(backend, scratch, [b"whole" * 20]))
    reader = open_reader(backend, name, other)

    for content in (LARGE, b"whole" * 20, blob):
        assert reader.read(XXH(content), limit=len(content)) == content
        with pytest.raises(MalformedError, match="are allowed"):
            reader.read(XXH(content), limit=len(content) - 1)


def test_a_lost_chunk_is_named(backend: Backend, scratch: Path):
    name, packs = write_listed(backend, scratch)
    backend.delete(pack_file(packs[0]))
    backend.close()

    with pytest.raises(ObjectNotFound):
        open_reader(backend, name).read(XXH(LARGE), limit=1 << 20)


@pytest.mark.parametrize("which", [0, 1], ids=["chunks", "list"])
def test_a_pack_that_is_cut_off_is_an_error(backend: Backend, scratch: Path, which: int):
    name, packs = write_listed(backend, scratch)
    reader = open_reader(backend, name)
    assert reader.read(XXH(LARGE), limit=1 << 20) == LARGE
    path = pack_file(packs[which])
    sound = backend.read(path)
    overwrite(backend, path, sound[: len(sound) // 4])

    with pytest.raises(StorageError, match="ends before"):
        reader.read(XXH(LARGE), limit=1 << 20)


def test_packs_that_were_swapped_are_damage_and_no_other_object_comes_out(backend: Backend, scratch: Path):
    packs = write_packs(backend, scratch, contents(20), limit=300)[:2]
    name = write_index(backend, packs)
    one, other = (backend.read(pack_file(pack)) for pack in packs)
    overwrite(backend, pack_file(packs[0]), other)
    overwrite(backend, pack_file(packs[1]), one)
    reader = open_reader(backend, name)

    for pack in packs:
        for digest in pack.footer.digests:
            with pytest.raises(DatavcError):
                reader.read(digest, limit=1000)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_happens_to_the_packs_the_object_comes_out_or_an_error(scratch: Path, data: st.DataObject):
    backend = MemoryBackend()
    text = b"".join(b"line %d of a text that shrinks\n" % number for number in range(300))
    _, packs = write_listed(backend, scratch, text)
    for pack in packs:
        backend.replace(pack_file(pack), data.draw(damaged(backend.read(pack_file(pack)))))
    reader = ObjectReader(backend, "xxh128", dict_of(packs).get)

    for read in (
        lambda: reader.read(XXH(text), limit=1 << 20),
        lambda: b"".join(reader.stream(XXH(text))),
    ):
        try:
            assert read() == text
        except DatavcError:
            pass


def dict_of(packs: list[SealedPack]):
    """Where everything lies, by what the packs said when they were written."""
    from datavc.store.packreader import locations

    return {digest: place for pack in packs for digest, place in locations(pack.name, pack.footer)}


class Crafted:
    """A store in which each object is whatever an attacker puts under its digest."""

    def __init__(self) -> None:
        self.backend = MemoryBackend()
        self.places: dict[bytes, tuple[bytes, int, int, int, int]] = {}

    def put(self, digest: bytes, stored: bytes, flags: int = WHOLE, raw: int | None = None) -> None:
        name = digest[:16]
        self.backend.write(layout.pack_path(name), stored)
        self.places[digest] = (name, 0, len(stored), len(stored) if raw is None else raw, flags)

    def put_list(self, digest: bytes, level: int, chunks: list[tuple[bytes, int]]) -> None:
        listed = ChunkList(
            "xxh128",
            level,
            sum(size for _, size in chunks),
            [size for _, size in chunks],
            [name for name, _ in chunks],
        )
        self.put(digest, encode_chunk_list(listed), LIST)

    def read(self, digest: bytes, limit: int = 1 << 20) -> bytes:
        reader = ObjectReader(self.backend, "xxh128", self.places.get)
        whole = b"".join(reader.stream(digest))
        assert reader.read(digest, limit=limit) == whole
        return whole


def test_a_list_of_the_wrong_chunks_is_noticed_at_the_end():
    crafted = Crafted()
    crafted.put(XXH(b"other"), b"other")
    crafted.put_list(XXH(b"right"), 0, [(XXH(b"other"), 5)])

    with pytest.raises(DigestMismatch, match="damaged"):
        crafted.read(XXH(b"right"))


def test_a_chunk_of_another_length_than_its_list_gives_is_refused():
    crafted = Crafted()
    crafted.put(XXH(b"other"), b"other")
    crafted.put_list(XXH(b"right"), 0, [(XXH(b"other"), 4)])

    with pytest.raises(MalformedError, match="its list gives"):
        crafted.read(XXH(b"right"))


def test_a_list_that_lists_itself_or_another_list_is_refused():
    crafted = Crafted()
    itself, other = b"\1" * 16, b"\2" * 16
    crafted.put_list(other, 0, [(XXH(b"x"), 1)])
    crafted.put_list(itself, 0, [(itself, 44)])
    with pytest.raises(MalformedError, match="its list gives"):
        crafted.read(itself)
    crafted.put_list(b"\3" * 16, 0, [(other, 44)])
    with pytest.raises(MalformedError, match="its list gives"):
        crafted.read(b"\3" * 16)


def test_a_list_of_lists_must_count_down():
    crafted = Crafted()
    inner = encode_chunk_list(ChunkList("xxh128", 1, 1, [1], [XXH(b"x")]))
    crafted.put(XXH(inner), inner)
    crafted.put_list(b"\1" * 16, 1, [(XXH(inner), len(inner))])

    with pytest.raises(MalformedError, match="count down"):
        crafted.read(b"\1" * 16)


def test_a_list_of_lists_that_claims_to_be_endless_is_refused_before_it_is_read():
    crafted = Crafted()
    crafted.put_list(b"\1" * 16, 1, [(XXH(b"x"), 1 << 20)] * 65)

    with pytest.raises(MalformedError, match="bytes"):
        crafted.read(b"\1" * 16)


def test_a_frame_that_decodes_to_another_length_than_the_row_says_is_damage():
    raw = b"bytes that compress " * 50
    frame = codec.encode_frame(raw)
    crafted = Crafted()
    for said in (len(raw) - 1, len(raw) + 1, 0):
        crafted.put(XXH(raw), frame, ZSTD << 1, raw=said)
        with pytest.raises(DigestMismatch):
            crafted.read(XXH(raw))
    crafted.put(XXH(raw), frame, ZSTD << 1, raw=len(raw))
    assert crafted.read(XXH(raw)) == raw


def test_a_plain_entry_whose_row_gives_two_lengths_is_damage():
    crafted = Crafted()
    crafted.put(XXH(b"plain"), b"plain", raw=6)

    with pytest.raises(DigestMismatch):
        crafted.read(XXH(b"plain"))


@pytest.mark.parametrize("algorithm", ["blake3", "sha256"])
def test_other_algorithms_are_read_by_their_own_digests(backend: Backend, scratch: Path, algorithm: str):
    packs = write_packs(backend, scratch, [b"content"], algorithm=algorithm)
    reader = open_reader(backend, write_index(backend, packs, algorithm), algorithm=algorithm)

    assert reader.read(hash_function(algorithm)(b"content"), limit=7) == b"content"

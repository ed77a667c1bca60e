"""Checking stored files: sound ones pass, and of damaged ones it is said which objects suffer."""

from __future__ import annotations

from pathlib import Path

import pytest
import xxhash
from damage import damaged
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stored import XXH, contents, overwrite, pack_file, write_index, write_packs

from datavc.backends.base import Backend
from datavc.backends.memory import MemoryBackend
from datavc.errors import StoredFileNotFound
from datavc.formats import codec
from datavc.formats.pack import DATA, WHOLE
from datavc.store import layout
from datavc.store.check import check_blob, check_index, check_pack
from datavc.store.packwriter import PackWriter

TEXT = b"text that shrinks when it is compressed, " * 30


def _pack(backend: Backend, scratch: Path):
    """A pack of plain and of compressed entries."""
    writer = PackWriter(scratch, "xxh128", DATA)
    for raw in contents(5):
        writer.add(XXH(raw), raw, WHOLE)
    writer.add(XXH(TEXT), TEXT, WHOLE, codec.compress(TEXT))
    pack = writer.seal()
    backend.write_file(pack_file(pack), pack.path)
    return pack


def test_a_sound_pack_passes(backend: Backend, scratch: Path):
    pack = _pack(backend, scratch)
    checked = check_pack(backend, pack_file(pack))

    assert (checked.name, checked.algorithm, checked.entries) == (pack.name, "xxh128", 6)
    assert (checked.message, checked.damaged) == ("", [])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_damage_passes(scratch: Path, data: st.DataObject):
    backend = MemoryBackend()
    pack = _pack(backend, scratch)
    sound = backend.read(pack_file(pack))
    bad = data.draw(damaged(sound))
    backend.replace(pack_file(pack), bad)

    assert bool(check_pack(backend, pack_file(pack)).message) is (bad != sound)


def test_of_a_damaged_pack_the_objects_that_suffer_are_named(backend: Backend, scratch: Path):
    pack = _pack(backend, scratch)
    data = bytearray(backend.read(pack_file(pack)))
    offsets = list(pack.footer.offsets())
    for number in (1, 5):
        data[offsets[number] + 12] ^= 1
    overwrite(backend, pack_file(pack), bytes(data))
    checked = check_pack(backend, pack_file(pack))

    assert checked.message == "is not what its name says"
    assert checked.damaged == [pack.footer.digests[1], pack.footer.digests[5]]


@pytest.mark.parametrize("packed", [False, True])
def test_an_entry_that_was_wrong_before_the_pack_was_sealed_is_found(
    backend: Backend, scratch: Path, packed: bool
):
    writer = PackWriter(scratch, "xxh128", DATA)
    writer.add(XXH(b"right"), TEXT, WHOLE, codec.compress(TEXT) if packed else None)
    pack = writer.seal()
    backend.write_file(pack_file(pack), pack.path)
    checked = check_pack(backend, pack_file(pack))

    assert "before it was written" in checked.message
    assert checked.damaged == [XXH(b"right")]


@pytest.mark.parametrize("name", ["nonsense", "sha256-" + "0" * 64, "xxh128-00"])
def test_a_file_among_the_packs_that_has_no_packs_name_is_named(backend: Backend, name: str):
    backend.write(f"packs/00/{name}", b"x")
    checked = check_pack(backend, f"packs/00/{name}")

    assert checked.name is None
    assert checked.message


def test_a_file_that_is_not_there_is_an_error_of_the_store(backend: Backend):
    with pytest.raises(StoredFileNotFound):
        check_pack(backend, layout.pack_path(bytes(16)))
    with pytest.raises(StoredFileNotFound):
        check_index(backend, layout.index_path(layout.sealed_name(bytes(16))))


def test_a_sound_index_passes_and_another_one_under_its_name_does_not(backend: Backend, scratch: Path):
    name = write_index(backend, write_packs(backend, scratch, contents(50)))
    other = write_index(backend, write_packs(backend, scratch, contents(5)))
    assert check_index(backend, layout.index_path(name)) == ""

    overwrite(backend, layout.index_path(name), backend.read(layout.index_path(other)))
    assert check_index(backend, layout.index_path(name)) == "is not what its name says"
    backend.write("indexes/nonsense", b"x")
    assert check_index(backend, "indexes/nonsense")


@pytest.mark.parametrize("size", [0, 10, 300])
def test_an_index_that_is_what_its_name_says_and_no_index_is_found(backend: Backend, size: int):
    data = bytes(size)
    path = layout.index_path(layout.sealed_name(xxhash.xxh3_128_digest(data)))
    backend.write(path, data)

    assert "pack index" in check_index(backend, path)


def test_a_blob_is_hashed_against_its_name(backend: Backend, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("datavc.store.check._PIECE", 100)
    path = layout.blob_path("xxh128", XXH(TEXT))
    backend.write(path, TEXT)
    assert check_blob(backend, path, len(TEXT)) is None

    overwrite(backend, path, TEXT[:-1] + b"!")
    assert check_blob(backend, path, len(TEXT)) == XXH(TEXT)

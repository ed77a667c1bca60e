"""The large files of an add: one thread reads and cuts, others hash and compress, this one writes, others make durable.

Blocks of all files run through one pipeline, so that the end of a file holds nothing up. Measured on one file of 2 GiB
(tests/benchmarks/compare.py, case ``big-add``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import NamedTuple

from datavc.operations.steps.storing.placing import Place
from datavc.parallel import read_ahead
from datavc.store.blobwriter import BlobWriter, PackedChunk, pack_chunks
from datavc.store.chunking import BLOB_CUTS, CutBlock, cut_blocks, new_buffer
from datavc.workspace.folders import OpenFolders
from datavc.workspace.listing import Folder
from datavc.workspace.readfile import open_stable

# Blocks of 8 MiB between reading and writing: 55 MiB of memory.
_AHEAD = 6


class LargeFile(NamedTuple):
    """A file that was stored: where it stands in the scan, what it was, and the bytes newly stored for it."""

    folder: Folder
    number: int
    seen: os.stat_result
    digest: bytes
    size: int
    stored: int


class _Block(NamedTuple):
    """A block on its way to the writer; at a file's end one that has nothing but the file's stat."""

    folder: Folder
    number: int
    cut: CutBlock | None = None
    packed: Future[list[PackedChunk]] | None = None
    seen: os.stat_result | None = None


def store_large(
    place: Place,
    algorithm: str,
    files: list[tuple[Folder, int]],
    writer: BlobWriter,
    known: Callable[[bytes], bool],
    *,
    jobs: int,
    advance: Callable[[int], None],
) -> Iterator[LargeFile]:
    """Store ``files`` through ``writer``; ``advance`` is told the bytes that were read.

    Raises:
        ConflictError: a file changed while it was read.
        StorageError, OutOfSpace: a file cannot be read, or a pack not be written.
    """
    # Used again and again: the system takes longer to find 8 MiB of new memory than to fill it.
    buffers: list[bytearray] = []

    def take_buffer() -> bytearray:
        return buffers.pop() if buffers else new_buffer(BLOB_CUTS)

    def pack(block: CutBlock) -> list[PackedChunk]:
        return pack_chunks(algorithm, block.chunks, known)

    with ThreadPoolExecutor(max(2, jobs - 1)) as threads:
        blocks = _blocks(place, files, take_buffer, lambda block: threads.submit(pack, block))
        with closing(blocks), closing(read_ahead(blocks, _AHEAD)) as ahead:
            for block in ahead:
                if block.cut is not None and block.packed is not None:
                    writer.add(block.cut.read, block.packed.result())
                    advance(len(block.cut.read))
                    buffers.append(block.cut.buffer)
                elif block.seen is not None:
                    yield LargeFile(block.folder, block.number, block.seen, *writer.finish())


def _blocks(
    place: Place,
    files: list[tuple[Folder, int]],
    take_buffer: Callable[[], bytearray],
    pack: Callable[[CutBlock], Future[list[PackedChunk]]],
) -> Generator[_Block, None, None]:
    with OpenFolders(place.workspace) as folders:
        for folder, number in files:
            name = folder.names[number]
            with open_stable(name, folders.open(folder.path), place.links_into) as file:
                size = 0
                for cut in cut_blocks(file.read_into, BLOB_CUTS, take_buffer):
                    size += len(cut.read)
                    yield _Block(folder, number, cut, pack(cut))
                file.check(size)
                yield _Block(folder, number, seen=file.stat)

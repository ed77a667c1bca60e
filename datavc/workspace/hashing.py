"""Hashing the files whose digests a scan does not know, in worker processes when there is much to read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from datavc.errors import DatavcError
from datavc.formats.digest import hash_function, new_hasher
from datavc.formats.tree import SYMLINK
from datavc.parallel import process_pool, run_batches
from datavc.progress import Progress
from datavc.workspace.folders import OpenFolders
from datavc.workspace.listing import Part, Scan
from datavc.workspace.readfile import Stat, open_stable, read_small, stat_tuple
from datavc.workspace.scan import entry_path

_BATCH_FILES = 1000
_BATCH_BYTES = 32 << 20
_SMALL = 4 << 20
_PIECE = 4 << 20
# Seconds of one core: 20 microseconds a file and a gigabyte a second.
_SECONDS_PER_FILE, _SECONDS_PER_BYTE = 20e-6, 1e-9


class HashBatch(NamedTuple):
    """Files to hash: rows of (folder path, entry number, name, kind)."""

    root: bytes
    algorithm: str
    links_into: bytes | None
    rows: list[tuple[bytes, int, bytes, int]]


# (folder path, entry number, digest or None, stat, message of the failure)
HashedRow = tuple[bytes, int, bytes | None, Stat, str]


def hash_unknown(
    scan: Scan, root: bytes, *, links_into: bytes | None = None, jobs: int, progress: Progress
) -> None:
    """Fill in every digest that ``scan`` lacks, reading the files below the folder ``root``.

    Files that cannot be read, or do not stand still, join the scan's problems and keep an unknown digest.
    """
    unknown = list(scan.unknown())
    if not unknown:
        return
    total = sum(sum(folder.sizes(numbers)) for folder, numbers in unknown)
    files = sum(len(numbers) for _, numbers in unknown)
    progress.begin("hashing", total_bytes=total, total_files=files)
    seconds = files * _SECONDS_PER_FILE + total * _SECONDS_PER_BYTE
    with process_pool(jobs, expected_seconds=seconds, preload=__name__) as executor:
        batches = (HashBatch(root, scan.algorithm, links_into, rows) for rows in _batches(unknown))
        for done in run_batches(hash_batch, batches, executor):
            for path, number, digest, seen, message in done:
                folder = scan.top if path == scan.top.path else scan.folders[path]
                if digest is None:
                    scan.problems.append((entry_path(path, folder.names[number]), message))
                    continue
                folder.digests[number] = digest
                folder.stats[4 * number : 4 * number + 4] = type(folder.stats)("q", seen)
            progress.advance(size=sum(row[3][0] for row in done), files=len(done))
    progress.end()


def _batches(unknown: list[Part]) -> Iterator[list[tuple[bytes, int, bytes, int]]]:
    rows: list[tuple[bytes, int, bytes, int]] = []
    size = 0
    for folder, number in ((folder, number) for folder, numbers in unknown for number in numbers):
        rows.append((folder.path, number, folder.names[number], folder.kinds[number]))
        size += folder.size(number)
        if len(rows) >= _BATCH_FILES or size >= _BATCH_BYTES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def hash_batch(batch: HashBatch) -> list[HashedRow]:
    """Hash one batch of files. A failure is a row, not an exception."""
    hash_bytes = hash_function(batch.algorithm)
    done: list[HashedRow] = []
    with OpenFolders(batch.root) as folders:
        for path, number, name, kind in batch.rows:
            try:
                folder_fd = folders.open(path)
                if kind == SYMLINK:
                    target, seen = read_link(name, folder_fd)
                    done.append((path, number, hash_bytes(target), stat_tuple(seen), ""))
                    continue
                digest, seen = _hash_file(name, folder_fd, batch)
                done.append((path, number, digest, stat_tuple(seen), ""))
            except (DatavcError, OSError) as error:
                done.append((path, number, None, (0, 0, 0, 0), str(error)))
    return done


def _hash_file(name: bytes, folder_fd: int, batch: HashBatch) -> tuple[bytes, os.stat_result]:
    with open_stable(name, folder_fd, batch.links_into) as file:
        if file.stat.st_size > _SMALL:
            hasher, size = new_hasher(batch.algorithm), 0
            while piece := file.read(_PIECE):
                hasher.update(piece)
                size += len(piece)
            file.check(size)
            return hasher.digest(), file.stat
    content, seen = read_small(name, folder_fd, batch.links_into)
    return hash_function(batch.algorithm)(content), seen


def read_link(name: bytes, folder_fd: int) -> tuple[bytes, os.stat_result]:
    """A symlink's target, and the link's own stat. Raises OSError."""
    target = os.readlink(name, dir_fd=folder_fd)
    return target, os.stat(name, dir_fd=folder_fd, follow_symlinks=False)

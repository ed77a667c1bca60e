"""From format 0 to the format that this version writes: packs, pack indexes and roots are written anew, last the note.

Nothing that was there is changed or deleted but roots, which are replaced: until then each names what it always did, and what
nobody names any more afterwards is left to gc. Killed anywhere, the same work goes on. Objects keep their digests, so what
is an object (trees, records, chunk lists) stays as it is.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

from datavc.backends.base import Backend
from datavc.formats.header import FORMAT, HEADER_BYTES
from datavc.formats.pack import format_number
from datavc.progress import SILENT, Progress
from datavc.store import layout
from datavc.store.census import StoredRoot, packs_named, read_roots
from datavc.store.note import STORE_FORMAT, check_note, upgrade_note
from datavc.store.rewriting import begin_rewriting, repoint_roots, rewrite_packs


def old_packs(backend: Backend, executor: Executor) -> tuple[dict[bytes, int], dict[str, dict[bytes, int]]]:
    """The packs of an earlier format that roots lead to, with their lengths, and the pack indexes that roots name.

    Raises:
        IntegrityError: a root or pack index cannot be read. StorageError.
    """
    names = {name for stored in read_roots(backend, executor) for name in stored.root.indexes}
    named = packs_named(backend, names, executor)
    sizes = {pack: size for packs in named.values() for pack, size in packs.items()}

    def number(pack: bytes) -> int:
        return format_number(backend.read(layout.pack_path(pack), 0, HEADER_BYTES))

    numbers = zip(sizes, executor.map(number, sizes), strict=True)
    return {pack: sizes[pack] for pack, found in numbers if found < FORMAT}, named


def upgrade_store(backend: Backend, scratch: Path, executor: Executor, *, progress: Progress = SILENT) -> int:
    """Make everything that roots lead to be of STORE_FORMAT. Returns how many packs were written anew.

    Raises:
        UnsupportedFormat: it is of a later format. IntegrityError: something is damaged; it is to be repaired before.
        ConflictError: gc is deleting what a root relies on. StorageError, OutOfSpace: what was written is used next time.
    """
    if check_note(backend, create=False) == STORE_FORMAT:
        return 0
    guard = begin_rewriting(backend)
    packs, named = old_packs(backend, executor)
    progress.begin("writing packs anew", total_bytes=sum(packs.values()))
    done = rewrite_packs(backend, scratch, packs, named, lambda digest: True, progress=progress)
    progress.end()
    repoint_roots(backend, done, executor, guard)
    for stored in read_roots(backend, executor):
        # Those that led to no pack.
        if _format(stored) < STORE_FORMAT and not stored.name.endswith(layout.RESCUE):
            guard.publish(replace(stored.root, nonce=os.urandom(8).hex()))
    upgrade_note(backend)
    return len(packs)


def _format(stored: StoredRoot) -> int:
    return int(json.loads(stored.text.partition("\n")[0])["format"])

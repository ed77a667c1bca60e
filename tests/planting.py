"""Versions that no `datavc add` would make, planted in a project's cache as a stranger could send them.

Trees are encoded by hand, without the checks of the encoder.
"""

from __future__ import annotations

import struct
import tempfile
from array import array
from collections.abc import Sequence
from pathlib import Path

from projects import Project
from stored import XXH, write_index

from datavc.formats.chunklist import ChunkList
from datavc.formats.digest import Digest
from datavc.formats.header import encode_header
from datavc.formats.pack import DATA, META
from datavc.formats.tree import FOLDER, TREE
from datavc.store.cache import Cache
from datavc.store.packstream import PackStream
from datavc.store.roots import new_root

# name, kind, size, files, digest
Row = tuple[bytes, int, int, int, bytes]


def raw_tree(rows: Sequence[Row]) -> bytes:
    """The encoding that the rows would have, whatever they are."""
    names, kinds, sizes, counts, digests = zip(*rows, strict=True) if rows else ((),) * 5
    below = [count for count, kind in zip(counts, kinds, strict=True) if kind == FOLDER]
    return b"".join(
        (
            encode_header(TREE, "xxh128"),
            struct.pack("<2I", len(rows), len(below)),
            bytes(kinds),
            array("Q", sizes).tobytes(),
            array("Q", below).tobytes(),
            *digests,
            b"\0".join(names),
        )
    )


class Planter:
    """Puts objects into the cache of ``project``, and pointers to them into its workspace."""

    def __init__(self, project: Project) -> None:
        self.project = project
        config = project.read("datavc.toml").decode()
        self._repo_id = config.partition('repo = "')[2][:32]
        self._cache = Cache(project.root / ".git/datavc/cache", self._repo_id, "xxh128", create=True)
        self._objects: dict[bytes, tuple[int, bytes]] = {}
        self._lists: dict[bytes, ChunkList] = {}

    def blob(self, content: bytes) -> bytes:
        """A file's content; its digest."""
        self._objects[XXH(content)] = (DATA, content)
        return XXH(content)

    def tree(self, *rows: Row) -> bytes:
        """A folder; its digest."""
        encoded = raw_tree(rows)
        self._objects[XXH(encoded)] = (META, encoded)
        return XXH(encoded)

    def listed(self, digest: bytes, chunk: bytes, times: int) -> bytes:
        """The object ``digest``, which is said to be so many times the same chunk."""
        lengths = array("I", [len(chunk)] * times)
        self._lists[digest] = ChunkList("xxh128", 0, len(chunk) * times, lengths, [self.blob(chunk)] * times)
        return digest

    def nested(self, row: Row, levels: int, wide: int = 16) -> tuple[bytes, int, int]:
        """``levels`` folders, each with ``wide`` names for the next, the last of them with ``row``: digest, size, files."""
        _, kind, size, files, _ = row
        files = files if kind == FOLDER else 1
        digest = self.tree(row)
        for _ in range(levels):
            digest = self.tree(*((b"%04d" % n, FOLDER, size, files, digest) for n in range(wide)))
            size, files = size * wide, files * wide
        return digest, size, files

    def point(
        self,
        path: str | bytes,
        digest: bytes,
        size: int = 0,
        files: int = 1,
        kind: str = "folder",
    ) -> None:
        """Publish what was planted, a root of ``digest``, and a pointer that stands for ``path``."""
        packs = []
        with tempfile.TemporaryDirectory(dir=self._cache.folder.parent) as scratch:
            for content in (DATA, META):
                stream = PackStream(
                    self._cache.backend, Path(scratch), "xxh128", content, published=packs.append
                )
                for name, (its, raw) in self._objects.items():
                    if its == content:
                        stream.add(name, raw)
                for name, listed in self._lists.items() if content == META else ():
                    stream.add_list(name, listed, stream.holds)
                stream.close()
        index = write_index(self._cache.backend, packs)
        named = Digest("xxh128", digest)
        make = new_root(
            self._repo_id, named, kind=kind, size=0, files=1, path=b"planted", commit=None, complete=True
        )
        self._cache.publish_root(make, [index])
        pointer = f'format = 0\nkind = "{kind}"\ndigest = "{named}"\nsize = {size}\nfiles = {files}\n'
        name = path.encode() if isinstance(path, str) else path
        self.project.write({name + b".datavc": pointer})

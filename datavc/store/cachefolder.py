"""The folder of a cache, which takes no stored file for another because it has its name and length."""

from __future__ import annotations

from datavc.backends.folder import FolderBackend
from datavc.errors import StorageError
from datavc.store import layout

_NAMED_BY_CONTENT = (layout.PACKS, layout.INDEXES, layout.BLOBS)


class CacheFolder(FolderBackend):
    """What stands damaged under the name of something that is written is put aside: else who adds data again, because the
    index that knew of it was lost, would be told that it is safe."""

    def _is_same(self, name: str, size: int) -> bool:
        if not super()._is_same(name, size):
            return False
        if not name.startswith(_NAMED_BY_CONTENT):
            return True
        from datavc.store.check import check_blob

        try:
            return check_blob(self, name, size) is None
        except StorageError:
            # What the disk cannot read is nobody's copy either.
            return False

"""datavc versions datasets beside code: small pointers in git, the bytes in a packed, content-addressed store.

The commands are in :mod:`datavc.cli`, what they do in :mod:`datavc.operations`; ``docs/explanation/architecture.md`` shows
the house. Importing this loads nothing else.
"""

from __future__ import annotations

__version__ = "0.1.0"

"""Who writes into a store: what roots and notes tell people of it."""

from __future__ import annotations

import os


def who_am_i() -> str:
    """The user and the machine."""
    return f"{os.environ.get('USER', os.getuid())}@{os.uname().nodename}"

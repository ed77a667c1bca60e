"""How much work something is, counted rather than timed: a busy machine takes longer, not more calls."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def calls_of(work: Callable[[], Any]) -> int:
    """How many functions written in Python are entered while ``work`` runs; comprehensions and generators count."""
    entered = 0

    def seen(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal entered
        entered += event == "call"

    earlier = sys.getprofile()
    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(earlier)
    return entered

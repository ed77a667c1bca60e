"""How long work tells that it is alive: a protocol that is silent unless the caller listens.

Core code reports to a :class:`Progress`; only the command line draws one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Progress(Protocol):
    """Receives what an operation is doing. Every method returns at once and never raises."""

    def begin(
        self,
        activity: str,
        *,
        total_bytes: int = 0,
        total_files: int = 0,
        counted: str = "files",
        retries: Callable[[], int] | None = None,
    ) -> None:
        """A phase starts; totals of 0 mean unknown. Files are ``counted``, or objects, or packs.

        ``retries`` says how many requests were repeated so far.
        """

    def advance(self, *, size: int = 0, files: int = 0) -> None:
        """``size`` more bytes and ``files`` more files of the phase are done."""

    def end(self) -> None:
        """The phase is over."""

    def note(self, message: str) -> None:
        """A sentence the user should read now, such as a plan or a warning."""


class SilentProgress:
    """The default: tells nobody."""

    def begin(
        self,
        activity: str,
        *,
        total_bytes: int = 0,
        total_files: int = 0,
        counted: str = "files",
        retries: Callable[[], int] | None = None,
    ) -> None: ...

    def advance(self, *, size: int = 0, files: int = 0) -> None: ...

    def end(self) -> None: ...

    def note(self, message: str) -> None: ...


SILENT = SilentProgress()

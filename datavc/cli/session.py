"""What the global options and the terminal settle for one command: command modules ask :func:`current`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from datavc.errors import UsageError
from datavc.progress import SILENT, Progress


@dataclass(frozen=True, slots=True)
class Session:
    """``folder`` is where the command works: absolute, no symbolic links. ``colour`` is that of standard output.

    ``jobs`` is None unless the user gave a number.
    """

    folder: Path
    quiet: bool = False
    verbose: bool = False
    jobs: int | None = None
    colour: bool = False
    progress: Progress = SILENT

    @property
    def workers(self) -> int:
        """How many workers to use: what the user said, or what suits this machine."""
        from datavc.parallel import default_jobs

        return self.jobs or default_jobs()

    def absolute(self, path: str) -> bytes:
        """``path`` as the user typed it, made absolute: the folders above it are real ones, itself may be a symbolic link.

        So what a path through a symbolic link names is judged by where it is, as any other program would find it.

        Raises:
            UsageError: the path is empty.
        """
        if not path:
            raise UsageError("an empty string is not a path", "for the whole folder, type .")
        folder, name = os.path.split(os.path.join(self.folder, path))
        if name in ("", ".", ".."):
            return os.fsencode(os.path.realpath(os.path.join(folder, name)))
        return os.fsencode(os.path.join(os.path.realpath(folder), name))

    def absolutes(self, paths: Iterable[str] | None) -> list[bytes]:
        """All of ``paths`` made absolute; none stays none."""
        return [self.absolute(path) for path in paths or ()]


_current: ContextVar[Session | None] = ContextVar("session", default=None)


def current() -> Session:
    """The session of the command that runs; outside of one, a silent session in the current folder."""
    return _current.get() or Session(Path.cwd())


@contextmanager
def using(session: Session) -> Iterator[Session]:
    """Make ``session`` the current one inside the block."""
    token = _current.set(session)
    try:
        yield session
    finally:
        _current.reset(token)

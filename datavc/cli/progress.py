"""The progress line on standard error: how much, how fast, how long still.

It is drawn when standard error is a terminal and the phase has lasted a second; only then is rich imported (64 ms).
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from datavc.cli.terminal import paint, printable, say
from datavc.formats.amounts import human_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress as Bar
    from rich.progress import TaskID

QUIET_SECONDS = 1.0
REDRAW_SECONDS = 0.1
# The longest text beside the bar: activity, bytes, files, rate, time left.
WORDS_WIDTH = 80


class TerminalProgress:
    """A :class:`datavc.progress.Progress` for somebody who watches standard error.

    ``quiet`` keeps only notes that start with ``warning:``. Safe to call from several threads.
    """

    def __init__(self, *, watched: bool, quiet: bool = False, colour: bool = False) -> None:
        self._draws = watched and not quiet
        self._quiet = quiet
        self._colour = colour
        self._lock = threading.RLock()
        self._phase: _Phase | None = None

    def begin(self, activity: str, *, total_bytes: int = 0, total_files: int = 0) -> None:
        """See :class:`datavc.progress.Progress`; a phase that was not ended is ended here."""
        if not self._draws:
            return
        self.end()
        with self._lock:
            self._phase = _Phase(activity, total_bytes, total_files, self._colour, self._lock)

    def advance(self, *, size: int = 0, files: int = 0) -> None:
        """See :class:`datavc.progress.Progress`."""
        if self._phase is None:
            return
        with self._lock:
            if self._phase is not None:
                self._phase.advance(size, files)

    def end(self) -> None:
        """See :class:`datavc.progress.Progress`."""
        with self._lock:
            if self._phase is not None:
                self._phase.close()
                self._phase = None

    def note(self, message: str) -> None:
        """See :class:`datavc.progress.Progress`."""
        warning = message.startswith("warning:")
        if self._quiet and not warning:
            return
        text = printable(message)
        if warning:
            text = paint("warning:", "yellow", colour=self._colour) + text.removeprefix("warning:")
        with self._lock:
            if self._phase is None or not self._phase.print(text):
                say(text)


class _Phase:
    """One activity: counts from the start, drawn once a timer finds that it lasts."""

    def __init__(
        self, activity: str, total_bytes: int, total_files: int, colour: bool, lock: threading.RLock
    ) -> None:
        self._activity = activity
        self._total_bytes = total_bytes
        self._total_files = total_files
        self._bytes = 0
        self._files = 0
        self._colour = colour
        self._lock = lock
        self._closed = False
        self._began_at = time.monotonic()
        self._drawn_at = 0.0
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._timer = threading.Timer(QUIET_SECONDS, self._show)
        self._timer.daemon = True
        self._timer.start()

    def advance(self, size: int, files: int) -> None:
        self._bytes += size
        self._files += files
        if self._bar is not None and time.monotonic() - self._drawn_at >= REDRAW_SECONDS:
            self._draw()

    def print(self, text: str) -> bool:
        """Print above the line; False if there is no line."""
        if self._bar is None:
            return False
        from rich.text import Text

        self._bar.console.print(Text.from_ansi(text), soft_wrap=True)
        return True

    def close(self) -> None:
        self._closed = True
        self._timer.cancel()
        if self._bar is not None:
            self._draw()
            self._bar.stop()
            self._bar = None

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        with self._lock:
            if self._closed:
                return
            console = Console(stderr=True, no_color=not self._colour, highlight=False)
            known = self._total_bytes or self._total_files
            bar_width = min(30, console.width - WORDS_WIDTH)
            bar = Progress(
                TextColumn("{task.description}", markup=False),
                *([BarColumn(bar_width)] if known and bar_width >= 10 else []),
                TextColumn("{task.fields[done]}", markup=False),
                *([TimeRemainingColumn(compact=True)] if known else []),
                console=console,
                transient=True,
                redirect_stdout=False,  # Standard output is data, and may be a file.
                redirect_stderr=False,
            )
            self._task = bar.add_task(printable(self._activity), total=known or None, done="")
            self._bar = bar
            self._draw()
            bar.start()

    def _draw(self) -> None:
        if self._bar is None or self._task is None:
            return
        self._drawn_at = time.monotonic()
        done = self._bytes if self._total_bytes else self._files
        self._bar.update(self._task, completed=done, done=self._words())

    def _words(self) -> str:
        parts = []
        if self._total_bytes or self._bytes:
            parts.append(_of(self._bytes, self._total_bytes, human_size))
        if self._total_files or self._files:
            parts.append(_of(self._files, self._total_files, "{:,}".format) + " files")
        if self._bytes:
            seconds = time.monotonic() - self._began_at
            parts.append(f"{human_size(int(self._bytes / seconds))}/s")
        return "  ".join(parts)


def _of(done: int, total: int, show: Callable[[int], str]) -> str:
    return f"{show(done)} of {show(total)}" if total else show(done)

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
# The longest text beside the bar: activity, bytes, files, rate, repeated requests, time left.
WORDS_WIDTH = 90


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

    def begin(
        self,
        activity: str,
        *,
        total_bytes: int = 0,
        total_files: int = 0,
        counted: str = "files",
        retries: Callable[[], int] | None = None,
    ) -> None:
        """See :class:`datavc.progress.Progress`; a phase that was not ended is ended here."""
        if not self._draws:
            return
        self.end()
        with self._lock:
            tally = _Tally(total_bytes, total_files, counted, retries)
            self._phase = _Phase(activity, tally, self._colour, self._lock)

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


class _Tally:
    """What was done of what there is to do, and how to say it."""

    def __init__(
        self, total_bytes: int, total_files: int, counted: str, retries: Callable[[], int] | None
    ) -> None:
        self._total_bytes = total_bytes
        self._total_files = total_files
        self._counted = counted
        self._retries = retries
        # What was repeated before this phase is none of its business.
        self._earlier_retries = retries() if retries else 0
        self._began_at = time.monotonic()
        self.bytes = 0
        self.files = 0

    @property
    def total(self) -> int:
        """In bytes where they are known, else in files; 0 where neither is."""
        return self._total_bytes or self._total_files

    @property
    def done(self) -> int:
        """In the unit of ``total``."""
        return self.bytes if self._total_bytes else self.files

    def words(self) -> str:
        parts = []
        if self._total_bytes or self.bytes:
            parts.append(_of(self.bytes, self._total_bytes, human_size))
        if self._total_files or self.files:
            parts.append(_of(self.files, self._total_files, "{:,}".format) + f" {self._counted}")
        if self.bytes:
            seconds = time.monotonic() - self._began_at
            parts.append(f"{human_size(int(self.bytes / seconds))}/s")
        if self._retries and (repeated := self._retries() - self._earlier_retries):
            parts.append(f"{repeated:,} repeated")
        return "  ".join(parts)


class _Phase:
    """One activity: counts from the start, drawn once a timer finds that it lasts."""

    def __init__(self, activity: str, tally: _Tally, colour: bool, lock: threading.RLock) -> None:
        self._activity = activity
        self._tally = tally
        self._colour = colour
        self._lock = lock
        self._closed = False
        self._drawn_at = 0.0
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._timer = threading.Timer(QUIET_SECONDS, self._show)
        self._timer.daemon = True
        self._timer.start()

    def advance(self, size: int, files: int) -> None:
        self._tally.bytes += size
        self._tally.files += files
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
        from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
        from rich.text import Text

        tally = self._tally

        class Words(ProgressColumn):
            """Asked for at each turn of the screen, so that requests which are repeated show while nothing comes."""

            def render(self, task: Task) -> Text:
                return Text(tally.words())

        with self._lock:
            if self._closed:
                return
            console = Console(stderr=True, no_color=not self._colour, highlight=False)
            bar_width = min(30, console.width - WORDS_WIDTH)
            bar = Progress(
                TextColumn("{task.description}", markup=False),
                *([BarColumn(bar_width)] if tally.total and bar_width >= 10 else []),
                Words(),
                *([TimeRemainingColumn(compact=True)] if tally.total else []),
                console=console,
                transient=True,
                redirect_stdout=False,  # Standard output is data, and may be a file.
                redirect_stderr=False,
            )
            self._task = bar.add_task(printable(self._activity), total=tally.total or None)
            self._bar = bar
            self._draw()
            bar.start()

    def _draw(self) -> None:
        if self._bar is not None and self._task is not None:
            self._drawn_at = time.monotonic()
            self._bar.update(self._task, completed=self._tally.done)


def _of(done: int, total: int, show: Callable[[int], str]) -> str:
    return f"{show(done)} of {show(total)}" if total else show(done)

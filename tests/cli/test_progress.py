"""The progress line: for people who watch, of work that lasts; nothing for anybody else."""

from __future__ import annotations

import io
import sys
import threading
from contextlib import redirect_stderr

import pytest

from datavc.cli import progress as module
from datavc.cli.main import main
from datavc.cli.progress import TerminalProgress
from datavc.cli.terminal import wants_colour


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """What somebody watches; tests make it standard error, which pytest replaces after fixtures have run."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return Terminal()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every work counts as long."""
    monkeypatch.setattr(module, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(module, "REDRAW_SECONDS", 0.0)


def wait_for_the_line() -> None:
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join()


def work(progress: TerminalProgress, *, total_bytes: int = 0, total_files: int = 0) -> None:
    progress.begin("adding", total_bytes=total_bytes, total_files=total_files)
    wait_for_the_line()
    progress.advance(size=1024**2, files=300)
    progress.end()


def test_short_work_draws_nothing_and_leaves_rich_alone(terminal: Terminal, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "rich", None)
    progress = TerminalProgress(watched=True)
    with redirect_stderr(terminal):
        progress.begin("adding", total_bytes=100)
        progress.advance(size=100)
        progress.end()

    assert terminal.getvalue() == ""


@pytest.mark.usefixtures("hasty")
def test_long_work_shows_bytes_files_and_rate(terminal: Terminal):
    with redirect_stderr(terminal):
        work(TerminalProgress(watched=True), total_bytes=2 * 1024**2, total_files=1234)

    shown = terminal.getvalue()
    assert "adding" in shown
    assert "1.0 MiB of 2.0 MiB" in shown
    assert "300 of 1,234 files" in shown
    assert "/s" in shown


@pytest.mark.usefixtures("hasty")
def test_work_of_unknown_size_shows_what_is_done(terminal: Terminal):
    with redirect_stderr(terminal):
        work(TerminalProgress(watched=True))

    assert "1.0 MiB  300 files" in terminal.getvalue()


@pytest.mark.usefixtures("hasty")
def test_requests_that_are_repeated_show_even_while_nothing_comes(terminal: Terminal):
    retries = iter(range(5, 10_000))
    progress = TerminalProgress(watched=True)
    with redirect_stderr(terminal):
        progress.begin(
            "fetching", total_bytes=100, total_files=7, counted="objects", retries=lambda: next(retries)
        )
        wait_for_the_line()
        progress.end()

    assert "0 of 7 objects" in terminal.getvalue()
    assert "1 repeated" in terminal.getvalue()


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(("watched", "quiet"), [(False, False), (True, True)])
def test_nothing_is_drawn_for_nobody_or_who_wants_quiet(terminal: Terminal, watched: bool, quiet: bool):
    with redirect_stderr(terminal):
        work(TerminalProgress(watched=watched, quiet=quiet), total_bytes=2 * 1024**2)

    assert terminal.getvalue() == ""


@pytest.mark.usefixtures("hasty")
def test_standard_output_stays_what_it_is_while_a_line_is_drawn(terminal: Terminal):
    before = sys.stdout
    progress = TerminalProgress(watched=True)
    with redirect_stderr(terminal):
        progress.begin("adding", total_bytes=100)
        wait_for_the_line()
        during = sys.stdout
        progress.end()

    assert terminal.getvalue()
    assert during is before


@pytest.mark.usefixtures("hasty")
def test_notes_stand_above_the_line(terminal: Terminal):
    progress = TerminalProgress(watched=True)
    with redirect_stderr(terminal):
        progress.begin("adding", total_bytes=100)
        wait_for_the_line()
        progress.note("a file [1] has changed")
        progress.end()

    assert "a file [1] has changed\n" in terminal.getvalue()


def test_notes_are_printed_also_when_nobody_watches(capsys: pytest.CaptureFixture[str]):
    TerminalProgress(watched=False).note("100,000 files to add\x07")

    assert capsys.readouterr() == ("", "100,000 files to add\\x07\n")


def test_who_wants_quiet_still_gets_warnings(capsys: pytest.CaptureFixture[str]):
    progress = TerminalProgress(watched=False, quiet=True)

    progress.note("100,000 files to add")
    progress.note("warning: the disk is nearly full")

    assert capsys.readouterr().err == "warning: the disk is nearly full\n"


def test_ending_twice_or_without_a_beginning_is_harmless(terminal: Terminal):
    progress = TerminalProgress(watched=True)
    with redirect_stderr(terminal):
        progress.end()
        progress.advance(size=1)
        progress.begin("a")
        progress.begin("b")
        progress.end()
        progress.end()

    assert not [thread for thread in threading.enumerate() if _waits(thread)]


def _waits(thread: threading.Thread) -> bool:
    return isinstance(thread, threading.Timer) and not thread.finished.is_set()


@pytest.mark.parametrize(
    ("choice", "environment", "watched", "coloured"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"TERM": "dumb"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {}, True, False),
    ],
)
def test_colour_is_for_terminals_unless_told_otherwise(
    choice: str, environment: dict[str, str], watched: bool, coloured: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert wants_colour(Terminal() if watched else io.StringIO(), choice) == coloured


def test_a_closed_stream_is_no_terminal():
    stream = io.StringIO()
    stream.close()

    assert not wants_colour(stream, "auto")


def test_errors_on_a_terminal_are_coloured(terminal: Terminal, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NO_COLOR", raising=False)

    with redirect_stderr(terminal):
        assert main(["stauts"]) == 2
    assert "\x1b[31merror: \x1b[0m" in terminal.getvalue()

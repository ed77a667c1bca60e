"""Whatever ends a command becomes a sentence on standard error and the documented exit code."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap

import pytest
from cli.fakes import put_command

from datavc import errors
from datavc.cli.main import main
from datavc.cli.words import Terminated


def end_with(error: BaseException, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    def status(exit_code: bool = False) -> None:
        """Say what state each dataset is in"""
        raise error

    put_command(monkeypatch, "status", status)
    return main(["status", *arguments])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.DatavcError("x"), 1),
        (errors.UsageError("x"), 2),
        (errors.ObjectNotFound("x"), 1),
        (errors.PartialFailure("x"), 3),
        (errors.RepoNotFound("x"), 10),
        (errors.Locked("x"), 11),
        (errors.DigestMismatch("x"), 12),
        (KeyboardInterrupt(), 130),
        (Terminated(signal.SIGTERM), 143),
        (OSError(errno.EACCES, "Permission denied", "a"), 1),
        (MemoryError(), 1),
        (RuntimeError("x"), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_every_error_has_its_exit_code(error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch):
    assert end_with(error, monkeypatch) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConflictError("x"), 4),
        (OSError(errno.EIO, "Input/output error"), 4),
        (RuntimeError("x"), 4),
        (errors.RepoNotFound("x"), 10),
        (errors.DigestMismatch("x"), 12),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_where_1_means_differences_errors_without_a_code_of_their_own_are_4(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch
):
    assert end_with(error, monkeypatch, "--exit-code") == code


def test_an_error_is_its_sentence_and_each_line_of_its_hint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    end_with(errors.ConflictError("data is in git already", "git rm --cached data\nthen again"), monkeypatch)

    assert capsys.readouterr() == (
        "",
        "error: data is in git already\nhint: git rm --cached data\nhint: then again\n",
    )


def test_an_error_cannot_play_tricks_on_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    end_with(errors.ConflictError("data\x1b]0;owned\x07\udc80"), monkeypatch)

    assert capsys.readouterr().err == "error: data\\x1b]0;owned\\x07\\udc80\n"


def test_errors_are_coloured_when_asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    end_with(errors.ConflictError("x"), monkeypatch, "--color=always")

    assert capsys.readouterr().err == "\x1b[31merror: \x1b[0mx\n"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EACCES, "Permission denied", "/a/b"), "error: /a/b: Permission denied\n"),
        (OSError(errno.EACCES, "Permission denied", b"/a/b"), "error: /a/b: Permission denied\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/a"),
            "error: /a: No space left on device\nhint: free some space there, then run the same command again\n",
        ),
        (OSError(errno.EXDEV, "Invalid", "/a", None, "/b"), "error: /a -> /b: Invalid\n"),
        (
            OSError(errno.EIO, "Input/output error", 7),
            "error: Input/output error\nhint: " + errors.SYSTEM_HINTS[errno.EIO] + "\n",
        ),
        (OSError("odd"), "error: odd\n"),
        (TimeoutError(), "error: TimeoutError\n"),
    ],
)
def test_what_the_system_refuses_is_told_without_a_traceback(
    error: OSError, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    end_with(error, monkeypatch)

    assert capsys.readouterr().err == said


def test_a_bug_shows_where_and_asks_for_a_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    end_with(ZeroDivisionError("by zero"), monkeypatch)

    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert "ZeroDivisionError: by zero" in err
    assert "error: this is a bug in datavc (datavc " in err
    assert "hint: please report it where you got datavc from, with the lines above" in err
    assert "://" not in err


def test_a_traceback_of_an_expected_error_is_shown_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("DATAVC_TRACEBACK", "1")

    end_with(errors.ConflictError("x"), monkeypatch)

    assert "Traceback" in capsys.readouterr().err


def test_signal_handlers_are_as_before_when_a_command_is_done(monkeypatch: pytest.MonkeyPatch):
    inside = []
    before = signal.getsignal(signal.SIGTERM)
    put_command(monkeypatch, "status", lambda: inside.append(signal.getsignal(signal.SIGTERM)))

    main(["status"])

    assert inside != [before]
    assert signal.getsignal(signal.SIGTERM) == before


SLEEPER = """
import sys, time, types

def status():
    try:
        print("started", flush=True)
        {work}
    finally:
        print("cleaned up", file=sys.stderr)

module = types.ModuleType("datavc.cli.commands.status")
module.status = status
sys.modules[module.__name__] = module
from datavc.cli.main import main
sys.exit(main(["status"]))
"""


def start(work: str, **streams: int) -> subprocess.Popen[bytes]:
    code = SLEEPER.format(work=textwrap.indent(work, " " * 8).strip())
    return subprocess.Popen(
        [sys.executable, "-c", code], **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    )


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_the_command_after_its_clean_up(number: signal.Signals, code: int):
    with start("time.sleep(60)") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        _, err = process.communicate()

    assert process.returncode == code
    assert err == b"cleaned up\ninterrupted\n"


def test_output_that_nobody_reads_any_more_ends_the_command_quietly():
    with start("for _ in range(100_000): print('x' * 100)") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()

    assert process.wait() == 141
    assert err == b"cleaned up\n"


def test_a_pipe_broken_elsewhere_is_an_error_that_is_told():
    with start("raise BrokenPipeError(32, 'Broken pipe')") as process:
        _, err = process.communicate()

    assert process.returncode == 1
    assert err == b"cleaned up\nerror: Broken pipe\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_output_that_does_not_fit_on_the_disk_is_an_error():
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        with start("print('data')", stdout=full) as process:
            _, err = process.communicate()
    finally:
        os.close(full)

    assert process.returncode == 1
    assert b"error: No space left on device" in err
    assert b"Traceback" not in err


def test_missing_standard_streams_do_no_harm():
    code = "import sys; from datavc.cli.main import main; sys.exit(main(['--version']))"
    ended = subprocess.run(["sh", "-c", '"$0" -c "$1" >&- 2>&-', sys.executable, code])

    assert ended.returncode == 0

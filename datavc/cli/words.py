"""Errors into words and exit codes: the only place that catches what the rest of datavc lets go by."""

from __future__ import annotations

import os
import sys

from datavc.cli.terminal import paint, printable, say, wants_colour
from datavc.errors import SYSTEM_HINTS, DatavcError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

OK = 0
ERROR = 1
USAGE = 2
ERROR_WHEN_1_MEANS_DIFFERENCES = 4
INTERRUPTED = 130
OWN_FAILURE = 125  # of `datavc run`, whose other codes are those of the command that it runs
NOBODY_READS = 141


class CommandLineError(UsageError):
    """A command line that cannot be understood; ``usage`` is the line that says how it is meant to be."""

    def __init__(self, message: str, usage: str, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.usage = usage


class Terminated(KeyboardInterrupt):
    """A signal asked this process to end: cleaned up after as Ctrl-C is, with an exit code of its own."""

    def __init__(self, signal_number: int) -> None:
        super().__init__()
        self.exit_code = 128 + signal_number


class Teller:
    """Turns what ended a command into words on standard error and an exit code.

    ``color`` is what ``--color`` says; ``error_code`` is the exit code for errors that have none of their own. The
    command line sets both as soon as it knows them.
    """

    def __init__(self) -> None:
        self.color = "auto"
        self.error_code = ERROR

    def run(self, work: Callable[[], int | None]) -> int:
        """Call ``work``; return its exit code, or that of the error that ended it, explained."""
        try:
            code = work() or OK
            # Here, where a full disk or a closed pipe can still be told; at exit Python could only complain.
            if sys.stdout is not None:
                sys.stdout.flush()
            return code
        except DatavcError as error:
            if isinstance(error, CommandLineError):
                self._line("", error.usage, "dim")
            self.tell(error.message, error.hint)
            return (
                self.error_code
                if error.exit_code == ERROR or self.error_code == OWN_FAILURE
                else error.exit_code
            )
        except KeyboardInterrupt as interruption:
            self._line("interrupted", "", "yellow")
            return getattr(interruption, "exit_code", INTERRUPTED)
        except OSError as error:
            if isinstance(error, BrokenPipeError) and _nobody_reads():
                return NOBODY_READS
            _drop_output_that_cannot_be_written()
            self.tell(_sentence(error), SYSTEM_HINTS.get(error.errno or 0))
            return self.error_code
        except MemoryError:
            self.tell("there is not enough memory", "use fewer workers: -j 1")
            return self.error_code
        except Exception:  # noqa: BLE001  whatever else comes this far is a bug of ours
            self._tell_bug()
            return self.error_code

    def tell(self, message: str, hint: str | None = None) -> None:
        """Print an error, and what to do next. DATAVC_TRACEBACK=1 shows where in the code it arose."""
        if os.environ.get("DATAVC_TRACEBACK"):
            _print_traceback()
        self._line("error: ", message, "red")
        for line in (hint or "").splitlines():
            self._line("hint: ", line, "cyan")

    def _line(self, label: str, text: str, style: str) -> None:
        colour = sys.stderr is not None and wants_colour(sys.stderr, self.color)
        try:
            say(paint(label, style, colour=colour) + printable(text))
        except OSError:
            pass  # Nobody hears it; the exit code still says it.

    def _tell_bug(self) -> None:
        import platform

        from datavc import __version__

        _print_traceback()
        versions = f"datavc {__version__}, Python {platform.python_version()}, {platform.platform()}"
        self._line("error: ", f"this is a bug in datavc ({versions})", "red")
        # No address: the one that holds is where this copy of datavc came from.
        report = (
            "please report it where you got datavc from, with the lines above and the command that you typed"
        )
        self._line("hint: ", report, "cyan")


def raise_on_signals() -> Callable[[], None]:
    """Let SIGTERM and SIGHUP end the command as Ctrl-C does; returns what undoes it.

    Signals that somebody chose to ignore (``nohup``) stay ignored. Only the main thread can do this; others are left
    as they are.
    """
    import signal
    import threading

    def end(number: int, frame: object) -> None:
        raise Terminated(number)

    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    changed = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is signal.SIG_DFL]
    for number in changed:
        signal.signal(number, end)

    def undo() -> None:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)

    return undo


def _sentence(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    names = [name for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    if not names:
        return reason
    from datavc.formats.paths import show

    return f"{' -> '.join(show(os.fsencode(name)) for name in names)}: {reason}"


def _nobody_reads() -> bool:
    """Whether the broken pipe is that of our own output, rather than one to a program that we started."""
    import select

    broken = False
    for number in (1, 2):
        poll = select.poll()
        poll.register(number, 0)
        if poll.poll(0):
            broken = True
            _send_to_nowhere(number)
    return broken


def _drop_output_that_cannot_be_written() -> None:
    """Keep Python from trying again at exit what a full disk behind standard output refused already."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        _send_to_nowhere(1)


def _send_to_nowhere(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


def _print_traceback() -> None:
    import traceback

    # Through the one place that leaves secrets out: messages of libraries may have URLs with signatures in them.
    say(traceback.format_exc().rstrip())

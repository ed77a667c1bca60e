"""Runs the git program: which one, with which environment, and what its failures mean. No git command is chosen here.

One git process costs 2 to 4 ms, so callers ask much at once, and :meth:`Git.start` lets two of them run side by side.
``subprocess`` (10 ms) is imported when the first one starts.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from datavc.errors import DatavcError, Locked, NotFoundError, RepoNotFound, StorageError, UsageError
from datavc.formats.paths import shell_word, show

if TYPE_CHECKING:
    from subprocess import Popen

# Git reads these against the current folder of whoever set them, and we start it elsewhere.
_RELATIVE_TO_CALLER = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR")
# These would change what the pathspecs of our own commands mean; and with the last, which a hook in a submodule sees when
# the repository around it is checked out, most of git's commands do not run at all.
_MISLEADING = (
    "GIT_LITERAL_PATHSPECS",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
    "GIT_INTERNAL_SUPER_PREFIX",
)


class Git:
    """The git program, working on the repository at or above ``toplevel``.

    The user's own GIT_DIR, GIT_WORK_TREE, GIT_INDEX_FILE and so on stay in force, as they must inside a hook,
    ``without`` those that are named.

    Raises:
        NotFoundError: there is no git program in PATH.
    """

    def __init__(self, toplevel: Path, *, without: Collection[str] = ()) -> None:
        self.toplevel = toplevel
        self._program = find_program()
        environment = git_environment()
        self._environment = {name: value for name, value in environment.items() if name not in without}

    def run(
        self,
        *arguments: str | bytes,
        input: bytes | None = None,  # noqa: A002 - the word of subprocess.run
        accept: Collection[int] = (0,),
    ) -> bytes:
        """Run one git command to its end and return its standard output.

        Raises:
            DatavcError: it ended with an exit code outside ``accept``; the message has git's own line.
        """
        with self.start(*arguments, input=input) as process:
            return process.finish(accept)

    def start(self, *arguments: str | bytes, input: bytes | None = None) -> GitProcess:  # noqa: A002
        """Start one git command and return at once; leaving the ``with`` block of the result ends it.

        Raises:
            StorageError: the program cannot be started.
        """
        from subprocess import DEVNULL, PIPE, Popen

        try:
            popen = Popen(
                [self._program, "-C", os.fspath(self.toplevel), *arguments],
                stdin=DEVNULL if input is None else PIPE,
                stdout=PIPE,
                stderr=PIPE,
                env=self._environment,
            )
        except OSError as error:
            raise StorageError.by_system(f"cannot start git at {show_path(self._program)}", error) from error
        return GitProcess(popen, _command_name(arguments), self.toplevel, input)


class GitProcess:
    """One git command under way."""

    def __init__(self, popen: Popen[bytes], name: str, toplevel: Path, given: bytes | None) -> None:
        self._popen = popen
        self._name = name
        self._toplevel = toplevel
        self._given = given

    def __enter__(self) -> GitProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._popen.poll() is None:
            self._popen.kill()
        # Closes the pipes and reaps, whatever was read so far.
        self._popen.__exit__(kind, error, trace)

    def wait(self) -> tuple[int, bytes, bytes]:
        """Exit code, standard output and standard error, once it has ended."""
        output, errors = self._popen.communicate(self._given)
        return self._popen.returncode, output, errors

    def finish(self, accept: Collection[int] = (0,)) -> bytes:
        """Its standard output, once it has ended.

        Raises:
            DatavcError: it ended with an exit code outside ``accept``; the message has git's own line.
        """
        code, output, errors = self.wait()
        if code not in accept:
            raise git_failure(self._name, self._toplevel, code, errors)
        return output


def find_program() -> str:
    """Absolute path of the git program.

    Entries of PATH that are relative or empty mean the current folder, where anybody's clone may have planted a
    program called git: they are passed over. (``shutil.which`` would take them, and costs an import.)

    Raises:
        NotFoundError: there is none.
    """
    for folder in os.get_exec_path():
        program = os.path.join(folder, "git")
        if os.path.isabs(folder) and os.path.isfile(program) and os.access(program, os.X_OK):
            return program
    raise NotFoundError(
        "there is no git program in PATH",
        "install git, or keep the datasets of a folder without it: datavc init --no-git",
    )


def git_environment() -> dict[str, str]:
    """This process' environment, in which git speaks English, takes no lock for mere reading, and finds its places."""
    environment = dict(os.environ)
    for name in _MISLEADING:
        environment.pop(name, None)
    for name in _RELATIVE_TO_CALLER:
        if environment.get(name):
            environment[name] = os.path.abspath(environment[name])
    # LANGUAGE outranks LC_ALL for messages. A read that refreshes the index would fail a commit running beside it.
    environment.pop("LANGUAGE", None)
    environment["LC_ALL"] = "C"
    environment["GIT_OPTIONAL_LOCKS"] = "0"
    return environment


def git_failure(name: str, toplevel: Path, code: int, errors: bytes) -> DatavcError:
    """The error that says what git's exit code and standard error mean to a user of datavc."""
    line = _telling_line(errors)
    place = show_path(toplevel)
    if "dubious ownership" in line or "unsafe repository" in line:
        return RepoNotFound(
            f"git refuses the repository at {place}, because its folder belongs to another user",
            f"if you trust it: {_safe_directory_command(errors, toplevel)}",
        )
    if ".lock': File exists" in line:
        lock = line.partition("'")[2].partition("'")[0]
        return Locked(
            f"another git command is at work in {place}: {lock} exists",
            f"wait for it to end; if no git command runs, one was killed here: rm {shell_word(os.fsencode(lock))}",
        )
    if "not a git repository" in line or "invalid gitfile format" in line:
        return RepoNotFound(
            f"git finds no repository at {place}: {line}",
            "if this was a linked worktree or a submodule that moved: git worktree repair, or git submodule update",
        )
    if "is in submodule" in line:
        return UsageError(f"another repository's files: {line}", "run datavc inside the submodule")
    if "is beyond a symbolic link" in line:
        return UsageError(f"git does not follow symlinks: {line}", "name the path that the symlink leads to")
    if not line:
        line = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    return DatavcError(f"git {name} failed in {place}: {line}")


def show_path(path: str | os.PathLike[str]) -> str:
    """A path, ready to stand in a message."""
    return show(os.fsencode(path))


def _telling_line(errors: bytes) -> str:
    """The line of standard error that says what went wrong, among traces, warnings and advice."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    for line in lines:
        if line.startswith((b"fatal: ", b"error: ")):
            return show(line.partition(b": ")[2])
    return show(lines[0]) if lines else ""


def _safe_directory_command(errors: bytes, toplevel: Path) -> str:
    for line in errors.splitlines():
        if line.strip().startswith(b"git config --global --add safe.directory"):
            return show(line.strip())
    return f"git config --global --add safe.directory {shell_word(os.fsencode(toplevel))}"


def _command_name(arguments: tuple[str | bytes, ...]) -> str:
    words = [os.fsdecode(word) for word in arguments]
    settings = {number + 1 for number, word in enumerate(words) if word == "-c"}
    named = (word for number, word in enumerate(words) if number not in settings)
    return next((word for word in named if not word.startswith("-")), "")

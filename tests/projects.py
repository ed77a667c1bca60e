"""A project in a temporary folder, and the words to play a user in it; ``conftest.py`` has the fixtures.

A project sees no configuration of the machine: git's, datavc's and the home folder are its own.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from datavc.formats.record import Record

# What a path of a workspace is, as `Project.tree` tells it: "file", "executable", "symlink" or "folder"; bytes are a
# file's content, a symlink's target, nothing for a folder.
Found = tuple[str, bytes]


class _Captured(io.TextIOWrapper):
    """Text streams over bytes, as standard output is, so that commands may write bytes to ``.buffer``."""

    def __init__(self) -> None:
        self.bytes = io.BytesIO()
        super().__init__(
            self.bytes, encoding="utf-8", errors="surrogateescape", newline="", write_through=True
        )

    def text(self) -> str:
        return os.fsdecode(self.bytes.getvalue())


@dataclass
class Result:
    """How a command ended: ``out`` is its standard output, ``err`` its standard error."""

    code: int
    out: str
    err: str


@dataclass
class Project:
    """A folder under test; ``environment`` is what its commands see."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, files: Mapping[str | bytes, str | bytes | None]) -> None:
        """Write files and the folders above them; a content of None makes an empty folder."""
        for name, content in files.items():
            path = os.path.join(os.fsencode(self.root), os.fsencode(name))
            os.makedirs(path if content is None else os.path.dirname(path), exist_ok=True)
            if content is not None:
                with open(path, "wb") as file:
                    file.write(content.encode() if isinstance(content, str) else content)

    def read(self, name: str | bytes) -> bytes:
        with open(os.path.join(os.fsencode(self.root), os.fsencode(name)), "rb") as file:
            return file.read()

    def datavc(
        self, *arguments: str | bytes, code: int | None = 0, cwd: str = ".", stdin: str = ""
    ) -> Result:
        """Run a command in a process of its own; ``code`` is the exit code it must have, None for any."""
        command = [sys.executable, "-m", "datavc", *arguments]
        return self._spawn(command, code=code, cwd=cwd, stdin=stdin)

    def run(self, *arguments: str, code: int | None = 0, cwd: str = ".") -> Result:
        """Run a command within this process: about ten times faster than :meth:`datavc`, and it can be debugged."""
        from datavc.cli.main import main

        out, err = _Captured(), _Captured()
        with (
            contextlib.chdir(self.root / cwd),
            _environment(self.environment),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                returned = main(list(arguments))
            except SystemExit as end:
                returned = end.code if isinstance(end.code, int) else int(end.code is not None)
        result = Result(int(returned or 0), out.text(), err.text())
        _expect(result, code, ["datavc", *arguments])
        return result

    def git(self, *arguments: str | bytes, code: int | None = 0, cwd: str = ".") -> str:
        """Run git and return its standard output."""
        return self._spawn(["git", *arguments], code=code, cwd=cwd, stdin="").out

    def commit(self, message: str = "a commit") -> str:
        """Commit everything that git sees, and return the commit's id."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD").strip()

    def tree(self, path: str | bytes = ".") -> dict[bytes, Found]:
        """What is on disk under ``path``, by path relative to it; the folder itself, or a lone file, is ``b"."``."""
        top = os.path.join(os.fsencode(self.root), os.fsencode(path))
        return dict(sorted(_walk(top, b".")))

    def clone(self, name: str) -> Project:
        """A git clone of this project beside it, with the same environment."""
        target = self.root.parent / name
        self.git("clone", "--quiet", str(self.root), str(target))
        return Project(target, self.environment)

    def _spawn(self, command: list[str | bytes], *, code: int | None, cwd: str, stdin: str) -> Result:
        ended = subprocess.run(
            command,
            cwd=self.root / cwd,
            env=self.environment,
            input=stdin.encode(),
            capture_output=True,
        )
        result = Result(ended.returncode, os.fsdecode(ended.stdout), os.fsdecode(ended.stderr))
        _expect(result, code, command)
        return result


def records(project: Project) -> list[Record]:
    """What the records of the project's runs say, the newest first."""
    from datavc.operations.steps.runs.lineageindex import LineageIndex
    from datavc.operations.steps.runs.recordstore import read_record
    from datavc.repo import Repo

    repo = Repo.find(project.root)
    index = LineageIndex(repo)
    try:
        return [read_record(repo, known.digest) for known in index.records()]
    finally:
        index.close()


def content(project: Project, record: Record, name: str) -> bytes:
    """One of the objects that a record names: ``stdout``, ``files``."""
    from datavc.repo import Repo

    kept = record.objects[name].digest
    return b"".join(Repo.find(project.root).cache.reader(kept).stream(kept.raw))


def let_go() -> None:
    """Close what commands that ran within this process keep open, so that a file system can be unmounted."""
    from datavc.operations.steps.delivering import deliver
    from datavc.operations.steps.storing import units

    for kept in (deliver._open_reader, units._open_store, units._open_claims):
        kept.cache_clear()
    # Databases hang in cycles of exceptions and frames.
    gc.collect()


def _expect(result: Result, code: int | None, command: list[str | bytes]) -> None:
    if code is not None and result.code != code:
        words = " ".join(os.fsdecode(word) for word in command)
        said = (result.err.strip() or result.out.strip() or "it said nothing").splitlines()
        # The first line is all that a summary of many tests shows.
        first = f"`{words}` ended with {result.code} instead of {code}: {said[0]}"
        pytest.fail("\n".join((first, result.out, result.err)))


def _walk(path: bytes, name: bytes) -> Iterator[tuple[bytes, Found]]:
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        yield name, ("symlink", os.readlink(path))
    elif stat.S_ISDIR(mode):
        yield name, ("folder", b"")
        for child in os.listdir(path):
            yield from _walk(os.path.join(path, child), child if name == b"." else name + b"/" + child)
    else:
        with open(path, "rb") as file:
            yield name, ("executable" if mode & stat.S_IXUSR else "file", file.read())


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def environment_of(home: Path) -> dict[str, str]:
    """An environment without the machine's configuration: git knows who commits, and reads no file of the user's."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "DATAVC_", "GIT_", "JPY_", "PRE_COMMIT_", "XDG_"))
        and name not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS"}
    }
    return kept | {
        "HOME": str(home),
        "LC_ALL": "C.UTF-8" if sys.platform != "darwin" else "en_US.UTF-8",
        "TZ": "UTC",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "init.defaultBranch",
        "GIT_CONFIG_VALUE_0": "main",
        "GIT_CONFIG_KEY_1": "protocol.file.allow",
        "GIT_CONFIG_VALUE_1": "always",
        "GIT_AUTHOR_NAME": "Ada Lovelace",
        "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada Lovelace",
        "GIT_COMMITTER_EMAIL": "ada@example.org",
    }

"""``demo``: the whole story on generated files in a temporary folder, with what a user would type at each step."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from datavc.errors import DatavcError, IntegrityError
from datavc.formats.paths import show
from datavc.operations.add import add
from datavc.operations.checkout import checkout
from datavc.operations.fsck import fsck
from datavc.operations.init import init
from datavc.operations.status import status
from datavc.repo import Repo

Say = Callable[[str], None]
_FILES = 300


def demo(say: Say, *, keep: bool = False) -> Path | None:
    """Play it, telling each step to ``say``. Returns the folder where it is kept, None where it is removed.

    Raises:
        IntegrityError: what came back is not what went in.
    """
    folder = Path(tempfile.mkdtemp(prefix="datavc-demo-"))
    try:
        _play(folder, say)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    return folder if keep else None


def _play(folder: Path, say: Say) -> None:
    git = shutil.which("git")
    story = _Story(folder, say, git)
    story.type("git init" if git else "mkdir project", "a project, as you have one already")
    if git:
        story.git("init", "-q")
    init(folder, no_git=git is None)
    story.type(
        "datavc init" if git else "datavc init --no-git", "datavc.toml and two lines for git are written"
    )
    _make_photos(folder / "photos")
    story.type("cp -r ... photos", f"{_FILES} files arrive in photos/, made up for this demo")
    story.add("first version")
    first = _snapshot(folder / "photos")
    first_pointer = (folder / "photos.datavc").read_bytes()
    _change_photos(folder / "photos")
    story.type("...", "you edit 3 files, add 10 and delete 20")
    for row in status(story.repo(), []):
        states = ", ".join(row.states)
        story.type(
            "datavc status",
            f"{show(row.path)}: {states} ({len(row.added)} added, {len(row.changed)} changed, {len(row.removed)} removed)",
        )
    story.add("second version")
    second = _snapshot(folder / "photos")
    _go(story, folder, first_pointer, "HEAD~1", first)
    _go(story, folder, None, "-", second)
    result = fsck(story.repo())
    if result.problems:
        raise IntegrityError(f"the demo's cache has {len(result.problems)} problems")
    story.type(
        "datavc fsck",
        f"{result.packs} packs with {result.objects} objects read and verified: nothing is wrong",
    )


class _Story:
    def __init__(self, folder: Path, say: Say, git: str | None) -> None:
        self.folder = folder
        self._say = say
        self._program = git

    def repo(self) -> Repo:
        return Repo.find(self.folder)

    def type(self, command: str, happened: str) -> None:
        self._say(f"$ {command}\n  {happened}")

    def git(self, *arguments: str) -> None:
        if self._program is None:
            return
        import subprocess

        identity = ["-c", "user.name=demo", "-c", "user.email=demo@example.org", "-c", "commit.gpgsign=false"]
        command = [self._program, "-C", str(self.folder), *identity, *arguments]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            raise DatavcError(
                f"git {arguments[0]} failed in the demo: {done.stderr.decode(errors='replace').strip()}"
            )

    def add(self, message: str) -> None:
        result = add(self.repo(), [os.fsencode(self.folder / "photos")])
        row = result.datasets[0]
        self.type(
            "datavc add photos",
            f"{row.new_files} new files, {row.new_bytes:,} bytes, are {row.stored_bytes:,} bytes in the cache; "
            f"photos.datavc says {row.digest[:19]}...",
        )
        if self._program is not None:
            self.git("add", "datavc.toml", ".gitattributes", *result.git_add)
            self.git("commit", "-q", "-m", message)
            self.type(
                f"git add {' '.join(result.git_add)} && git commit -m '{message}'",
                "git holds the small pointer",
            )


def _go(
    story: _Story, folder: Path, pointer: bytes | None, revision: str, expected: dict[str, bytes]
) -> None:
    """Go to a version, and compare byte for byte."""
    kept = folder / "kept-pointer"
    if pointer is not None:
        kept.write_bytes((folder / "photos.datavc").read_bytes())
    new = pointer if pointer is not None else kept.read_bytes()
    if pointer is None:
        kept.unlink()
    story.git("checkout", "-q", revision)
    (folder / "photos.datavc").write_bytes(new)
    row = checkout(story.repo(), []).datasets[0]
    if _snapshot(folder / "photos") != expected:
        raise IntegrityError("the demo's files are not what they were")
    story.type(
        f"git checkout {revision} && datavc checkout",
        f"{row.written_files} files written, {row.removed_files} removed: every byte is as it was",
    )


def _make_photos(folder: Path) -> None:
    source = random.Random(1)
    for number in range(_FILES):
        place = folder / f"day{number % 7 + 1}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"photo{number:03}.raw").write_bytes(source.randbytes(source.randrange(1000, 20000)))
    (folder / "latest").symlink_to("day7")
    (folder / "notes.txt").write_text("exposure, place, weather\n" * 500)


def _change_photos(folder: Path) -> None:
    photos = sorted(folder.glob("day*/*.raw"))
    for path in photos[:3]:
        path.write_bytes(path.read_bytes() + b"retouched")
    for path in photos[3:23]:
        path.unlink()
    for number in range(10):
        (folder / "day1" / f"new{number}.raw").write_bytes(random.Random(number).randbytes(5000))


def _snapshot(folder: Path) -> dict[str, bytes]:
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[str(path)] = os.fsencode(os.readlink(path))
        elif path.is_file():
            found[str(path)] = path.read_bytes()
    return found

"""The tools that are compared: for each, the commands that do equal work. Runs and times nothing.

A tool object lives for one *turn* in a new folder: the data lies in ``<turn>/work``, is added, looked at, edited,
added again, and comes back after the data was moved away. What is equal, and what is not:

- cp keeps nothing but the newest copy, and has no status. It is the yardstick for writing as many files and bytes.
- restic and borg are backup programs: their status is a run that finds nothing to save (restic's dry run; borg's
  next archive, as its dry run compares nothing), and they restore beside the data. restic always encrypts.
- DVC and datavc put the data back where it was. Both default to reflinks and fall back to copies; `dvc-copy` is DVC
  told to copy.
- datavc has synced what it wrote when it ends, restic its store; the others leave that to the kernel, and what is
  left shows in the time of the `sync` after them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar, NamedTuple

from data import file_bytes

CHECKOUT_OF_DATAVC = Path(__file__).resolve().parents[2]


class Command(NamedTuple):
    """Words to run in a folder."""

    words: Sequence[str | Path]
    cwd: Path


class Tool(ABC):
    """One tool in one turn; ``data`` is the name of the file or folder in ``work`` that it keeps."""

    name: ClassVar[str]
    program: ClassVar[str]
    store: ClassVar[str]  # the folder that grows, below the turn
    has_status: ClassVar[bool] = False  # a status of its own, not a backup that finds nothing to save

    def __init__(self, start: Sequence[str], turn: Path, data: str) -> None:
        self.start = list(start)
        self.turn = turn
        self.data = data
        self.work = turn / "work"
        self.out = turn / "out"
        for folder in (self.work, self.out, turn / "home", turn / "tmp"):
            folder.mkdir(parents=True)

    @abstractmethod
    def prepare(self) -> list[Command]:
        """What makes an empty store; not timed."""

    @abstractmethod
    def add(self) -> Command:
        """Take in the data for the first time."""

    @abstractmethod
    def status(self) -> Command | None:
        """Find out that nothing has changed; None for a tool that has no such thing."""

    @abstractmethod
    def edit_add(self) -> Command:
        """Take in the data after a change."""

    @abstractmethod
    def checkout(self) -> Command:
        """Write the data as last added, all of it, to :attr:`checked_out`, where nothing is."""

    @property
    def checked_out(self) -> Path:
        return self.out / self.data

    def stored_bytes(self) -> int:
        return file_bytes(self.turn / self.store)

    def environment(self) -> dict[str, str]:
        """What the tool's processes see: nothing of the user's settings, and no bytecode switched off.

        With PYTHONDONTWRITEBYTECODE, as containers like to set it, tools written in Python compile themselves anew
        at each start.
        """
        kept = {key: value for key, value in os.environ.items() if key not in _HIDDEN}
        home = str(self.turn / "home")
        git = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
        return {**kept, **git, "HOME": home, "XDG_CONFIG_HOME": home, "TMPDIR": str(self.turn / "tmp")}

    def version(self) -> list[str]:
        return [*self.start, "--version"]

    def _run(self, *words: str | Path, cwd: Path | None = None) -> Command:
        return Command([*self.start, *words], cwd or self.work)


class Cp(Tool):
    """``cp -r`` there and back; after a change ``cp -ru`` of a folder, where cp knows that (macOS's copies all)."""

    name = program = "cp"
    store = "store"

    def prepare(self) -> list[Command]:
        (self.turn / self.store).mkdir()
        return []

    def add(self) -> Command:
        return self._run("-r", self.data, self.turn / self.store)

    def status(self) -> None:
        return None

    def edit_add(self) -> Command:
        # A twin takes the place of a single file with an mtime of long ago, which -u would take for no change.
        update = sys.platform == "linux" and (self.work / self.data).is_dir()
        return self._run("-ru" if update else "-R", self.data, self.turn / self.store)

    def checkout(self) -> Command:
        return self._run("-r", self.turn / self.store / self.data, self.out)


class Restic(Tool):
    name = program = "restic"
    store = "store"

    def prepare(self) -> list[Command]:
        return [self._run("init", "-q")]

    def add(self) -> Command:
        return self._run("backup", "-q", self.data)

    def status(self) -> Command:
        return self._run("backup", "-q", "--dry-run", self.data)

    def edit_add(self) -> Command:
        return self.add()

    def checkout(self) -> Command:
        return self._run("restore", "-q", "latest", "--target", self.out)

    def environment(self) -> dict[str, str]:
        places = {
            "RESTIC_REPOSITORY": str(self.turn / self.store),
            "RESTIC_CACHE_DIR": str(self.turn / "cache"),
        }
        return {**super().environment(), **places, "RESTIC_PASSWORD": "benchmark"}

    def version(self) -> list[str]:
        return [*self.start, "version"]


class Borg(Tool):
    name = program = "borg"
    store = "store"
    archives = 0

    def prepare(self) -> list[Command]:
        return [self._run("init", "--encryption", "none", self.turn / self.store)]

    def add(self) -> Command:
        self.archives += 1
        return self._run("create", self._newest(), self.data)

    def status(self) -> Command:
        return self.add()

    def edit_add(self) -> Command:
        return self.add()

    def checkout(self) -> Command:
        return self._run("extract", self._newest(), cwd=self.out)

    def _newest(self) -> str:
        return f"{self.turn / self.store}::a{self.archives}"

    def environment(self) -> dict[str, str]:
        base = str(self.turn / "home")
        return {
            **super().environment(),
            "BORG_BASE_DIR": base,
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
        }


class Dvc(Tool):
    name = program = "dvc"
    store = "work/.dvc/cache"
    has_status = True
    settings: ClassVar = {"core.analytics": "false", "core.check_update": "false"}

    def prepare(self) -> list[Command]:
        init = [Command(["git", "init", "-q"], self.work), self._run("init", "-q")]
        return init + [self._run("config", key, value) for key, value in self.settings.items()]

    def add(self) -> Command:
        return self._run("add", "-q", self.data)

    def status(self) -> Command:
        return self._run("status")

    def edit_add(self) -> Command:
        return self.add()

    def checkout(self) -> Command:
        return self._run("checkout", "-q")

    @property
    def checked_out(self) -> Path:
        return self.work / self.data

    def environment(self) -> dict[str, str]:
        own = {"DVC_SITE_CACHE_DIR": str(self.turn / "site"), "DVC_NO_ANALYTICS": "1"}
        return {**super().environment(), **own}


class DvcCopy(Dvc):
    """DVC told to copy: differs from its default where the file system has reflinks."""

    name = "dvc-copy"
    settings: ClassVar = {**Dvc.settings, "cache.type": "copy"}


class Datavc(Tool):
    name = program = "datavc"
    store = "work/.git/datavc/cache"
    has_status = True

    def prepare(self) -> list[Command]:
        return [Command(["git", "init", "-q"], self.work), self._run("init")]

    def add(self) -> Command:
        return self._run("add", self.data)

    def status(self) -> Command:
        return self._run("status")

    def edit_add(self) -> Command:
        return self.add()

    def checkout(self) -> Command:
        return self._run("checkout")

    @property
    def checked_out(self) -> Path:
        return self.work / self.data

    def environment(self) -> dict[str, str]:
        environment = super().environment()
        if "-m" in self.start and not imports_datavc(self.start[0]):
            environment["PYTHONPATH"] = str(CHECKOUT_OF_DATAVC)
        return environment


TOOLS: dict[str, type[Tool]] = {tool.name: tool for tool in (Cp, Datavc, Dvc, DvcCopy, Restic, Borg)}
_HIDDEN = {"PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONUNBUFFERED", "GIT_DIR", "GIT_WORK_TREE"} | {
    key for key in os.environ if key.startswith(("DATAVC_", "DVC_", "BORG_", "RESTIC_"))
}


def find(tool: type[Tool], folders: Sequence[Path], datavc: str | None) -> list[str] | None:
    """The words that start a tool: looked for in ``folders``, then on PATH. None if it is nowhere.

    datavc is started as ``python -m datavc``; ``datavc`` names that interpreter, or a ``datavc`` program.
    """
    if tool is Datavc:
        start = datavc or sys.executable
        return [start, "-m", "datavc"] if Path(start).name.startswith(("python", "pypy")) else [start]
    path = os.pathsep.join([*map(str, folders), os.environ.get("PATH", os.defpath)])
    found = shutil.which(tool.program, path=path)
    return [os.path.abspath(found)] if found else None


@cache
def imports_datavc(interpreter: str) -> bool:
    """Whether an interpreter has datavc installed; if not, it is given the checkout that this file belongs to."""
    environment = {key: value for key, value in os.environ.items() if key not in _HIDDEN}
    done = subprocess.run(
        [interpreter, "-c", "import datavc"], cwd=os.sep, env=environment, capture_output=True, check=False
    )
    return done.returncode == 0

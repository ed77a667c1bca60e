"""The tools whose reliability is compared: for each, the commands that do equal work, as its own manual tells them.

A tool keeps the folder ``data`` of a repository ``work``. ``keep`` returns when the tool has said that it is done; for
DVC and datavc that is ``add``, for those that live in git the commit, too. Nothing is ever forced.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

CHECKOUT_OF_DATAVC = Path(__file__).resolve().parents[2]


class Failed(Exception):
    """A command that should have ended with 0 did not; what it said."""


class Tool:
    """A tool with its settings as they come; ``start`` are the words that start it."""

    name = ""
    program = ""
    git_settings: ClassVar[Mapping[str, str]] = {}
    has_remotes = True
    has_packs = False

    def __init__(self, start: Sequence[str], home: Path) -> None:
        self.start = list(start)
        self.home = home
        home.mkdir(parents=True, exist_ok=True)

    def run(self, cwd: Path, *words: str | Path, check: bool = True) -> int:
        """Run a command; its exit code. Raises Failed where it must be 0 and is not."""
        ended = subprocess.run(
            list(map(str, words)), cwd=cwd, env=self.environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL
        )  # fmt: skip
        if check and ended.returncode != 0:
            said = (ended.stderr or ended.stdout).strip().splitlines()
            raise Failed(f"{' '.join(map(str, words))}: {said[-1] if said else ended.returncode}")
        return ended.returncode

    def tool(self, cwd: Path, *words: str | Path, check: bool = True) -> int:
        return self.run(cwd, *self.start, *words, check=check)

    def git(self, cwd: Path, *words: str | Path, check: bool = True) -> int:
        return self.run(cwd, "git", *words, check=check)

    def environment(self) -> dict[str, str]:
        """Nothing of the user's settings; git knows who commits."""
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "DVC_", "DATAVC_"))
        }
        settings = {"user.name": "Ada", "user.email": "ada@example.org", "protocol.file.allow": "always",
                    "init.defaultBranch": "main", "advice.detachedHead": "false", **self.git_settings}  # fmt: skip
        counted = {"GIT_CONFIG_COUNT": str(len(settings))}
        for number, (key, value) in enumerate(settings.items()):
            counted |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        own = {
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home),
            "PYTHONPATH": str(CHECKOUT_OF_DATAVC),
        }
        return {**kept, **counted, **own, "GIT_CONFIG_GLOBAL": str(self.home / "gitconfig"), "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_TERMINAL_PROMPT": "0"}  # fmt: skip

    def version(self) -> str:
        words = [*self.start, "version" if self.name.startswith("git-annex") else "--version"]
        said = subprocess.run(words, env=self.environment(), capture_output=True, text=True).stdout
        return said.strip().splitlines()[0]

    def init(self, work: Path) -> None:
        self.git(work, "init", "-q")

    def keep(self, work: Path) -> None:
        """Take in ``data`` as it is."""
        raise NotImplementedError

    def commit(self, work: Path, tag: str) -> None:
        """Make what was kept a version that has the name ``tag``."""
        self.git(work, "add", "--all")
        self.git(work, "commit", "-q", "--allow-empty", "-m", tag)
        self.git(work, "tag", tag)

    def restore(self, work: Path) -> int:
        """Write ``data`` again, which is not there."""
        raise NotImplementedError

    def switch(self, work: Path, tag: str) -> int:
        """Make ``data`` that of another version."""
        raise NotImplementedError

    def share(self, work: Path, remote: Path) -> None:
        """Send the newest version to a folder ``remote``."""
        raise NotImplementedError

    def clone(self, remote: Path, target: Path) -> None:
        """A new clone, without any data yet."""
        self.git(remote.parent, "clone", "-q", remote.parent / "git", target)

    def pull(self, target: Path) -> int:
        """Get the data into a clone, or what is missing of it."""
        raise NotImplementedError

    def objects(self, remote: Path) -> list[Path]:
        """The files of the remote that hold data."""
        raise NotImplementedError

    def own_objects(self, work: Path) -> list[Path]:
        """The files of the repository's own store that hold data."""
        raise NotImplementedError

    def _share_git(self, work: Path, remote: Path) -> None:
        if not (remote.parent / "git").exists():
            self.git(work, "init", "-q", "--bare", remote.parent / "git")
            self.git(work, "remote", "add", "origin", remote.parent / "git")
        self.git(work, "push", "-q", "origin", "HEAD:main", "--tags")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


class WithPointers(Tool):
    """Keeps a small file in git for the data: datavc and DVC, whose commands are called alike."""

    def keep(self, work: Path) -> None:
        self.tool(work, "add", "-q", "data")

    def restore(self, work: Path) -> int:
        return self.tool(work, "checkout", "-q", check=False)

    def switch(self, work: Path, tag: str) -> int:
        self.git(work, "checkout", "-q", tag)
        return self.tool(work, "checkout", "-q", check=False)


class Datavc(WithPointers):
    name = program = "datavc"
    has_packs = True

    def init(self, work: Path) -> None:
        super().init(work)
        self.tool(work, "init", "-q")

    def share(self, work: Path, remote: Path) -> None:
        self.tool(work, "remote", "add", "-q", "store", remote)
        self.commit(work, "shared")
        self._share_git(work, remote)
        self.tool(work, "push", "-q")

    def pull(self, target: Path) -> int:
        self.tool(target, "init", "-q", check=False)
        return self.tool(target, "pull", "-q", check=False)

    def objects(self, remote: Path) -> list[Path]:
        return _files(remote / "packs")

    def own_objects(self, work: Path) -> list[Path]:
        return _files(work / ".git/datavc/cache/packs") + _files(work / ".git/datavc/cache/blobs")


class Dvc(WithPointers):
    name = program = "dvc"

    def init(self, work: Path) -> None:
        super().init(work)
        self.tool(work, "init", "-q")
        self.tool(work, "config", "core.analytics", "false")

    def share(self, work: Path, remote: Path) -> None:
        self.tool(work, "remote", "add", "-q", "-d", "store", remote)
        self.commit(work, "shared")
        self._share_git(work, remote)
        self.tool(work, "push", "-q")

    def pull(self, target: Path) -> int:
        return self.tool(target, "pull", "-q", check=False)

    def objects(self, remote: Path) -> list[Path]:
        return [path for path in _files(remote / "files/md5") if path.suffix != ".dir"]

    def own_objects(self, work: Path) -> list[Path]:
        return [path for path in _files(work / ".dvc/cache/files/md5") if path.suffix != ".dir"]

    def environment(self) -> dict[str, str]:
        return {
            **super().environment(),
            "DVC_SITE_CACHE_DIR": str(self.home / "site"),
            "DVC_NO_ANALYTICS": "1",
        }


class VerifyingDvc(Dvc):
    """As DVC, and told to hash what it downloads."""

    name = "dvc+verify"

    def share(self, work: Path, remote: Path) -> None:
        self.tool(work, "remote", "add", "-q", "-d", "store", remote)
        self.tool(work, "remote", "modify", "-q", "store", "verify", "true")
        self.commit(work, "shared")
        self._share_git(work, remote)
        self.tool(work, "push", "-q")


class GitLfs(Tool):
    name = program = "git-lfs"

    def init(self, work: Path) -> None:
        super().init(work)
        self.tool(work, "install", "--local")
        self.tool(work, "track", "data/**")

    def keep(self, work: Path) -> None:
        self.git(work, "add", "--all")
        self.git(work, "commit", "-q", "-m", "kept")

    def restore(self, work: Path) -> int:
        return self.git(work, "checkout", "--", "data", check=False)

    def switch(self, work: Path, tag: str) -> int:
        return self.git(work, "checkout", "-q", tag, check=False)

    def share(self, work: Path, remote: Path) -> None:
        self.commit(work, "shared")
        self._share_git(work, remote)

    def clone(self, remote: Path, target: Path) -> None:
        # Without its filters, git writes the pointers.
        self.git(remote.parent, "clone", "-q", remote.parent / "git", target)
        self.tool(target, "install", "--local")

    def pull(self, target: Path) -> int:
        return self.tool(target, "pull", check=False)

    def objects(self, remote: Path) -> list[Path]:
        return _files(remote.parent / "git/lfs/objects")

    def own_objects(self, work: Path) -> list[Path]:
        return _files(work / ".git/lfs/objects")


class GitAnnex(Tool):
    name = program = "git-annex"

    def init(self, work: Path) -> None:
        super().init(work)
        self.tool(work, "init", "-q")

    def keep(self, work: Path) -> None:
        self.tool(work, "add", "-q", "data")
        self.git(work, "commit", "-q", "-m", "kept")

    def restore(self, work: Path) -> int:
        return self.git(work, "checkout", "--", "data", check=False)

    def switch(self, work: Path, tag: str) -> int:
        return self.git(work, "checkout", "-q", tag, check=False)

    def share(self, work: Path, remote: Path) -> None:
        remote.mkdir()
        self.tool(
            work,
            "initremote",
            "store",
            "type=directory",
            f"directory={remote}",
            "encryption=none",
            "autoenable=true",
        )
        self.tool(work, "copy", "-q", "--to", "store", "data")
        self.commit(work, "shared")
        self._share_git(work, remote)
        self.git(work, "push", "-q", "origin", "git-annex")

    def pull(self, target: Path) -> int:
        self.tool(target, "init", "-q", check=False)
        self.tool(target, "enableremote", "store", f"directory={target.parent / 'remote'}", check=False)
        return self.tool(target, "get", "-q", "data", check=False)

    def objects(self, remote: Path) -> list[Path]:
        return _files(remote)

    def own_objects(self, work: Path) -> list[Path]:
        return _files(work / ".git/annex/objects")


class SyncedGitLfs(GitLfs):
    """As git-lfs, and git told to sync all that it writes."""

    name = "git-lfs+fsync"
    git_settings: ClassVar = {"core.fsync": "all"}


class SyncedGitAnnex(GitAnnex):
    name = "git-annex+fsync"
    git_settings: ClassVar = {"core.fsync": "all"}


_OXEN = """
import sys, oxen
from oxen import Repo
do, work, argument = sys.argv[1:]
oxen.user.config_user("Ada", "ada@example.org")
repo = Repo(work)
if do == "init": repo.init()
elif do == "keep": repo.add(argument); repo.commit("kept")
elif do == "new": repo.checkout(argument, create=True)
elif do == "switch": repo.checkout(argument)
elif do == "restore": repo.restore(argument)
"""


class Oxen(Tool):
    """Through its Python package, which does what its program does; remotes would need its server."""

    name = "oxen"
    program = "python"
    has_remotes = False

    def _do(self, work: Path, do: str, argument: str = "", *, check: bool = True) -> int:
        return self.run(self.home, *self.start, "-c", _OXEN, do, work, argument, check=check)

    def init(self, work: Path) -> None:
        self._do(work, "init")

    def keep(self, work: Path) -> None:
        self._do(work, "keep", "data")

    def commit(self, work: Path, tag: str) -> None:
        self._do(work, "new", tag)
        self._do(work, "switch", "main")

    def restore(self, work: Path) -> int:
        return self._do(work, "restore", "data", check=False)

    def switch(self, work: Path, tag: str) -> int:
        return self._do(work, "switch", tag, check=False)

    def own_objects(self, work: Path) -> list[Path]:
        return [path for path in _files(work / ".oxen/versions") if path.name == "data"]

    def version(self) -> str:
        code = "import importlib.metadata as m; print('oxenai', m.version('oxenai'))"
        return subprocess.run([*self.start, "-c", code], capture_output=True, text=True).stdout.strip()


TOOLS: dict[str, type[Tool]] = {
    tool.name: tool
    for tool in (Datavc, Dvc, VerifyingDvc, GitLfs, SyncedGitLfs, GitAnnex, SyncedGitAnnex, Oxen)
}


def find(tool: type[Tool], folders: Sequence[Path], oxen: str | None) -> list[str] | None:
    """The words that start a tool, looked for in ``folders``, then on PATH; None if it is nowhere.

    Oxen is an interpreter that can import it; ``oxen`` names one.
    """
    if tool is Datavc:
        return [sys.executable, "-m", "datavc"]
    if tool is Oxen:
        python = oxen or sys.executable
        has = subprocess.run([python, "-c", "import oxen"], capture_output=True).returncode == 0
        return [python] if has else None
    path = os.pathsep.join([*map(str, folders), os.environ.get("PATH", os.defpath)])
    found = shutil.which(tool.program, path=path)
    return [found] if found else None

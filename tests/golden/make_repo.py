"""Builds the golden repository of the format that this version writes: ``python tests/golden/make_repo.py FOLDER``.

Each format's archive was built once, by the version that wrote that format, and stays for ever: what is in it must be read by
every later version. A new archive is built when the format number changes, and never again.

It holds ``project`` (a git repository with its cache, two commits of a dataset of every kind of file, one of which is kept as
chunks, and a run with its record) and ``remote``, a folder to which all was pushed. ``tests/test_golden_repos.py`` says what
must come out of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from datavc.store.note import STORE_FORMAT

ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "Ada Lovelace",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada Lovelace",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "USER": "ada",
}
COPY = "cp data/text made && echo it works"


def files(version: int) -> dict[str, bytes | None]:
    """The files of one version of the dataset; None is an empty folder."""
    large = b"".join(b"%08d and so on\n" % number for number in range(0, 100_000, version + 1))
    return {
        "data/text": b"the same in both versions\n",
        "data/sub/changed": b"version %d\n" % version,
        f"data/sub/only-in-{version}": b"",
        "data/large": large,
        "data/odd \xe9\n": b"a name that is no UTF-8 everywhere",
        "data/nothing": None,
    }


def build(folder: Path) -> None:
    """The repository and its remote, in ``folder``."""
    root = folder / "project"
    root.mkdir()
    (folder / "home").mkdir()
    environment = {**os.environ, **ENVIRONMENT, "HOME": str(folder / "home")}

    def run(*command: str) -> None:
        subprocess.run(command, cwd=root, env=environment, check=True, capture_output=True)

    def datavc(*words: str) -> None:
        run(sys.executable, "-m", "datavc", *words)

    def commit(message: str) -> None:
        run("git", "add", "--all")
        run("git", "commit", "--quiet", "--message", message)

    run("git", "init", "--quiet", "--template=", "--initial-branch=main")
    datavc("init")
    (folder / "remote").mkdir()
    datavc("remote", "add", "origin", "../remote", "--no-probe")
    for version in (1, 2):
        for name, content in files(version).items():
            path = root / name
            (path if content is None else path.parent).mkdir(parents=True, exist_ok=True)
            if content is not None:
                path.write_bytes(content)
        if version == 1:
            (root / "data/text").chmod(0o755)
            (root / "data/link").symlink_to("sub/changed")
        else:
            (root / "data/sub/only-in-1").unlink()
        datavc("add", "data")
        commit(f"version {version}")
    datavc("run", "-i", "data", "-o", "made", "--", "sh", "-c", COPY)
    commit("made of it")
    datavc("push", "--yes", "--all-branches")
    datavc("push", "--yes", "--rev", "HEAD~2")


def pack(folder: Path, target: Path) -> None:
    """An archive of what was built, without what is derived."""

    def kept(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
        name = Path(info.name)
        derived = name.suffix in (".db", ".db-journal", ".json") and name.name != "datavc-store.json"
        if (
            derived
            or name.name.startswith(("lock", "filesystem-", "links-"))
            or {"tmp", "clones"} & {*name.parts}
        ):
            return None
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        return info

    with tarfile.open(target, "w:xz", preset=9) as archive:
        for name in ("project", "remote"):
            archive.add(folder / name, name, filter=kept)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        build(Path(scratch))
        pack(Path(scratch), Path(sys.argv[1]) / f"repo-format{STORE_FORMAT}.tar.xz")

"""Random paths out of a nasty alphabet, planted as a stranger would: no inode outside of the dataset changes.

``-m slow`` takes 10,000 of them.
"""

from __future__ import annotations

import os
import random

import pytest
from hostilenames import DOTDATAVC, DOTGIT, MISSHAPEN
from planting import Planter
from projects import Project

from datavc.formats.tree import EXECUTABLE, FILE, FOLDER, SYMLINK

_PIECES = [
    *(name.encode() for name in (*DOTGIT, *DOTDATAVC)),
    *(name for name in MISSHAPEN if len(name) < 100),
    *(b"hooks", b"config", b"post-checkout", b"a", b"outside", b"..\\", b"C:", b"\\\\?\\", b"-rf", b"$(touch x)"),
    *(b"\n", b"\x1b]0;x\x07", b"\xff\xfe", b" ", b"...", b"~", b"con", b"nul.txt", b"datavc.toml", b".gitattributes"),
    *(b".gitmodules", b"planted.datavc"),
]  # fmt: skip
_LEADING = [b"", b"", b"", b"../", b"/", b"./", b"../../outside/", b"\\"]
_PARTS = 50


@pytest.mark.parametrize(
    ("seed", "paths"),
    [(0, 15), *(pytest.param(n, 200, marks=pytest.mark.slow) for n in range(1, _PARTS + 1))],
)
def test_no_random_path_changes_an_inode_outside_of_its_dataset(project: Project, seed: int, paths: int):
    lot = random.Random(seed)
    project.write({".git/hooks/post-checkout": "mine", "mine": "mine"})
    outside = project.root.parent / "outside"
    outside.mkdir()
    (outside / "file").write_text("theirs")
    project.commit("all")
    before = _inodes(project)
    written = 0
    for number in range(paths):
        planter = Planter(project)
        planter.point(b"planted%d" % number, *_version(planter, lot, os.fsencode(outside)))
        pointer = project.root / f"planted{number}.datavc"
        ended = project.run("checkout", "--force", f"planted{number}", code=None)
        assert "bug in datavc" not in ended.err, ended.err[-2000:]
        assert _inodes(project) == before, (seed, number, pointer.read_bytes())
        written += (project.root / f"planted{number}").exists()
        pointer.unlink()
    # Names that are only odd go through: else nothing would have been tried.
    assert 0 < written < paths
    assert sorted(os.listdir(outside)) == ["file"]


def _version(planter: Planter, lot: random.Random, outside: bytes) -> tuple[bytes, int, int]:
    """One path of one to four components; its last is a file, a program, a symlink or an empty folder."""
    kind = lot.choice([FILE, EXECUTABLE, SYMLINK, FOLDER])
    content = (
        lot.choice([outside, b"../../.git/hooks", b"/etc", b".."])
        if kind == SYMLINK
        else b"#!/bin/sh\necho pwned\n"
    )
    size, files = (0, 0) if kind == FOLDER else (len(content), 1)
    digest = planter.tree() if kind == FOLDER else planter.blob(content)
    for _ in range(lot.randrange(1, 5)):
        name = lot.choice(_LEADING) + b"".join(lot.choices(_PIECES, k=lot.choice([1, 1, 1, 2])))
        digest = planter.tree((name, kind, size, files, digest))
        kind = FOLDER
    return digest, size, files


def _inodes(project: Project) -> list[tuple[object, ...]]:
    """All that no checkout may touch: what is beside the datasets, and beside the project."""
    found: list[tuple[object, ...]] = []
    top = os.fsencode(project.root.parent)
    for folder, names, files in os.walk(top):
        inside = os.path.relpath(folder, top)
        names[:] = [name for name in names if not _is_ours(os.path.join(inside, name))]
        for name in (*names, *files):
            path = os.path.normpath(os.path.join(inside, name))
            if not _is_ours(path):
                seen = os.lstat(os.path.join(folder, name))
                changes = seen.st_mtime_ns if not os.path.isdir(os.path.join(folder, name)) else 0
                found.append((path, seen.st_ino, seen.st_mode, seen.st_size * bool(changes), changes))
    return sorted(found)


def _is_ours(path: bytes) -> bool:
    path = os.path.normpath(path)
    return path.startswith(
        (b"project/planted", b"project/.git/datavc", b"project/.git/index", b"project/.gitignore")
    )

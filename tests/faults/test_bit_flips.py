"""Every single bit of a small repo, flipped one by one: fsck finds it, or nothing depends on it.

The quick part takes every 211th bit of each file, ``-m slow`` all of them, in parts. A remote is read with ``--full``.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from projects import Project, let_go

from datavc.errors import DatavcError
from datavc.formats.header import KNOWN_FORMATS
from datavc.formats.pointer import parse_pointer
from datavc.operations.fsck import fsck
from datavc.operations.fsck_remote import fsck_remote
from datavc.repo import Repo

_PARTS = 96
_FEW = (211, 0)
strides = pytest.mark.parametrize(
    "bits",
    [_FEW, *(pytest.param((_PARTS, part), marks=pytest.mark.slow) for part in range(_PARTS))],
    ids=["some bits", *(f"part {part}" for part in range(_PARTS))],
)
Bits = tuple[int, int]


@pytest.fixture
def small(git_project: Project) -> Project:
    """A folder in packs, a whole blob, a pack index, a root; all of it on a remote, too."""
    project = git_project
    project.run("init")
    project.run("config", "--local", "cache.link", "hardlink")
    project.run("config", "--local", "cache.share_above", "100")
    noise = random.Random(0).randbytes
    project.write({"data/a": "alpha " * 10, "data/sub/b": noise(20), "data/sub/c": noise(101)})
    (project.root / "data/link").symlink_to("a")
    project.run("add", "data")
    project.run("remote", "add", "origin", str(project.root.parent / "remote"))
    project.commit("one")
    project.run("push")
    return project


def _flips(file: Path, bits: Bits) -> Iterator[str]:
    """While each is worked on, one bit of the file is another."""
    (stride, first), data = bits, file.read_bytes()
    file.chmod(0o644)
    with open(file, "r+b", buffering=0) as raw:
        for bit in range(first, len(data) * 8, stride):
            place, mask = bit // 8, 1 << bit % 8
            os.pwrite(raw.fileno(), bytes([data[place] ^ mask]), place)
            yield f"{file} byte {place} bit {bit % 8}: {data[max(0, place - 20) : place + 20]!r}"
            os.pwrite(raw.fileno(), data[place : place + 1], place)


def _says(check: Callable[[Repo], list], root: Path) -> bool:
    """Whether a look at the repo finds something wrong, or refuses to look."""
    try:
        return bool(check(Repo.find(root)))
    except DatavcError:
        return True


def _cache_problems(repo: Repo) -> list:
    """Also datasets that are not here: whether a remote has them is asked there."""
    found = fsck(repo)
    return [*found.problems, *found.elsewhere]


def _remote_problems(repo: Repo) -> list:
    return fsck_remote(repo, "origin", full=True).problems


@strides
def test_every_bit_of_a_cache_that_flips_is_found(small: Project, record_property, bits: Bits):
    cache = small.root / ".git/datavc/cache"
    assert not _says(_cache_problems, small.root)
    flipped = 0
    for file in _stored(cache, ("packs", "blobs", "indexes", "roots", "datavc-store.json")):
        for where in _flips(file, bits):
            assert _says(_cache_problems, small.root) or _is_harmless(file), where
            flipped += 1
    assert not _says(_cache_problems, small.root)
    record_property("bits", flipped)
    print(f"{flipped} bits")


@strides
def test_every_bit_of_a_remote_that_flips_is_found(small: Project, record_property, bits: Bits):
    remote = small.root.parent / "remote"
    assert not _says(_remote_problems, small.root)
    flipped = 0
    for file in _stored(remote, ("packs", "indexes", "roots", "datavc-store.json")):
        for where in _flips(file, bits):
            assert _says(_remote_problems, small.root) or _is_harmless(file), where
            flipped += 1
    assert not _says(_remote_problems, small.root)
    record_property("bits", flipped)
    print(f"{flipped} bits")


def _is_harmless(file: Path) -> bool:
    """The note of a store has an id and a version that nobody looks at who knows its format; 0 and 1 are read alike."""
    return file.name == "datavc-store.json" and json.loads(file.read_text())["format"] in KNOWN_FORMATS


def _stored(store: Path, parts: tuple[str, ...]) -> list[Path]:
    files = sorted(file for file in store.rglob("*") if file.is_file())
    found = [file for file in files if file.relative_to(store).parts[0] in parts]
    assert {file.relative_to(store).parts[0] for file in found} == set(parts)
    return found


@strides
def test_every_bit_of_a_pointer_that_flips_is_found(small: Project, record_property, bits: Bits):
    file, flipped = small.root / "data.datavc", 0
    # Pointers of format 0 are read for ever, and say the same: an edit that git shows.
    meant = parse_pointer(file.read_bytes(), "data")
    earlier = file.read_bytes().replace(b"format = 1\n", b"format = 0\n", 1)
    for where in _flips(file, bits):
        if file.read_bytes() == earlier:
            assert parse_pointer(earlier, where) == meant
            assert "data.datavc" in small.git("diff", "--name-only"), where
        else:
            assert _says(_cache_problems, small.root), where
        flipped += 1
    record_property("bits", flipped)
    print(f"{flipped} bits")


@strides
def test_every_bit_of_the_committed_configuration_that_flips_is_refused_or_seen_by_git(
    small: Project, record_property, bits: Bits
):
    file = small.root / "datavc.toml"
    meant, flipped, refused = tomllib.loads(file.read_text()), 0, 0
    for where in _flips(file, bits):
        flipped += 1
        if _says(_cache_problems, small.root):
            refused += 1
        else:
            # What it still says is a comment, or another setting, as an edit would make it: for git to show.
            assert tomllib.loads(file.read_text()) == meant or "datavc.toml" in small.git(
                "diff", "--name-only"
            ), where
    record_property("bits", flipped)
    print(f"{flipped} bits, {refused} refused")


# Not derived: the cache's own files, who uses it (what cannot be read there counts as needing everything), workspace
# states, the local configuration.
_KEPT = ("cache/", "state/", "config.toml")
_COMMANDS = [
    ["status"],
    ["diff"],
    ["checkout"],
    ["add", "data"],
    ["ls", "-r"],
    ["cat", "data/a"],
    ["push"],
    ["fetch"],
    ["fsck"],
    ["fsck", "-r", "origin"],
    ["runs"],
    ["log"],
    ["remote", "status"],
    ["evict", "--dry-run"],
    ["gc", "--dry-run"],
    ["doctor"],
]


def _derived_files(root: Path) -> list[Path]:
    private = root / ".git/datavc"
    files = sorted(file for file in private.rglob("*") if file.is_file())
    return [file for file in files if not str(file.relative_to(private)).startswith(_KEPT)]


def _damage(file: Path, how: str) -> None:
    data = file.read_bytes()
    if how == "deleted":
        file.unlink()
    else:
        noise = random.Random(len(data)).randbytes
        made = {"emptied": b"", "garbage": noise(max(300, len(data))), "cut": data[: len(data) // 2]}
        made["one byte"] = (
            bytes([*data[: len(data) // 2], 255, *data[len(data) // 2 + 1 :]]) if data else b"\xff"
        )
        file.chmod(0o644)
        file.write_bytes(made[how])


@pytest.mark.parametrize("how", ["deleted", "emptied", "garbage", "cut", "one byte"])
def test_with_any_derived_file_damaged_every_command_works_on(small: Project, how: str):
    for command in _COMMANDS:
        small.run(*command)
    small.run("run", "-o", "made", "--", "cp", "data/a", "made")
    small.run("whence", "made")
    small.commit("made")
    tree, names = (
        small.tree("data"),
        [str(file.relative_to(small.root)) for file in _derived_files(small.root)],
    )
    expected = {tuple(command): small.run(*command) for command in _COMMANDS}
    start = small.root.parent / "start"
    subprocess.run(["cp", "-a", small.root, start], check=True)
    assert len(names) > 4, names
    for name in names:
        for command in _COMMANDS:
            if not (small.root / name).exists():
                break
            _damage(small.root / name, how)
            ended = small.run(*command, code=None)
            assert ended.code == 0, (name, command, ended.out, ended.err)
            if command[0] in ("ls", "cat", "status", "runs", "log"):
                assert ended.out == expected[tuple(command)].out, (name, command)
            assert small.tree("data") == tree, (name, command)
            let_go()
            if not (small.root / name).exists() and (start / name).exists():
                subprocess.run(["cp", "-a", start / name, small.root / name], check=True)
        small.run("fsck")
    print(f"{len(names)} files: {names}")

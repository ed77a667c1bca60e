"""Real file systems of other kinds, each in an image file behind a loop device.

They show what a test on ext4 alone would never see. They need Linux, root, the mkfs program and a kernel that
knows them; where one of these is missing the test is skipped and says which.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

MIB = 1 << 20

# By name: the mkfs command before the image's path, mount options, the smallest size in bytes that mkfs
# takes.
_KINDS: dict[str, tuple[list[str], str, int]] = {
    "xfs": (["mkfs.xfs", "-q", "-f", "-m", "reflink=1"], "loop", 300 * MIB),
    "btrfs": (["mkfs.btrfs", "-q", "-f"], "loop", 128 * MIB),
    "ext4": (["mkfs.ext4", "-q", "-F"], "loop", 8 * MIB),
    "ext4-casefold": (["mkfs.ext4", "-q", "-F", "-O", "casefold", "-E", "encoding=utf8"], "loop", 8 * MIB),
    "vfat": (["mkfs.vfat"], "loop,utf8=1", 8 * MIB),
}


@contextlib.contextmanager
def loop_filesystem(kind: str, tmp_path: Path, size: int = 0) -> Iterator[Path]:
    """The top folder of a new, empty file system of that kind, of ``size`` bytes or the smallest possible.

    Skips the test, with the reason, where it cannot be had. Unmounted and deleted at the end, whatever
    happens. On "ext4-casefold" the folder that is given has the casefold attribute.
    """
    command, options, least = _KINDS[kind]
    _need(kind, sys.platform == "linux", "loop devices are Linux's")
    _need(kind, os.geteuid() == 0, "mounting needs root")
    _need(kind, shutil.which(command[0]) is not None, f"{command[0]} is not installed")
    image, top = tmp_path / f"{kind}.img", tmp_path / f"{kind}-mounted"
    top.mkdir()
    try:
        with open(image, "wb") as file:
            file.truncate(max(size, least))
        _run(kind, [*command, str(image)])
        # util-linux makes the loop device and detaches it again with the unmount.
        _run(kind, ["mount", "-t", kind.partition("-")[0], "-o", options, str(image), str(top)])
        try:
            yield _casefolded(kind, top) if kind == "ext4-casefold" else top
        finally:
            _unmount(top)
    finally:
        image.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            top.rmdir()


@contextlib.contextmanager
def mounted(image: Path, top: Path, options: str = "") -> Iterator[Path]:
    """An image that is there already, at ``top``; ``options`` are more than its kind's own."""
    kind = image.name.partition(".")[0]
    own = _KINDS[kind][1]
    _run(kind, ["mount", "-t", kind, "-o", f"{own},{options}" if options else own, str(image), str(top)])
    try:
        yield top
    finally:
        _unmount(top)


@contextlib.contextmanager
def memory_filesystem(tmp_path: Path, size: int) -> Iterator[Path]:
    """The top folder of a new, empty tmpfs that holds ``size`` bytes, to the page. Skips as :func:`loop_filesystem`."""
    _need("tmpfs", sys.platform == "linux", "it is Linux's")
    _need("tmpfs", os.geteuid() == 0, "mounting needs root")
    top = tmp_path / "tmpfs-mounted"
    top.mkdir()
    _run("tmpfs", ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(top)])
    try:
        yield top
    finally:
        _unmount(top)
        top.rmdir()


def _casefolded(kind: str, top: Path) -> Path:
    folder = top / "folded"
    folder.mkdir()
    _run(kind, ["chattr", "+F", str(folder)])
    return folder


def _unmount(top: Path) -> None:
    done = subprocess.run(["umount", str(top)], capture_output=True, text=True)
    if done.returncode != 0:
        # A process still has a file open there: take it out of sight now, the kernel detaches it when that
        # ends.
        subprocess.run(["umount", "--lazy", str(top)], check=True)
        raise RuntimeError(f"{top} was still in use: {done.stderr.strip()}")


def _run(kind: str, command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    said = (done.stderr or done.stdout).strip().splitlines()
    _need(kind, done.returncode == 0, f"{command[0]} failed: {said[0] if said else done.returncode}")


def _need(kind: str, condition: bool, reason: str) -> None:
    if not condition:
        _skip(f"no {kind} file system here: {reason}")


def _skip(reason: str) -> NoReturn:
    print(reason)
    pytest.skip(reason)

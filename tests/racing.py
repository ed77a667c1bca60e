"""Races of processes, since threads take turns: commands at once; a folder that becomes a symlink to the outside."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from projects import Project, Result

_FLIP = """
import itertools, os, sys
place, outside, away, each_elsewhere = sys.argv[1:]
def tried(call, *arguments):
    try:
        call(*arguments)
    except OSError:
        pass
print("ready", flush=True)
for number in itertools.count():
    hidden = os.path.join(away, str(number)) if each_elsewhere else away
    tried(os.rename, place, hidden)
    tried(os.symlink, outside, place)
    tried(os.unlink, place)
    tried(os.rename, hidden, place)
"""


def at_once(*started: tuple[Project, list[str]], apart: float = 0) -> list[Result]:
    """Start all of these commands, each ``apart`` seconds after the one before it, and wait for all of them."""
    running = []
    for project, arguments in started:
        running.append(
            subprocess.Popen(
                [sys.executable, "-m", "datavc", *arguments],
                cwd=project.root,
                env=project.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
        time.sleep(apart)
    results = []
    for process in running:
        out, err = process.communicate(timeout=240)
        assert b"Traceback" not in err, err.decode()
        results.append(Result(process.returncode, os.fsdecode(out), os.fsdecode(err)))
    return results


@contextlib.contextmanager
def flipping(place: Path, outside: Path, away: Path, *, each_elsewhere: bool = False) -> Iterator[None]:
    """While the block runs, ``place`` is moved to ``away``, is a symlink to ``outside``, and comes back, over and over.

    ``each_elsewhere`` moves it to another name in the folder ``away`` each time: for a block that makes ``place`` anew.
    """
    arguments = [str(place), str(outside), str(away), "yes" if each_elsewhere else ""]
    process = subprocess.Popen([sys.executable, "-c", _FLIP, *arguments], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield
    finally:
        process.kill()
        process.communicate()

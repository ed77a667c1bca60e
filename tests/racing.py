"""A race that another process runs, since threads take turns: a folder becomes a symlink to the outside and back."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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

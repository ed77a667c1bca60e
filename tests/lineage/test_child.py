"""A command that is run: what becomes of it when somebody presses Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from threading import Thread

import pytest

from datavc.lineage.child import Output, run_child


def test_ctrl_c_at_the_first_word_that_is_shown_reaches_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shown: list[bytes] = []
    real = Thread.start
    started: list[Thread] = []

    def start(thread: Thread) -> None:
        real(thread)
        started.append(thread)
        if len(started) == 1:
            # Whoever reads the first word is faster than the thread that has begun to show it.
            raise KeyboardInterrupt

    monkeypatch.setattr(Thread, "start", start)
    program = "import time; print('ready', flush=True); time.sleep(600)"
    # As from a script that is no terminal: then it is passed on.
    monkeypatch.setattr("datavc.lineage.child._is_at_terminal", lambda: False)
    ended = run_child(
        [sys.executable, "-c", program], tmp_path, os.environ, Output(shown.append), Output(shown.append)
    )

    assert ended.interrupted
    assert ended.signal == signal.SIGINT or ended.code
    assert len(started) == 2

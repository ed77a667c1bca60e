"""The tutorial does what it says: its commands run, one after the other, and print what is shown."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from projects import environment_of

TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Step:
    """A command, the line it stands on, and what it prints; a shown ``...`` stands for anything."""

    line: int
    command: str
    shown: list[str]


def read_steps(text: str) -> list[Step]:
    """Each ``$ command`` of the console blocks; a line that begins with ``> `` continues it."""
    steps: list[Step] = []
    for block in BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(1)) + 1
        for number, line in enumerate(block[1].splitlines(), first):
            if line.startswith("$ "):
                steps.append(Step(number, line[2:], []))
            elif line.startswith("> ") and not steps[-1].shown:
                steps[-1].command += "\n" + line[2:]
            else:
                steps[-1].shown.append(line)
    return steps


def matches(shown: list[str], printed: str) -> bool:
    """Whether the output is what is shown: ``...`` within a line is any text in it, a line of it any lines."""
    pattern = ""
    for line in shown:
        if line.strip() == "...":
            pattern += r"(?:[^\n]*\n)*"
        else:
            pattern += "[^\n]*".join(map(re.escape, line.rstrip().split("..."))) + "[ ]*\n"
    return (
        re.fullmatch(pattern, printed if printed.endswith("\n") or not printed else printed + "\n")
        is not None
    )


class Shell:
    """Runs commands one by one, each where the one before has left off."""

    def __init__(self, folder: Path) -> None:
        programs = folder / "bin"
        programs.mkdir()
        program = programs / "datavc"
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m datavc "$@"\n')
        program.chmod(0o755)
        (folder / "home").mkdir()
        self._environment = environment_of(folder / "home")
        self._environment["PATH"] = f"{programs}{os.pathsep}{self._environment['PATH']}"
        self._place = folder / "place"
        self._place.write_text(str(folder))

    def run(self, command: str) -> tuple[int, str]:
        """The exit code, and standard output and error as a terminal shows them."""
        script = f'{command}\ncode=$?\npwd > "{self._place}"\nexit $code'
        ended = subprocess.run(
            ["bash", "-c", script],
            cwd=self._place.read_text().strip(),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return ended.returncode, ended.stdout.decode()


def test_every_command_of_the_tutorial_prints_what_is_shown(tmp_path: Path):
    shell = Shell(tmp_path)
    steps = read_steps(TUTORIAL.read_text(encoding="utf-8"))

    for step in steps:
        code, printed = shell.run(step.command)

        place = f"docs/tutorial.md:{step.line}: {step.command}"
        assert code == 0, f"{place}\nended with {code}:\n{printed}"
        shown = "\n".join(step.shown)
        assert not step.shown or matches(step.shown, printed), (
            f"{place}\nshown:\n{shown}\nprinted:\n{printed}"
        )


def test_the_tutorial_has_commands():
    assert len(read_steps(TUTORIAL.read_text(encoding="utf-8"))) > 10


def test_dots_stand_for_text_within_a_line_and_for_whole_lines():
    assert matches(["added ... files"], "added 3 files\n")
    assert matches(["first", "...", "last"], "first\nx\ny\nlast\n")
    assert matches(["first", "...", "last"], "first\nlast\n")
    assert not matches(["added ... files"], "added 3\n4 files\n")
    assert not matches(["first"], "first\nsecond\n")

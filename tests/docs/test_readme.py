"""The README's two commands are those that CI runs, and what it says exists does."""

from __future__ import annotations

import re
from pathlib import Path

from datavc.cli import table

REPO = Path(__file__).resolve().parents[2]
README = (REPO / "README.md").read_text(encoding="utf-8")


def _one_liners() -> list[str]:
    """The shell blocks of one line."""
    return [
        block
        for block in re.findall(r"^```sh\n(.*?)\n```$", README, re.MULTILINE | re.DOTALL)
        if "\n" not in block
    ]


def test_two_commands_set_up_and_test():
    setting_up, testing = _one_liners()

    assert setting_up.endswith("datavc demo")
    assert "pytest" in testing


def test_ci_runs_the_same_two_commands():
    script = (REPO / ".ci" / "run").read_text(encoding="utf-8")

    assert [line for line in _one_liners() if line not in script] == []


def test_the_commands_that_it_lists_are_those_that_exist():
    sentence = re.search(r"There is: (.*?), over", README, re.DOTALL)
    assert sentence is not None

    listed = set(re.findall(r"`([a-z -]+)`", sentence[1]))

    called_by_git = {command.name for command in table.family("git")}
    assert listed == set(table.COMMANDS) - {"completion"} - called_by_git

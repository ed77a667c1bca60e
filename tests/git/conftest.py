"""The environment of these tests: git sees no configuration but the project's own."""

from __future__ import annotations

import os

import pytest
from projects import Project

from datavc.git.program import Git


@pytest.fixture(autouse=True)
def _only_our_environment(bare_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name not in bare_project.environment:
            monkeypatch.delenv(name)
    for name, value in bare_project.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def git(git_project: Project) -> Git:
    return Git(git_project.root)

"""Fixtures that every folder of tests may use; what a project can do is in ``projects.py``."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from projects import Project, environment_of
from servers import KEYS, end_servers

# How long an example takes on a busy machine says nothing about the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# Tests that are started in the background, or under nohup, ignore these, and so would the commands that they start.
# A handler of one's own, unlike SIG_IGN, is not handed down.
for _sent in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(_sent) == signal.SIG_IGN:
        signal.signal(_sent, lambda *_: None)


# The servers of tests are on this machine, whatever proxy leads to the others, and want no keys but those of CI.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
for _name in [name for name in os.environ if name.startswith("AWS_") and name not in KEYS]:
    del os.environ[_name]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, help="where tests that draw lots of their own begin; they print it")


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int | None:
    """What ``--seed`` says."""
    given: int | None = request.config.getoption("--seed")
    return given


@pytest.fixture(scope="session", autouse=True)
def servers_end() -> Iterator[None]:
    """What tests left running for the next ones is ended with the last."""
    yield
    end_servers()


@pytest.fixture
def bare_project(tmp_path: Path) -> Project:
    """An empty folder: no git, no datavc."""
    home = tmp_path / "home"
    root = tmp_path / "project"
    home.mkdir()
    root.mkdir()
    return Project(root, environment_of(home))


@pytest.fixture
def git_project(bare_project: Project) -> Project:
    """An empty git repository, before `datavc init`."""
    bare_project.git("init", "--quiet")
    return bare_project


@pytest.fixture
def project(git_project: Project) -> Project:
    """A git repository after `datavc init`, all of it committed."""
    git_project.run("init")
    git_project.commit("datavc init")
    return git_project


@pytest.fixture
def here(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The project, in which this process now works, with its environment and no other."""
    monkeypatch.chdir(project.root)
    for name in set(os.environ) - set(project.environment):
        monkeypatch.delenv(name)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    return project

"""``datavc gc -r`` on a bucket: marks, removes, waits, brings back and deletes, as in a folder."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from projects import Project
from servers import S3Server, s3_server

from datavc.operations import gc as operation

pytestmark = pytest.mark.s3
DAY = 86_400

Later = Callable[[float], None]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """Let gc believe that it is so many days later: a bucket's own stamps cannot be set."""

    def set_clock(days: float) -> None:
        monkeypatch.setattr(operation, "checked_clock", lambda backend: time.time() + days * DAY)

    return set_clock


def add(project: Project, size: int) -> None:
    project.write({"data": os.urandom(size)})
    project.run("add", "--force", "data")


@pytest.fixture
def two(project: Project, server: S3Server) -> Project:
    """A version that is needed, and a smaller one that nothing here leads to any more, both in a bucket."""
    project.environment.update(server.environment)
    url = f"s3://{server.make_bucket('gc')}/x"
    project.run("remote", "add", "--no-probe", "lab", url, "--endpoint", server.endpoint)
    project.commit("remote")
    for size in (400_000, 100_000):
        add(project, size)
        project.commit(str(size))
        project.run("push", "--yes")
    project.git("branch", "gone")
    project.git("reset", "-q", "--hard", "HEAD~1")
    project.run("checkout", "--force")
    return project


def let_go(project: Project) -> None:
    project.git("branch", "-q", "-D", "gone")
    project.git("reflog", "expire", "--expire=now", "--all")
    (project.root / ".git/ORIG_HEAD").unlink(missing_ok=True)


def collected(project: Project, *words: str) -> dict[str, Any]:
    return dict(json.loads(project.run("gc", "-r", "lab", "--json", "--yes", *words).out))


def test_it_removes_after_a_grace_deletes_after_another_and_brings_back_in_between(
    two: Project, later: Later
):
    later(100)
    assert collected(two)["removed"] == []  # a branch leads to it
    let_go(two)
    later(0)
    assert collected(two)["recent"] == 1
    later(15)
    said = collected(two)
    assert (len(said["removed"]), said["freed_bytes"]) == (1, 0)
    assert said["doomed_bytes"] > 100_000
    digest = said["removed"][0]["digest"]

    assert "1 version brought back" in two.run("gc", "-r", "lab", "--restore").err
    two.run("fsck", "-r", "lab", "--full")
    assert len(collected(two)["removed"]) == 1
    later(13)  # the bucket's stamps are of today
    assert collected(two)["freed_bytes"] == 0
    later(15)
    assert collected(two)["freed_bytes"] > 100_000
    two.run("fsck", "-r", "lab", "--full")
    clone = two.clone("clone")
    clone.run("pull")
    assert clone.read("data") == two.read("data")
    assert clone.run("fetch", digest, code=None).code != 0


def test_a_dry_run_changes_nothing_and_without_a_grace_all_goes_at_once(two: Project, later: Later):
    let_go(two)
    assert (
        "would be removed: nothing needs 1 version"
        in two.run("gc", "-r", "lab", "--grace", "0", "--dry-run").out
    )
    assert collected(two, "--grace", "0")["freed_bytes"] > 100_000
    assert collected(two, "--grace", "0")["freed_bytes"] == 0
    two.run("fsck", "-r", "lab", "--full")


def test_a_bucket_that_keeps_versions_is_told_of_when_it_is_added_and_whenever_something_is_deleted(
    project: Project, server: S3Server
):
    """Ceph's gateway overwrites there what it must not, and says so to the probe."""
    project.environment.update(server.environment)
    url = f"s3://{server.make_bucket('versions', keeps_versions=True)}/x"
    added = project.run("remote", "add", "lab", url, "--endpoint", server.endpoint)
    assert "keeps earlier versions of what is deleted" in added.err
    project.commit("remote")
    for size in (400_000, 100_000):
        add(project, size)
        project.run("push", "--yes")
    warning = "until they are deleted there, too, the bytes stay"
    assert warning not in project.run("gc", "-r", "lab", "--grace", "0", "--dry-run").err
    assert warning in project.run("gc", "-r", "lab", "--grace", "0", "--yes").err
    assert warning in project.run("purge", "data", "--reason", "x", "--yes").err


def test_a_push_of_what_is_doomed_rescues_it(two: Project, later: Later):
    other = two.clone("other")
    other.run("config", "--local", "cache.dir", str(two.root / ".git/datavc/cache"))
    other.git("checkout", "-q", "origin/gone")
    let_go(two)
    later(15)
    assert len(collected(two)["removed"]) == 1
    other.run("push", "--yes", "data")
    later(40)
    assert collected(two)["freed_bytes"] == 0
    clone = other.clone("clone")
    clone.git("fetch", "-q", str(other.root), "HEAD")
    clone.git("checkout", "-q", "FETCH_HEAD")
    clone.run("pull")
    two.run("fsck", "-r", "lab", "--full")


def test_what_another_clone_pushed_goes_when_it_is_asked_for(two: Project, later: Later):
    other = two.clone("other")
    add(other, 50_000)
    other.commit("theirs")
    other.run("push", "--yes")
    later(100)
    said = two.run("gc", "-r", "lab", "--dry-run").out
    assert "--older-than DAYS" in said and f"{os.environ.get('USER', os.getuid())}@" in said
    assert collected(two)["removed"] == []
    assert len(collected(two, "--older-than", "90")["removed"]) == 1
    two.run("fsck", "-r", "lab", "--full")

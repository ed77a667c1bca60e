"""``ls``, ``du``, ``diff``, ``cat`` and ``status`` on a clone without data fetch what they need to see, and say so."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from projects import Project
from servers import S3Server, s3_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def clone(project: Project) -> Project:
    """A clone that has pulled nothing, of a project with a large file, a small one, and a dataset that is a file."""
    project.write({"data/big": os.urandom(3 << 20), "data/sub/small": "small\n", "one": "1", "data/none": ""})
    project.run("add", "data", "one")
    project.run("remote", "add", "store", "../store")
    project.run("push")
    project.commit("data")
    return project.clone("clone")


def cached_bytes(project: Project) -> int:
    cache = project.root / ".git/datavc/cache/packs"
    return sum(path.stat().st_size for path in cache.rglob("xxh128-*"))


@pytest.mark.parametrize("words", [["ls", "-r", "data"], ["du", "-d", "1", "data"], ["diff", "data"]])
def test_folders_are_listed_from_afar(words: list[str], clone: Project):
    first = clone.run(*words)

    assert "data/sub" in first.out
    assert "is not here: its folders came from store" in first.err
    assert "--offline forbids that" in first.err
    assert 0 < cached_bytes(clone) < 10_000
    again = clone.run(*words)
    assert (again.out, again.err) == (first.out, "")


@pytest.mark.parametrize(
    "words", [["ls", "data"], ["du", "-d", "1", "data"], ["diff", "data"], ["cat", "data/sub/small"]]
)
def test_nobody_is_asked_where_that_is_forbidden(words: list[str], clone: Project):
    result = clone.run(*words, "--offline", code=1)

    assert "not" in result.err
    assert cached_bytes(clone) == 0


def test_a_file_comes_alone(clone: Project):
    result = clone.run("cat", "data/sub/small")

    assert result.out == "small\n"
    assert "its sub/small came from store" in result.err
    assert cached_bytes(clone) < 10_000
    assert clone.run("cat", "data/sub/small").err == ""
    assert clone.run("cat", "one").out == "1"
    assert clone.run("cat", "data/none").out == ""


def test_a_file_is_not_fetched_where_that_is_forbidden(clone: Project):
    clone.run("ls", "-r", "data")

    assert "is not in" in clone.run("cat", "--offline", "data/sub/small", code=1).err
    assert clone.run("cat", "data/sub/small").out == "small\n"


def test_a_large_file_comes_whole(clone: Project):
    ended = clone.datavc("cat", "data/big")

    assert os.fsencode(ended.out) == (clone.root.parent / "project/data/big").read_bytes()


def test_status_of_a_bare_clone_asks_nobody(clone: Project):
    shutil.rmtree(clone.root.parent / "store")

    assert clone.run("status").out == "data: missing, not in the cache\none: missing, not in the cache\n"
    assert "next: datavc pull data" in clone.run("status").err


def test_status_tells_what_changed_after_the_cache_was_emptied(clone: Project):
    clone.run("pull")
    clone.run("evict")
    clone.write({"data/sub/small": "other\n"})
    (clone.root / ".git/datavc/stat.db").unlink()

    assert "changes unknown" in clone.run("status", "--offline").out
    assert "(1 changed)" in clone.run("status").out


def test_without_a_remote_nothing_changes(clone: Project):
    clone.run("remote", "remove", "store")

    assert "is not in" in clone.run("ls", "data", code=1).err


def test_where_the_remote_fails_the_reason_is_said(clone: Project):
    shutil.rmtree(clone.root.parent / "store")
    result = clone.run("ls", "data", code=1)

    assert "warning: what is not here could not be fetched" in result.err
    assert "error: a folder of the version " in result.err


def test_an_address_that_is_not_allowed_is_not_contacted(clone: Project):
    text = clone.read("datavc.toml").decode().replace("../store", "sftp://nowhere.invalid/x")
    clone.write({"datavc.toml": text})

    assert "was not contacted" in clone.run("ls", "data", code=1).err


@pytest.mark.s3
def test_a_bucket_is_looked_into_like_a_folder(clone: Project, server: S3Server):
    origin = Project(clone.root.parent / "project", clone.environment)
    origin.environment.update(server.environment)
    url = f"s3://{server.make_bucket('afar')}/x"
    origin.run("remote", "add", "--no-probe", "--default", "lab", url, "--endpoint", server.endpoint)
    origin.run("push")
    clone.write({"datavc.toml": origin.read("datavc.toml")})

    assert "data/sub/small" in clone.run("ls", "-r", "data").out
    assert clone.run("cat", "data/sub/small").out == "small\n"


def test_damage_here_is_not_papered_over(clone: Project):
    clone.run("pull")
    for path in (clone.root / ".git/datavc/cache/packs").rglob("xxh128-*"):
        data = bytearray(path.read_bytes())
        data[20:-80] = bytes(len(data[20:-80]))
        path.chmod(0o644)
        path.write_bytes(data)
    (clone.root / ".git/datavc/stat.db").unlink()

    assert "damaged" in clone.run("ls", "data", code=12).err

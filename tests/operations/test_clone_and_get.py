"""``datavc clone`` brings a repository with its data; ``datavc get`` brings one version, from anywhere to anywhere."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import Project
from servers import S3Server, running, s3_server

from datavc.errors import StorageError
from datavc.operations import clone


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def pushed(project: Project) -> Project:
    """A project whose datasets, a folder and a file, are in a store beside it."""
    project.write({"data/a": "alpha", "data/sub/b": os.urandom(3 << 20), "data/empty": None, "one.bin": "1"})
    (project.root / "data/run").symlink_to("a")
    (project.root / "data/a").chmod(0o755)
    project.run("add", "data", "one.bin")
    project.run("remote", "add", "store", str(project.root.parent / "store"))
    project.run("push")
    project.commit("data")
    return project


def digest_of(project: Project, path: str = "data") -> str:
    return next(row["digest"] for row in json.loads(project.run("ls", "--json").out) if row["path"] == path)


def leftovers(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.startswith(".datavc-tmp")]


# clone


def test_a_clone_has_the_data(pushed: Project):
    beside = Project(pushed.root.parent, pushed.environment)
    result = beside.run("clone", str(pushed.root), "new/clone")

    clone = Project(pushed.root.parent / "new/clone", pushed.environment)
    assert clone.tree("data") == pushed.tree("data")
    assert "\nnew/clone/data: " in result.out
    assert clone.run("status").out == "data: clean\none.bin: clean\n"
    assert "these are the pointers of commit" in result.err
    assert clone.git("remote", "get-url", "origin").strip() == str(pushed.root)
    assert leftovers(pushed.root.parent / "new") == []


@pytest.mark.parametrize("suffix", ["", "/", "/.git"])
def test_a_clone_is_called_as_git_would_call_it(pushed: Project, suffix: str):
    elsewhere = Project(pushed.root.parent / "elsewhere", pushed.environment)
    elsewhere.write({"x": None})
    elsewhere.run("clone", f"../project{suffix}")

    assert (elsewhere.root / "project/data/a").is_file()


def test_a_failed_clone_leaves_nothing_behind(pushed: Project):
    beside = Project(pushed.root.parent, pushed.environment)
    before = sorted(os.listdir(beside.root))
    assert beside.run("clone", "nothing-there", code=1).err.startswith("error: git clone failed")
    assert "not empty" in beside.run("clone", "project", code=1).err
    assert sorted(os.listdir(beside.root)) == before


def test_what_looks_like_an_option_is_none(pushed: Project):
    beside = Project(pushed.root.parent, pushed.environment)
    beside.run("clone", "--", "--upload-pack=touch pwned", code=1)

    assert not (beside.root / "pwned").exists()


def test_a_repository_without_datavc_is_cloned_all_the_same(git_project: Project):
    git_project.write({"readme": "hello"})
    git_project.commit()
    beside = Project(git_project.root.parent, git_project.environment)

    assert "datavc is not used" in beside.run("clone", "project", "clone").err
    assert (beside.root / "clone/readme").is_file()


def test_where_the_data_cannot_be_had_the_clone_is_there_and_the_way_on_is_said(pushed: Project):
    beside = Project(pushed.root.parent, pushed.environment)
    (beside.root / "store").rename(beside.root / "moved")
    result = beside.run("clone", "project", "clone", code=None)

    assert result.code in (1, 2)
    assert f"then: cd {beside.root / 'clone'} && datavc pull" in result.err
    (beside.root / "moved").rename(beside.root / "store")
    Project(beside.root / "clone", pushed.environment).run("pull")


@pytest.mark.parametrize(
    ("number", "before"),
    [(errno.ENOSPC, "free some space there, then: "), (errno.EINTR, ""), (errno.EACCES, "")],
)
def test_a_clone_that_the_disk_cut_off_is_gone_on_with_by_a_pull_and_not_by_another_clone(
    pushed: Project, monkeypatch: pytest.MonkeyPatch, number: int, before: str
):
    def fail(*arguments: object, **options: object) -> None:
        raise StorageError.by_system("x", OSError(number, "cut off"))

    monkeypatch.setattr(clone, "pull", fail)
    beside = Project(pushed.root.parent, pushed.environment)
    said = beside.run("clone", "project", "clone", code=1).err

    assert f"hint: {before}cd {beside.root / 'clone'} && datavc pull\n" in said
    assert "same command" not in said


def test_a_risky_address_is_not_contacted_by_a_clone(pushed: Project):
    pushed.run("remote", "set-url", "store", "sftp://nowhere.invalid/x")
    pushed.commit("elsewhere")
    result = Project(pushed.root.parent, pushed.environment).run("clone", "project", "clone", code=2)

    assert "was not contacted" in result.err
    assert "remote.store.allow sftp://nowhere.invalid/x" in result.err


# get


def test_a_version_is_got_without_any_repository(pushed: Project):
    beside = Project(pushed.root.parent, pushed.environment)
    beside.run("-C", "..", "get", "store", digest_of(pushed), "-o", "got", cwd="home")

    assert beside.tree("got") == pushed.tree("data")
    assert leftovers(beside.root) == []
    assert set(os.listdir(beside.root)) == {"home", "project", "store", "got"}


def test_a_few_digits_and_a_file_will_do(pushed: Project):
    beside = Project(pushed.root.parent, pushed.environment)
    got = json.loads(beside.run("get", "store", digest_of(pushed, "one.bin")[:15], "-o", "x", "--json").out)

    assert beside.read("x") == b"1"
    assert (got["kind"], got["dataset"], got["size"]) == ("file", "one.bin", 1)


@pytest.mark.s3
def test_a_version_is_got_from_a_bucket(pushed: Project, server: S3Server):
    pushed.environment.update(server.environment)
    url, endpoint = f"s3://{server.make_bucket('got')}/x", ("--endpoint", server.endpoint)
    pushed.run("remote", "add", "--no-probe", "lab", url, *endpoint)
    pushed.run("push", "-r", "lab")
    beside = Project(pushed.root.parent, pushed.environment)
    beside.run("get", url, digest_of(pushed), "-o", "got", *endpoint)

    assert beside.tree("got") == pushed.tree("data")


def test_a_version_is_got_from_a_web_server(pushed: Project, tmp_path: Path):
    store = str(pushed.root.parent / "store")
    command = [sys.executable, "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", store]
    beside = Project(pushed.root.parent, pushed.environment)
    repo = json.loads(pushed.run("config", "repo", "--json").out)[0]["value"]
    with running(command, tmp_path / "web.log") as address:
        words = ["get", address, digest_of(pushed), "-o", "got"]
        assert "--repo ID" in beside.run(*words, code=2).err
        beside.run(*words, "--repo", repo)

    assert beside.tree("got") == pushed.tree("data")


def test_the_users_cache_knows_nothing_of_it(pushed: Project):
    beside = Project(
        pushed.root.parent, pushed.environment | {"DATAVC_CACHE_DIR": str(pushed.root.parent / "shared")}
    )
    beside.run("get", "store", digest_of(pushed), "-o", "got")

    assert not (beside.root / "shared").exists()


def test_what_is_interrupted_goes_on(pushed: Project, monkeypatch: pytest.MonkeyPatch):
    beside = Project(pushed.root.parent, pushed.environment)
    words = ("get", "store", digest_of(pushed), "-o", "got")
    with monkeypatch.context() as patch:
        patch.setattr("datavc.operations.pull.checkout", _interrupt)
        beside.run(*words, code=130)
    assert not (beside.root / "got").exists()
    for path in (beside.root / "store/packs").rglob("xxh128-*"):
        path.rename(path.with_name("away"))

    beside.run(*words)
    assert beside.tree("got") == pushed.tree("data")
    assert leftovers(beside.root) == []


def _interrupt(*arguments: object, **options: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["store", "DIGEST", "-o", "project"], 1, "is there already"),
        (["store", "xxh128:00000000", "-o", "got"], 1, "no version xxh128:00000000"),
        (["store", "data", "-o", "got"], 2, "is no digest"),
        (["store", "md5:0123456789", "-o", "got"], 2, "is no digest"),
        (["nowhere", "DIGEST", "-o", "got"], 1, "nowhere cannot be opened"),
        (["store", "DIGEST", "-o", ".git"], 2, "no name"),
        (["ftp://x/y", "DIGEST", "-o", "got"], 2, "knows no stores"),
        (["store", "DIGEST", "-o", "got", "--repo", "0" * 32], 1, "no version"),
        (["store", "DIGEST"], 2, "-o"),
    ],
)
def test_what_cannot_be_got_is_refused_in_words(words: list[str], code: int, said: str, pushed: Project):
    beside = Project(pushed.root.parent, pushed.environment)
    result = beside.run("get", *(word.replace("DIGEST", digest_of(pushed)) for word in words), code=code)

    assert said in result.err
    assert not (beside.root / "got").exists()
    assert leftovers(beside.root) == []


def test_a_damaged_store_gives_nothing(pushed: Project):
    beside = Project(pushed.root.parent, pushed.environment)
    for path in (beside.root / "store/packs").rglob("xxh128-*"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.chmod(0o644)
        path.write_bytes(data)
    result = beside.run("get", "store", digest_of(pushed), "-o", "got", code=None)

    assert result.code in (1, 12)
    assert not (beside.root / "got").exists()

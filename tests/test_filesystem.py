"""``datavc://`` for fsspec: fsspec's own suite as far as it is about reading, and what datavc promises besides."""

from __future__ import annotations

import errno
import os
import pickle
import shutil
import subprocess
import sys
import tomllib
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.tests import abstract
from projects import Project
from remotes import add_folder, watch_remotes

from datavc.errors import DigestMismatch, ObjectNotFound, RepoNotFound, UsageError
from datavc.filesystem import DatasetFile, DatavcFileSystem

REPO = Path(__file__).resolve().parents[1]
CACHE = ".git/datavc/cache"


@pytest.fixture(autouse=True)
def registered() -> None:
    """As the entry point does it, whether or not datavc is installed."""
    fsspec.register_implementation("datavc", DatavcFileSystem, clobber=True)


@pytest.fixture
def pushed(here: Project, tmp_path: Path) -> Project:
    """v1 and what came after, on a remote alone: the cache is gone."""
    here.write(
        {"data/x.csv": "a,b\n1,2\n", "data/sub/y.csv": "a,b\n3,4\n", "data/a:b": "colon", "one.txt": "one"}
    )
    (here.root / "data" / "latest").symlink_to("x.csv")
    (here.root / "data" / "round").symlink_to(".")
    here.run("add", "data", "one.txt")
    add_folder(here, tmp_path / "remote")
    here.git("tag", "v1")
    here.run("push", "--yes")
    here.write({"data/x.csv": "a,b\n5,6\n"})
    here.run("add", "data")
    here.commit("v2")
    here.run("push", "--yes")
    shutil.rmtree(here.root / CACHE)
    return here


class _Fixtures(abstract.AbstractFixtures):
    """Scenarios that other file systems write themselves are added by ``datavc add``, and not cleaned up."""

    @pytest.fixture
    def fs(self, here: Project) -> DatavcFileSystem:
        return DatavcFileSystem(here.root)

    @pytest.fixture
    def fs_path(self) -> str:
        return "data"

    @pytest.fixture
    def fs_join(self) -> Any:
        return lambda *names: "/".join(names)

    def _added(self, here: Project, make: Any) -> str:
        make(abstract.LocalFileSystem(auto_mkdir=True), os.path.join, str(here.root / "data"))
        here.run("add", "data")
        shutil.rmtree(here.root / "data")
        return "data/source"

    def test_get_directory_recursive(
        self, here: Project, fs: Any, fs_join: Any, local_fs: Any, local_join: Any, local_path: Any
    ) -> None:
        """As fsspec's own (issue 1062 there), which writes what it then gets."""

        def make(local: Any, join: Any, path: str) -> None:
            for name in ("source/file", "source/subdir/file"):
                local.touch(join(path, name))

        source = self._added(here, make)
        target = local_join(local_path, "target")
        for place, found in ((source, target), (source + "/", target)):
            local_fs.mkdir(target)
            fs.get(place, target, recursive=True)
            names = ["file", "subdir", "subdir/file"]
            below = found if place.endswith("/") else local_join(target, "source")
            assert local_fs.find(below, withdirs=True)[-3:] == [local_join(below, name) for name in names]
            local_fs.rm(target, recursive=True)
            fs.get(place, target, recursive=True)
            assert local_fs.find(target) == [local_join(target, "file"), local_join(target, "subdir", "file")]
            local_fs.rm(target, recursive=True)

    @pytest.fixture
    def fs_bulk_operations_scenario_0(self, here: Project) -> str:
        return self._added(here, self._bulk_operations_scenario_0)

    @pytest.fixture
    def fs_glob_edge_cases_files(self, here: Project) -> str:
        return self._added(here, self._glob_edge_cases_files)

    @pytest.fixture
    def fs_dir_and_file_with_same_name_prefix(self, here: Project) -> str:
        return self._added(here, self._dir_and_file_with_same_name_prefix)

    @pytest.fixture
    def fs_10_files_with_hashed_names(self, here: Project) -> str:
        return self._added(here, self._10_files_with_hashed_names)


class TestGet(_Fixtures, abstract.AbstractGetTests):  # type: ignore[misc]
    pass


class TestGetAtARevision(_Fixtures, abstract.AbstractGetTests):  # type: ignore[misc]
    """The same, with a revision in front of every path."""

    def _added(self, here: Project, make: Any) -> str:
        super()._added(here, make)
        here.commit("data")
        here.git("tag", "v1")
        (here.root / "data.datavc").unlink()
        return "v1:data/source"


def test_of_fsspec_s_own_suite_only_what_writes_is_left_out():
    suites = {name for name in vars(abstract) if name.startswith("Abstract")}
    run = {base.__name__ for kind in (TestGet, TestGetAtARevision) for base in kind.__mro__}

    # copy and put write; open and pipe are about creating files that must not be there yet.
    assert suites - run == {
        "AbstractCopyTests",
        "AbstractOpenTests",
        "AbstractPipeTests",
        "AbstractPutTests",
    }


def test_the_entry_point_leads_to_the_file_system():
    declared = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["entry-points"]["fsspec.specs"]
    module, _, name = declared["datavc"].partition(":")

    assert getattr(sys.modules[module], name) is DatavcFileSystem


def test_a_url_says_revision_and_path(pushed: Project):
    def read(url: str, **options: Any) -> bytes:
        with fsspec.open(url, **options) as file:
            content: bytes = file.read()
            return content

    assert read("datavc://data/x.csv") == b"a,b\n5,6\n"
    assert read("datavc://v1:data/x.csv") == b"a,b\n1,2\n"
    assert read("datavc://data/x.csv", rev="v1") == b"a,b\n1,2\n"
    assert read("datavc://HEAD:data/x.csv", rev="v1") == b"a,b\n5,6\n"
    assert read("datavc://./data/a:b") == b"colon"
    assert read("datavc://v1:data/a:b") == b"colon"
    assert read("datavc://one.txt") == b"one"


def test_text_is_read_as_text(pushed: Project):
    with fsspec.open("datavc://v1:data/x.csv", "r") as file:
        assert list(file) == ["a,b\n", "1,2\n"]


@pytest.mark.parametrize("start", ["", "v1:"])
def test_names_that_are_listed_can_be_opened(start: str, pushed: Project):
    fs = DatavcFileSystem()

    names = fs.find(start)

    colon = "v1:data/a:b" if start else "./data/a:b"
    rest = ["data/latest", "data/round", "data/sub/y.csv", "data/x.csv", "one.txt"]
    assert names == [colon, *(start + name for name in rest)]
    for name in fs.find(start + "data"):
        if fs.isfile(name):
            assert fs.cat_file(name) == fs.cat_file("datavc://" + name)
    assert {name.rpartition("/")[2] for name in fs.ls(start + "data", detail=False)} == {
        "a:b",
        "latest",
        "round",
        "sub",
        "x.csv",
    }
    assert fs.glob(f"{start}*/*.csv") == [f"{start}data/x.csv"]
    assert fs.glob(f"{start}**/y.csv") == [f"{start}data/sub/y.csv"]
    assert [folder for folder, _, _ in fs.walk(start)] == [start, f"{start}data", f"{start}data/sub"]


def test_symlinks_are_what_they_lead_to_and_never_walked_in_circles(pushed: Project):
    fs = DatavcFileSystem()
    infos = {info["name"]: info for info in fs.ls("data")}

    assert (infos["data/latest"]["type"], infos["data/latest"]["size"]) == ("file", 8)
    assert infos["data/latest"]["islink"] and not infos["data/x.csv"]["islink"]
    assert infos["data/round"]["type"] == "link"
    assert fs.isdir("data/round")
    assert fs.cat_file("data/round/round/x.csv") == b"a,b\n5,6\n"


def test_ranges_count_from_either_end(pushed: Project):
    fs = DatavcFileSystem()

    assert fs.cat_file("data/x.csv", 1, 3) == b",b"
    assert fs.cat_file("data/x.csv", -4, -1) == b"5,6"
    assert fs.head("data/x.csv", 2) == b"a,"
    assert fs.tail("data/x.csv", 2) == b"6\n"
    assert fs.cat_ranges(["data/x.csv", "v1:data/x.csv"], 4, [7, 5]) == [b"5,6", b"1"]
    assert fs.cat(["data/x.csv", "one.txt"]) == {"data/x.csv": b"a,b\n5,6\n", "one.txt": b"one"}
    assert fs.cat("data/sub", recursive=True) == {"data/sub/y.csv": b"a,b\n3,4\n"}
    assert fs.cat("one.txt") == b"one"


def test_what_is_not_there_is_a_file_not_found(pushed: Project):
    fs = DatavcFileSystem()

    for path in ("nowhere", "data/none", "v1:data/none", "data/x.csv/y"):
        assert not fs.exists(path)
        assert not fs.isfile(path)
        with pytest.raises(FileNotFoundError, match="in no dataset"):
            fs.open(path)
    with pytest.raises(IsADirectoryError):
        fs.open("data")
    with pytest.raises(UsageError, match="v9"):
        fs.exists("v9:data/x.csv")


def test_bytes_that_nobody_has_are_no_missing_file(pushed: Project, tmp_path: Path):
    shutil.rmtree(tmp_path / "remote" / "roots")
    fs = DatavcFileSystem()

    for ask in (fs.exists, fs.isfile, fs.open, fs.find):
        with pytest.raises(ObjectNotFound):
            ask("data/x.csv")


def test_nothing_can_be_written(pushed: Project):
    fs = DatavcFileSystem()

    for mode in ("wb", "ab", "xb", "r+b"):
        with pytest.raises(OSError, match="read-only") as caught:
            fs.open("data/new", mode)
        assert caught.value.errno == errno.EROFS


def test_an_instance_sees_one_state_until_it_is_told_to_look_again(pushed: Project):
    fs = DatavcFileSystem()
    assert fs.cat_file("data/x.csv") == b"a,b\n5,6\n"
    pushed.write({"data/x.csv": "a,b\n7,8\n"})
    pushed.run("add", "data")

    assert fs.cat_file("data/x.csv") == b"a,b\n5,6\n"
    assert DatavcFileSystem().cat_file("data/x.csv") == b"a,b\n7,8\n"
    fs.invalidate_cache()
    assert fs.cat_file("data/x.csv") == b"a,b\n7,8\n"


def test_the_repository_is_that_of_the_folder_in_which_the_instance_was_made(
    pushed: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    fs = fsspec.filesystem("datavc")
    monkeypatch.chdir(tmp_path)

    assert fs.cat_file("one.txt") == b"one"
    with pytest.raises(RepoNotFound):
        fsspec.filesystem("datavc").exists("one.txt")
    assert fsspec.filesystem("datavc", repo=pushed.root).cat_file("one.txt") == b"one"


def _read(fs: DatavcFileSystem, path: str) -> bytes:
    content: bytes = fs.cat_file(path)
    return content


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_it_goes_to_worker_processes_with_no_secret(
    method: str, pushed: Project, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    fs = DatavcFileSystem(rev="v1")
    assert fs.cat_file("data/x.csv") == b"a,b\n1,2\n"
    monkeypatch.chdir("/")

    with ProcessPoolExecutor(1, mp_context=get_context(method)) as executor:
        assert executor.submit(_read, fs, "data/x.csv").result() == b"a,b\n1,2\n"
    assert b"very-secret" not in pickle.dumps(fs)
    assert pickle.loads(pickle.dumps(fs)).rev == "v1"


def test_an_open_file_can_be_pickled_and_goes_on_where_it_was(pushed: Project):
    with DatavcFileSystem().open("data/x.csv") as file:
        assert isinstance(file, DatasetFile)
        file.read(4)
        with pickle.loads(pickle.dumps(file)) as copy:
            assert (file.size, file.mode, file.info()["type"], copy.read()) == (8, "rb", "file", b"5,6\n")


def test_instances_are_equal_where_every_path_has_the_same_content(pushed: Project, tmp_path: Path):
    fs = DatavcFileSystem()
    same = [DatavcFileSystem(pushed.root), pickle.loads(pickle.dumps(fs)), fs.from_json(fs.to_json())]
    assert all(other == fs and hash(other) == hash(fs) and other.repo == str(pushed.root) for other in same)

    pushed.write({"data/x.csv": "a,b\n7,8\n"})
    pushed.run("add", "data")

    assert DatavcFileSystem() != fs
    assert DatavcFileSystem(rev="v1") != fs


def test_the_next_instance_knows_where_things_are_while_the_configuration_is_the_same(
    pushed: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []
    watch_remotes(monkeypatch, lambda method, name, done: asked.append(name) if done else None)
    assert DatavcFileSystem(cache_bytes=0).cat_file("data/x.csv") == b"a,b\n5,6\n"
    before = len(asked)

    assert DatavcFileSystem(cache_bytes=0).cat_file("data/sub/y.csv") == b"a,b\n3,4\n"
    assert {name.partition("/")[0] for name in asked[before:]} == {"packs"}

    shutil.copytree(tmp_path / "remote", tmp_path / "moved")
    shutil.rmtree(tmp_path / "remote")
    pushed.run("remote", "set-url", "origin", str(tmp_path / "moved"))
    assert DatavcFileSystem(cache_bytes=0).cat_file("one.txt") == b"one"


def test_of_many_ranges_each_gets_its_own_error(pushed: Project):
    found = DatavcFileSystem().cat_ranges(["data/x.csv", "nowhere", "data"], 0, 3)

    assert found[0] == b"a,b"
    assert [type(error) for error in found[1:]] == [FileNotFoundError, IsADirectoryError]


def test_a_url_with_a_secret_is_refused_and_not_shown():
    with pytest.raises(UsageError, match=r"https://ada:\*\*\*@host/repo.git") as caught:
        DatavcFileSystem("https://ada:hunter2@host/repo.git")

    assert "hunter2" not in str(caught.value)


def test_a_git_url_needs_no_clone_and_sees_what_was_committed_there(pushed: Project, tmp_path: Path):
    url = f"file://{pushed.root}"
    fs = DatavcFileSystem(url)
    assert fs.cat_file("data/x.csv") == b"a,b\n5,6\n"
    assert fs.cat_file("v1:data/x.csv") == b"a,b\n1,2\n"

    pushed.write({"data/x.csv": "a,b\n9,9\n"})
    pushed.run("add", "data")
    commit = pushed.commit("v3")
    pushed.run("push", "--yes")

    assert fs.cat_file("data/x.csv") == b"a,b\n5,6\n"
    assert DatavcFileSystem(url).cat_file("data/x.csv") == b"a,b\n9,9\n"
    shutil.move(pushed.root, tmp_path / "away")
    assert DatavcFileSystem(url, rev=commit).cat_file("data/x.csv") == b"a,b\n9,9\n"


def test_a_git_url_without_datavc_says_so(here: Project, tmp_path: Path):
    other = tmp_path / "other"
    subprocess.run(["git", "init", "-q", str(other)], check=True)
    subprocess.run(["git", "-C", str(other), "commit", "-q", "--allow-empty", "-m", "one"], check=True)

    with pytest.raises(RepoNotFound, match="datavc is not set up in file://"):
        DatavcFileSystem(f"file://{other}").ls("")


def test_the_digest_tells_one_content_from_another(pushed: Project):
    fs = DatavcFileSystem()

    assert fs.ukey("data/x.csv") == fs.info("data/latest")["digest"] != fs.ukey("v1:data/x.csv")
    assert fs.modified("data/x.csv").year > 2000


def test_damage_is_an_error_and_never_other_bytes(pushed: Project, tmp_path: Path):
    for pack in (tmp_path / "remote" / "packs").rglob("xxh128-*"):
        data = bytearray(pack.read_bytes())
        for at in range(8, len(data) - 40, 3):
            data[at] ^= 1
        pack.chmod(0o644)
        pack.write_bytes(data)

    with pytest.raises(DigestMismatch):
        DatavcFileSystem().cat_file("data/x.csv")

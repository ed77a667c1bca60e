"""datavc from Python: what the command line does, as values; nothing printed; ``import datavc`` loads next to nothing."""

from __future__ import annotations

import inspect
import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from projects import Project
from remotes import add_folder, watch_remotes

import datavc
from datavc import Repo
from datavc.errors import ConflictError, NotFoundError, ObjectNotFound, RepoNotFound, UsageError

VERBS = datavc._VERBS
CACHE = ".git/datavc/cache"


@pytest.fixture
def two(here: Project, tmp_path: Path) -> Project:
    """A dataset in two versions, the first tagged v1, on a remote as well."""
    here.write({"data/x.csv": "a\n1\n", "data/big": bytes(3_000_000)})
    here.run("add", "data")
    add_folder(here, tmp_path / "remote")
    here.git("tag", "v1")
    here.run("push")
    here.write({"data/x.csv": "a\n2\n"})
    here.run("add", "data")
    here.commit("v2")
    here.run("push")
    return here


def test_importing_datavc_loads_nothing_else():
    code = (
        "import sys; import datavc; print(*sorted(name for name in sys.modules if name.startswith('datavc')))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ended.stdout.split() == ["datavc"]


def test_reading_loads_nothing_heavy(two: Project):
    code = (
        "import sys, datavc; datavc.read('data/x.csv');"
        " print(*sys.modules.keys() & {'fsspec', 'boto3', 'typer', 'rich', 'tomlkit', 'multiprocessing', 'asyncio'})"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ended.stdout.split() == []


def test_every_verb_is_there_with_its_signature_and_is_listed():
    assert set(VERBS) <= set(dir(datavc))
    for name in VERBS:
        assert inspect.getdoc(getattr(datavc, name)) == inspect.getdoc(getattr(Repo, name))
        assert inspect.signature(getattr(datavc, name)) == inspect.signature(getattr(Repo, name))
    assert datavc.Repo is Repo
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        datavc.nonsense  # noqa: B018


def test_files_are_read_as_they_are_and_as_they_were(two: Project):
    assert datavc.read("data/x.csv") == b"a\n2\n"
    assert datavc.read("data/x.csv", rev="v1") == b"a\n1\n"
    assert datavc.Repo(two.root / "data").read(b"x.csv", rev="HEAD~1") == b"a\n1\n"
    with datavc.open("data/x.csv", rev="v1") as text:
        assert list(text) == ["a\n", "1\n"]
    with datavc.open(Path("data/big"), "rb") as file:
        file.seek(-3, os.SEEK_END)
        assert file.read() == bytes(3)


def test_what_the_pointer_says_is_read_rather_than_what_lies_in_the_workspace(two: Project):
    two.write({"data/x.csv": "edited"})

    assert datavc.read("data/x.csv") == b"a\n2\n"


def test_each_call_sees_what_is_there_by_then(two: Project):
    assert datavc.read("data/x.csv") == b"a\n2\n"
    two.write({"data/x.csv": "a\n3\n"})
    two.run("add", "data")
    two.git("tag", "--force", "v1", "HEAD")

    assert datavc.read("data/x.csv") == b"a\n3\n"
    assert datavc.read("data/x.csv", rev="v1") == b"a\n2\n"


def test_the_next_call_asks_for_nothing_that_was_read(two: Project, monkeypatch: pytest.MonkeyPatch):
    shutil.rmtree(two.root / CACHE)
    asked: list[str] = []
    watch_remotes(monkeypatch, lambda method, name, done: asked.append(name))
    repo = Repo()
    repo.read("data/x.csv")
    before = len(asked)

    repo.read("data/x.csv")

    assert 0 < before == len(asked)


def test_the_story_of_the_command_line_can_be_told_in_python(
    here: Project, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    add_folder(here, tmp_path / "remote")
    here.write({"data/a": "1", "data/b": "2"})
    repo = Repo(here.root)

    added = repo.add("data")
    assert [row.path for row in added.datasets] == [b"data"]
    here.commit("data")
    assert repo.push().failed == []
    here.write({"data/a": "edited"})
    assert [row.states for row in repo.status()] == [["modified"]]
    (changed,) = repo.diff("data")
    assert [change.path for change in changed.changes] == [b"data/a"]
    with pytest.raises(ConflictError):
        repo.path("data")
    repo.checkout(force=True)
    assert here.read("data/a") == b"1"
    assert [row.path for row in repo.ls("data")] == [b"data/a", b"data/b"]

    other = here.clone("other")
    theirs = Repo(other.root)
    assert theirs.fetch().failed == []
    assert [row.path for row in theirs.pull("data").checked_out.datasets] == [b"data"]
    assert other.read("data/b") == b"2"
    assert capfd.readouterr() == ("", "")


def test_a_path_is_made_to_be_there(two: Project):
    other = two.clone("other")

    place = Repo(other.root).path("data/x.csv")

    assert place == other.root / "data" / "x.csv"
    assert place.read_bytes() == b"a\n2\n"
    assert not (other.root / "data" / "big").exists()


def test_a_version_is_written_where_it_is_wanted(two: Project, tmp_path: Path):
    for _ in range(2):
        place = Repo(two.root).path("data/x.csv", rev="v1", to=tmp_path / "v1")

        assert place == tmp_path / "v1" / "data" / "x.csv"
        assert place.read_bytes() == b"a\n1\n"
    assert two.read("data/x.csv") == b"a\n2\n"
    with pytest.raises(UsageError, match="needs a folder"):
        datavc.path("data", rev="v1")


def test_the_workspace_goes_back_to_a_revision_and_forth(two: Project):
    datavc.checkout(rev="v1")
    assert two.read("data/x.csv") == b"a\n1\n"

    datavc.checkout("data", rev="HEAD")
    assert two.read("data/x.csv") == b"a\n2\n"


def test_folders_are_listed_as_they_were(two: Project):
    two.write({"data/new": "new"})
    datavc.add("data")

    assert [row.path for row in datavc.ls("data")] == [b"data/big", b"data/new", b"data/x.csv"]
    assert [row.path for row in datavc.ls("data", rev="v1")] == [b"data/big", b"data/x.csv"]
    assert [row.path for row in datavc.ls(rev="v1")] == [b"data"]


def test_the_history_of_a_dataset_is_a_list(two: Project):
    versions = datavc.log("data").versions

    assert [(row.path, row.status, row.files) for row in versions] == [
        (b"data", "changed", 2),
        (b"data", "added", 2),
    ]
    assert datavc.read("data/x.csv", rev=versions[1].commit) == b"a\n1\n"
    assert len(Repo().log(limit=1, stat=True).versions) == 1


def test_revisions_are_compared_with_each_other_and_with_the_workspace(two: Project):
    (between,) = datavc.diff(old="v1", new="HEAD")
    assert [change.path for change in between.changes] == [b"data/x.csv"]
    assert [row for row in datavc.diff("data", old="HEAD") if row.changes] == []


def test_errors_are_those_of_datavc(two: Project):
    with pytest.raises(NotFoundError):
        datavc.read("nowhere")
    for path, rev in (("data", None), ("data/x.csv", "v9"), ("", None), ("../outside", None)):
        with pytest.raises(UsageError):
            datavc.read(path, rev=rev)
    with pytest.raises(UsageError, match="no mode to read in"):
        datavc.open("data/x.csv", "w")  # type: ignore[call-overload]
    with pytest.raises(RepoNotFound):
        Repo("/")


def test_what_nobody_has_is_said(two: Project, tmp_path: Path):
    shutil.rmtree(two.root / CACHE)
    shutil.rmtree(tmp_path / "remote")

    with pytest.raises((ObjectNotFound, NotFoundError)):
        datavc.read("data/x.csv")


def _read(repo: Repo) -> bytes:
    return repo.read("data/x.csv", rev="v1")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_a_repo_goes_to_worker_processes(method: str, two: Project):
    repo = Repo()
    assert _read(repo) == b"a\n1\n"

    with ProcessPoolExecutor(1, mp_context=get_context(method)) as executor:
        assert executor.submit(_read, repo).result() == b"a\n1\n"
    assert repr(pickle.loads(pickle.dumps(repo))) == f"datavc.Repo({str(two.root)!r})"


def test_a_repo_may_be_used_by_several_threads(two: Project):
    repo = Repo()

    with ThreadPoolExecutor(4) as executor:
        assert set(executor.map(lambda _: _read(repo), range(40))) == {b"a\n1\n"}

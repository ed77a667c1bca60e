"""Remotes by name: what the commands write where, what probes find, and what a committed address may not do."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import Project
from servers import S3Server, moto_server

from datavc.backends.findings import Findings
from datavc.cli.progress import TerminalProgress
from datavc.cli.render import talk
from datavc.errors import StorageError, UsageError
from datavc.operations.steps.remotes import probes
from datavc.operations.steps.remotes.remotes import open_remote
from datavc.operations.steps.remotes.trust import require_allowed
from datavc.repo import Repo


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with moto_server(tmp_path_factory.mktemp("moto")) as running:
        yield running


@pytest.fixture
def dataset(project: Project) -> Project:
    project.write({"data/a": "alpha", "data/sub/b": "beta"})
    project.run("add", "data")
    project.commit("data")
    return project


def remotes(project: Project) -> dict[str, dict[str, object]]:
    rows = json.loads(project.run("remote", "list", "--json").out)
    return {row["name"]: row for row in rows}


def settings(project: Project, layer: str = "repo") -> str:
    name = "datavc.toml" if layer == "repo" else ".git/datavc/config.toml"
    return project.read(name).decode()


# What is written where


def test_the_first_remote_becomes_the_default_and_another_may_take_its_place(project: Project):
    project.run("remote", "add", "one", "../one")
    assert remotes(project)["one"]["is_default"]
    project.run("remote", "add", "two", "../two")
    assert remotes(project)["one"]["is_default"]
    project.run("remote", "add", "three", "../three", "--default")
    assert [name for name, row in remotes(project).items() if row["is_default"]] == ["three"]
    assert list(remotes(project)) == ["three", "one", "two"]


def test_a_lone_remote_is_the_default_whoever_configured_it(project: Project):
    project.run("config", "--local", "remote.here.url", "/somewhere")

    assert remotes(project)["here"]["is_default"]
    assert remotes(project)["here"]["origin"] == "local"


def test_the_address_is_committed_and_the_profile_is_not(project: Project):
    project.run(
        "remote", "add", "--no-probe", "lab", "s3://data/x", "--endpoint", "https://s3.example.org",
        "--region", "here", "--profile", "mine", "--path-style", "false",
    )  # fmt: skip

    assert "mine" not in settings(project)
    assert 'profile = "mine"' in settings(project, "local")
    assert "path_style = false" in settings(project)
    assert remotes(project)["lab"]["settings"] == {
        "endpoint": "https://s3.example.org",
        "region": "here",
        "profile": "mine",
        "path_style": "false",
    }


def test_a_local_remote_leaves_the_committed_file_alone(project: Project):
    before = settings(project)
    project.run("remote", "add", "--local", "here", "../here")

    assert settings(project) == before
    assert remotes(project)["here"]["origin"] == "local"


def test_a_relative_folder_is_typed_as_seen_from_here(dataset: Project):
    dataset.run("remote", "add", "store", "../../store", cwd="data")
    dataset.run("push")

    assert (dataset.root.parent / "store/datavc-store.json").is_file()
    assert remotes(dataset)["store"]["url"] == "../store"


def test_a_remote_is_renamed_with_all_that_belongs_to_it(dataset: Project):
    dataset.run("remote", "add", "old", "../store")
    dataset.run("push")
    dataset.run("remote", "rename", "old", "new")

    assert remotes(dataset)["new"]["is_default"]
    assert remotes(dataset)["new"]["probed"]
    assert "remote.old" not in settings(dataset) + settings(dataset, "local")
    assert "complete on new" in dataset.run("push").out


def test_a_removed_remote_is_forgotten_and_its_data_stays(dataset: Project):
    dataset.run("remote", "add", "store", "../store")
    dataset.run("remote", "add", "other", "../other")
    dataset.run("push")
    assert "the default remote is other" in dataset.run("remote", "remove", "store").err

    assert list(remotes(dataset)) == ["other"]
    assert "store" not in settings(dataset, "local").replace(str(dataset.root.parent), "")
    assert (dataset.root.parent / "store/packs").is_dir()


def test_another_address_takes_the_place_of_the_first_and_of_what_belonged_to_it(project: Project):
    project.run(
        "remote", "add", "--no-probe", "lab", "s3://data", "--endpoint", "https://h", "--profile", "p"
    )
    project.run("remote", "set-url", "lab", "../store")

    row = remotes(project)["lab"]
    assert (row["url"], row["settings"], row["is_allowed"]) == ("../store", {}, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["add", "default", "x"], "must be a name"),
        (["add", "a.b", "x"], "must be a name"),
        (["add", "taken", "x"], "set-url taken"),
        (["add", "new", "ftp://host/x"], "knows no stores at ftp://"),
        (["add", "new", "s3://bucket", "--path-style", "maybe"], "must be true or false"),
        (["add", "new", "sftp://user:hidden@host/x"], "credentials"),
        (["rename", "taken", "de fault"], "must be a name"),
        (["rename", "none", "new"], "no remote none"),
        (["remove", "none"], "no remote none"),
        (["set-url", "none", "x"], "no remote none"),
        (["set-url", "taken", "../x", "--endpoint", "https://h"], "has no settings"),
        (["probe", "none"], "no remote none"),
        (["status", "-r", "none"], "no remote none"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_changes(words: list[str], said: str, project: Project):
    project.run("remote", "add", "--no-probe", "taken", "../taken")
    before = settings(project), settings(project, "local")

    result = project.run("remote", *words, code=None)

    assert result.code in (1, 2)
    assert said in result.err
    assert "hidden" not in result.err
    assert (settings(project), settings(project, "local")) == before


def test_the_family_explains_itself(project: Project):
    assert "remote set-url" in project.run("remote", "--help").out
    assert "remote set-url" in project.run("remote", code=2).err
    assert "datavc remote add" in project.run("help", "remote", "add").out
    assert "nearest is: datavc remote rename" in project.run("remote", "renmae", code=2).err


# Secrets


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("remote.a.url", "https://user:hidden@host/x"),
        ("remote.a.url", "https://bucket/x?X-Amz-Signature=hidden"),
        ("remote.a.url", "https://account/x?sv=1&sig=hidden"),
        ("remote.a.secret_access_key", "hidden"),
        ("remote.a.session_token", "hidden"),
    ],
)
def test_a_secret_is_kept_out_of_git_and_out_of_sight(key: str, value: str, project: Project):
    before = settings(project)
    result = project.run("config", key, value, code=2)

    assert settings(project) == before
    assert f"hint: datavc config --local {key}" in result.err
    assert "hidden" not in result.err

    project.run("config", "--local", key, value)
    shown = project.run("config")
    assert "hidden" not in shown.out + project.run("config", "--json").out + shown.err
    assert stat.S_IMODE((project.root / ".git/datavc/config.toml").stat().st_mode) == 0o600


def test_a_committed_file_with_a_secret_in_it_is_not_obeyed(project: Project):
    project.write({"datavc.toml": settings(project) + '[remote.a]\nurl = "https://u:hidden@host/"\n'})

    result = project.run("remote", "list", code=2)
    assert "config --local remote.a.url" in result.err
    assert "hidden" not in result.err


def test_whatever_says_it_no_secret_is_shown(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def fail(repo: Repo) -> None:
        raise StorageError("https://user:hidden@host/x failed", "try https://b/x?X-Amz-Signature=hidden")

    monkeypatch.setattr("datavc.operations.remote_list.remote_list", fail)
    result = project.run("remote", "list", code=1)
    assert result.err == "error: https://user:***@host/x failed\nhint: try https://b/x?X-Amz-Signature=***\n"
    project.environment["DATAVC_TRACEBACK"] = "1"
    told = project.run("remote", "list", code=1).err
    assert "Traceback" in told
    assert "hidden" not in told

    talk("going to https://user:hidden@host/")
    TerminalProgress(watched=False, quiet=False, colour=False).note("at https://user:hidden@host/")
    assert "hidden" not in capsys.readouterr().err


def test_a_remote_may_be_called_like_a_secret(project: Project):
    project.run("remote", "add", "secrets", "../store")

    assert list(remotes(project)) == ["secrets"]


def test_a_local_file_that_others_could_read_is_closed_to_them(project: Project):
    path = project.root / ".git/datavc/config.toml"
    path.write_text('[cache]\nlink = "copy"\n')
    path.chmod(0o644)
    project.run("config", "--local", "cache.keep", "all")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert 'link = "copy"' in path.read_text()


# The probe


def test_a_bucket_is_tried_when_it_is_added(dataset: Project, server: S3Server):
    dataset.environment.update(server.environment)
    bucket = server.make_bucket("tried")
    result = dataset.run("remote", "add", "lab", f"s3://{bucket}/x", "--endpoint", server.endpoint)

    assert "read back after it was written" in result.err
    assert remotes(dataset)["lab"]["probed"]
    assert "found" not in dataset.run("remote", "list").err
    assert "lab: probed" in dataset.run("-v", "remote", "list").err
    assert "sent to lab" in dataset.run("push").out
    assert "complete on lab" in dataset.run("remote", "status").out


def test_a_bucket_that_is_not_there_is_not_added(project: Project, server: S3Server):
    project.environment.update(server.environment)
    words = ["remote", "add", "lab", "s3://nowhere-at-all/x", "--endpoint", server.endpoint]
    result = project.run(*words, code=1)

    assert "the bucket does not exist" in result.err
    assert "--no-probe" in result.err
    assert "remote" not in settings(project)
    project.run(*words, "--no-probe")
    assert not remotes(project)["lab"]["probed"]


def test_a_read_only_remote_is_not_tried_and_never_written_to(dataset: Project):
    dataset.run("remote", "add", "--read-only", "store", "../store")

    assert not (dataset.root.parent / "store").exists()
    assert "read-only" in dataset.run("push", code=2).err
    assert "read-only" in dataset.run("remote", "probe", code=2).err
    assert not (dataset.root.parent / "store").exists()


@pytest.fixture
def lying(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every place that is tried leaves files out of its listings."""
    real = probes.try_place

    def found(*arguments: object) -> Findings:
        kept = real(*arguments).as_dict()  # type: ignore[arg-type]
        findings = Findings.from_dict({**kept, "lists_all": False})
        assert findings is not None
        return findings

    for module in ("remote_add", "remote_probe"):
        monkeypatch.setattr(f"datavc.operations.{module}.try_place", found)


def test_a_place_that_cannot_be_relied_on_is_not_added(project: Project, lying: None):
    result = project.run("remote", "add", "store", "../store", code=1)

    assert "a listing leaves out files" in result.err
    assert remotes(project) == {}


def test_a_place_that_became_unreliable_is_not_pushed_to(
    dataset: Project, lying: None, monkeypatch: pytest.MonkeyPatch
):
    dataset.run("remote", "add", "--no-probe", "store", "../store")
    assert "cannot be relied on" in dataset.run("remote", "probe", code=1).out
    assert "a listing leaves out files" in dataset.run("push", code=1).err
    monkeypatch.undo()
    assert "can be used" in dataset.run("remote", "probe").out
    dataset.run("push")


def bucket_findings(**changes: object) -> Findings:
    values = {
        "place": "s3://b", "when": 1e9, "reads_whole": True, "reads_ranges": True, "missing_is_missing": True,
        "refuses_overwrite": True, "racing_winners": 1, "replaces_at_once": True, "lists_all": True,
        "deletes": True, "clock_difference": 0.0, "is_bucket": True, "checks": ("xxh128", "sha256"),
    }  # fmt: skip
    return Findings(**{**values, **changes})  # type: ignore[arg-type]


def test_good_findings_age_and_bad_ones_do_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.time", lambda: 1e9 + probes.GOOD_FOR_SECONDS - 1)
    fresh = probes.believed(bucket_findings())
    monkeypatch.setattr("time.time", lambda: 1e9 + probes.GOOD_FOR_SECONDS + 1)
    old = probes.believed(bucket_findings())
    old_without = probes.believed(bucket_findings(checks=("xxh128", "md5"), refuses_overwrite=False))

    assert fresh is not None and old is not None and old_without is not None
    assert (fresh.check, old.check) == ("xxh128", "sha256")
    assert old_without.needs_read_back
    assert not old_without.refuses_overwrite


def test_a_refusal_makes_what_was_found_old(project: Project, monkeypatch: pytest.MonkeyPatch):
    project.run("remote", "add", "store", "../store")
    repo = Repo.find(project.root)
    store = open_remote(repo, "store", create=True)
    assert remotes(project)["store"]["is_fresh"]
    (project.root.parent / "store/packs").write_bytes(b"in the way")

    with pytest.raises(StorageError):
        store.backend.write("packs/aa/file", b"x")

    assert not remotes(project)["store"]["is_fresh"]


def test_damaged_findings_are_none(project: Project):
    project.run("remote", "add", "store", "../store")
    for path in (project.root / ".git/datavc/probes").iterdir():
        path.write_text("[" * 100_000)

    assert not remotes(project)["store"]["probed"]


# Addresses that a repository brings


def committed(project: Project, url: str, **more: str) -> Repo:
    """A repo whose committed file names a remote that this clone's user never typed."""
    lines = "".join(f'{key} = "{value}"\n' for key, value in {"url": url, **more}.items())
    project.write({"datavc.toml": settings(project) + f"[remote.theirs]\n{lines}"})
    return Repo.find(project.root)


@pytest.mark.parametrize(
    ("url", "more"),
    [
        ("ssh://host/x", {}),
        ("sftp://user@host/x", {}),
        ("http://169.254.169.254/latest", {}),
        ("http://2852039166/latest", {}),
        ("https://[fe80::1]/x", {}),
        ("s3://bucket/x", {"endpoint": "http://169.254.169.254"}),
        ("s3://bucket/x", {"endpoint": "http://[::ffff:169.254.169.254]:80"}),
    ],
)
def test_a_risky_address_is_not_contacted_until_it_is_allowed(
    url: str, more: dict[str, str], project: Project
):
    repo = committed(project, url, **more)
    risky = more.get("endpoint", url)
    for writing in (False, True):
        with pytest.raises(UsageError, match="was not contacted") as caught:
            require_allowed(repo, repo.remote("theirs"), writing=writing)
    assert f"datavc config --local remote.theirs.allow {risky}" in (caught.value.hint or "").replace("'", "")

    project.run("config", "--local", "remote.theirs.allow", risky)
    repo = Repo.find(project.root)
    require_allowed(repo, repo.remote("theirs"), writing=True)


def test_a_chained_address_is_never_contacted(project: Project):
    committed(project, "simplecache::https://host/x")
    project.write({"data/a": "a"})
    project.run("add", "data")

    assert project.run("push", code=2).err
    project.run("config", "--local", "remote.theirs.allow", "simplecache::https://host/x")
    assert "chain" in project.run("push", code=2).err


def test_an_allowed_address_is_asked_for_again_when_a_commit_changes_it(project: Project):
    before = settings(project)
    committed(project, "sftp://good/x")
    project.run("config", "--local", "remote.theirs.allow", "sftp://good/x")
    project.write({"datavc.toml": before})
    repo = committed(project, "sftp://bad/x")

    with pytest.raises(UsageError, match="sftp://bad/x"):
        require_allowed(repo, repo.remote("theirs"), writing=False)


def test_nobody_asks_about_what_the_user_typed(project: Project):
    project.run("remote", "add", "--no-probe", "one", "sftp://host/x")
    project.run("config", "remote.two.url", "sftp://host/y")
    project.run("config", "--local", "remote.three.url", "sftp://host/z")
    project.run("remote", "set-url", "three", "sftp://host/q")
    repo = Repo.find(project.root)

    for name in ("one", "two", "three"):
        require_allowed(repo, repo.remote(name), writing=True)


def test_a_folder_that_knows_the_repository_is_read_and_the_first_write_asks(dataset: Project):
    store = dataset.root.parent / "store"
    dataset.run("remote", "add", "store", str(store))
    dataset.run("push")
    dataset.commit("a remote")
    clone = dataset.clone("clone")

    assert "complete on store" in clone.run("remote", "status").out
    assert not remotes(clone)["store"]["is_allowed"]
    assert not (store / "tmp/written").exists()
    result = clone.run("push", code=2)
    assert "has not been allowed to write there" in result.err
    assert f"remote.store.allow {store}" in result.err
    clone.run("push", "--yes")
    clone.run("push")
    assert remotes(clone)["store"]["is_allowed"]


def test_a_folder_that_knows_nothing_of_the_repository_is_not_even_read(dataset: Project, tmp_path: Path):
    (tmp_path / "private").mkdir()
    committed(dataset, str(tmp_path / "private"))

    result = dataset.run("remote", "status", code=3)
    assert "no store that knows this repository" in result.out
    assert "remote.theirs.allow" in result.err
    assert os.listdir(tmp_path / "private") == []


def test_on_a_terminal_the_user_is_asked(dataset: Project, monkeypatch: pytest.MonkeyPatch):
    store = dataset.root.parent / "store"
    dataset.run("remote", "add", "store", str(store))
    dataset.run("push")
    dataset.commit("a remote")
    clone = dataset.clone("clone")
    monkeypatch.setattr("datavc.cli.consent.is_terminal", lambda stream: True)
    for answer, code in (("\n", 2), ("no\n", 2), ("y\n", 0)):
        monkeypatch.setattr("sys.stdin.readline", lambda answer=answer: answer, raising=False)
        result = clone.run("push", code=code)
        assert f"the remote store is {store}. Write there? [y/N]" in result.err


# What is complete where


def test_status_tells_of_each_remote_what_is_complete_there(dataset: Project):
    dataset.run("remote", "add", "one", "../one")
    dataset.run("remote", "add", "two", "../two")
    dataset.run("remote", "add", "--no-probe", "far", "sftp://nowhere.invalid/x")
    dataset.run("config", "--local", "--unset", "remote.far.allow")
    dataset.run("push", "-r", "one")

    rows = json.loads(dataset.run("remote", "status", "--json", code=3).out)
    assert {row["remote"]: row["outcome"] for row in rows} == {
        "one": "complete",
        "two": "not there",
        "far": "failed",
    }
    assert (
        dataset.run("remote", "status", "-r", "two", "--exit-code", code=1).err
        == "next: datavc push -r two\n"
    )
    assert dataset.run("remote", "status", "-r", "one", "--exit-code", "data").err == ""


def test_status_says_what_it_lacks(project: Project):
    assert "datavc remote add" in project.run("remote", "status", code=2).err
    project.run("remote", "add", "one", "../one")
    assert "there are no datasets" in project.run("remote", "status").err

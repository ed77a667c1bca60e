"""``datavc gc --expire``: old versions of a dataset go although history leads to them, and everybody is told so."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from projects import Project
from remotes import add_folder, overwrite, packs, pushed, roots
from sweeps import COMPLETED, run_killed

from datavc.formats.expiry import Expiry, decode_expiry, encode_expiry
from datavc.formats.root import decode_root, encode_root

PYTHON = sys.executable
EXPIRE = ("gc", "--expire", "data", "--older-than", "180", "--most")


def cache(project: Project) -> Path:
    return project.root / ".git/datavc/cache"


def add(project: Project, text: str) -> None:
    project.write({"data": text * 50_000})
    project.run("add", "--force", "data")


def stored_long_ago(store: Path, days: int = 200, *, but: str = "") -> None:
    """Every version was stored so long ago, but for one."""
    for path in roots(store):
        root = decode_root(path.read_bytes())
        if but != str(root.digest):
            overwrite(path, encode_root(replace(root, when="2020-01-01T00:00:00Z")))
        os.utime(path, (0, path.stat().st_mtime - days * 86_400))


def digest_at(project: Project, rev: str) -> str:
    for line in project.git("show", f"{rev}:data.datavc").splitlines():
        if line.startswith("digest"):
            return line.split('"')[1]
    raise AssertionError(rev)


def expired(project: Project, *words: str) -> list[str]:
    """The digests that go."""
    said: dict[str, Any] = json.loads(project.run(*EXPIRE, "--json", "--yes", *words).out)
    assert said["removed"] == []
    return [row["digest"] for row in said["expired"]]


@pytest.fixture
def history(project: Project) -> Project:
    """Four commits of a dataset; the first two are old history."""
    for text in ("one", "two", "three", "four"):
        add(project, text)
        project.commit(text)
    stored_long_ago(cache(project), but=digest_at(project, "HEAD~1"))
    return project


def test_what_expired_comes_back_while_its_bytes_are_there(history: Project):
    assert len(expired(history)) == 2
    history.run("gc", "--yes")  # history leads to it: that is no reason to bring it back
    assert len(roots(cache(history))) == 2
    assert "2 versions brought back" in history.run("gc", "--restore").err
    assert not [path for path in (cache(history) / "expired").rglob("*") if path.is_file()]
    history.run("checkout", "HEAD~3")
    assert history.read("data").startswith(b"one")


def test_what_frees_the_bytes_is_said(history: Project):
    assert "next: datavc gc --repack" in history.run(*EXPIRE, "--yes").err


def test_what_is_stored_again_has_not_expired(history: Project):
    history.run(*EXPIRE, "--yes", "--grace", "0")
    add(history, "one")
    history.commit("one again")
    history.run("checkout", "HEAD~4")
    assert history.read("data").startswith(b"one")
    assert digest_at(history, "HEAD") not in expired(history)
    notes = [path.name for path in (cache(history) / "expired").rglob("xxh128-*")]
    assert digest_at(history, "HEAD").replace(":", "-") not in notes


def tag_of_it(project: Project) -> None:
    project.run("tag", "data", "best", "HEAD~3")


def tag_of_its_commit(project: Project) -> None:
    project.git("tag", "-a", "-m", "x", "v1", "HEAD~3")


def branch(project: Project) -> None:
    project.git("branch", "other", "HEAD~3")


def remote_branch(project: Project) -> None:
    project.git("update-ref", "refs/remotes/origin/x", "HEAD~3")


def moved(project: Project) -> None:
    """At the tip of a branch under another name."""
    project.git("checkout", "-q", "-b", "other", "HEAD~3")
    project.git("mv", "data.datavc", "moved.datavc")
    project.commit("moved")
    project.git("checkout", "-q", "main")


def index(project: Project) -> None:
    project.git(
        "update-index",
        "--cacheinfo",
        f"100644,{project.git('rev-parse', 'HEAD~3:data.datavc').strip()},data.datavc",
    )


def worktree(project: Project) -> None:
    project.git("worktree", "add", "-q", "--detach", "../linked", "HEAD~3")


def stash(project: Project) -> None:
    project.git("checkout", "-q", "HEAD~3", "--", "data.datavc")
    project.git("stash", "push", "-q")
    project.write({"datavc.toml": project.read("datavc.toml") + b"# x\n"})
    project.git("stash", "push", "-q")


def workspace(project: Project) -> None:
    project.write({"copy.datavc": project.git("show", "HEAD~3:data.datavc")})


@pytest.mark.parametrize(
    "pick", [tag_of_it, tag_of_its_commit, branch, remote_branch, moved, index, worktree, stash, workspace]
)
def test_what_somebody_has_picked_out_stays(history: Project, pick: Any):
    kept, gone = digest_at(history, "HEAD~3"), digest_at(history, "HEAD~2")
    pick(history)
    assert expired(history, "--grace", "0") == [gone]
    assert kept in {str(decode_root(path.read_bytes()).digest) for path in roots(cache(history))}


@pytest.mark.parametrize("read", ["data", "data/part/x"])
def test_what_a_run_has_read_stays(project: Project, read: str, tmp_path: Path):
    store = add_folder(project, tmp_path / "store")
    for text in ("one", "two", "three"):
        project.write({"data/part/x": text * 9, "data/y": text})
        project.run("add", "data")
        if text == "one":
            project.datavc("run", "-i", read, "-o", "made", PYTHON, "-c", "open('made', 'w').write('m')")
        project.commit(text)
        pushed(project)
    kept = digest_at(project, "HEAD~2")
    for place, words in ((cache(project), ()), (store, ("-r", "origin"))):
        stored_long_ago(place)
        assert expired(project, *words) == [digest_at(project, "HEAD~1")]
        assert kept in {str(decode_root(path.read_bytes()).digest) for path in roots(place)}


def test_on_a_remote_who_fetches_is_told(history: Project, tmp_path: Path):
    store = add_folder(history, tmp_path / "store")
    for number in (4, 3, 2, 1):
        pushed(history, "--rev", f"HEAD~{number}")
    stored_long_ago(store)
    clone = history.clone("clone")
    said = history.run(*EXPIRE, "-r", "origin", "--dry-run").out
    assert "would be expired: history alone leads to 3 versions" in said and "  data  2020-01-01" in said
    assert "nobody agreed" in history.run(*EXPIRE, "-r", "origin", code=2).err
    assert len(roots(store)) == 4
    assert len(expired(clone, "-r", "origin", "--grace", "0")) == 3
    clone.run("gc", "-r", "origin", "--repack", "--grace", "0", "--most", "--yes")
    assert len(packs(store)) == 1
    assert "expired on 20" in clone.run("checkout", "HEAD~4", code=1).err
    assert "expired on 20" in clone.run("fetch", "--rev", "HEAD~4", code=1).err
    clone.run("pull")
    assert clone.read("data").startswith(b"four")
    history.run("checkout", "HEAD~4")
    assert history.read("data").startswith(b"one")


def test_a_shared_cache_keeps_the_tips_of_every_clone_and_expires_nothing_where_one_is_away(
    history: Project, tmp_path: Path
):
    (history.root / ".git/datavc/cache").rename(tmp_path / "shared")
    other = history.clone("other")
    for project in (history, other):
        project.run("config", "cache.dir", str(tmp_path / "shared"), "--local")
        project.run("status")
    other.git("reset", "-q", "--hard", "HEAD~3")
    assert expired(history) == [digest_at(history, "HEAD~2")]
    (tmp_path / "other/.git").rename(tmp_path / "other/away")
    assert "hint: datavc cache list" in history.run(*EXPIRE, "--yes", code=1).err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("gc", "--expire", "data"), 2),
        (("gc", "--expire", "data", "--older-than", "3", "--restore"), 2),
        (("gc", "--expire", "nothing", "--older-than", "3"), 1),
        (("gc", "--expire", "../else", "--older-than", "3"), 2),
        (("gc", "--expire", "", "--older-than", "3"), 2),
    ],
)
def test_nonsense_is_refused(history: Project, words: tuple[str, ...], code: int):
    before = sorted(cache(history).rglob("*"))
    assert "hint: " in history.run(*words, "--yes", code=code).err or code == 2
    assert sorted(cache(history).rglob("*")) == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("first", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in range(2, 6))])
@pytest.mark.parametrize("grace", ["14", "0"])
def test_killed_anywhere_it_goes_on(history: Project, first: int, grace: str, tmp_path: Path):
    import shutil
    import subprocess

    start = tmp_path / "start"
    history.root.rename(start)
    command = [*EXPIRE, "--yes", "--grace", grace]
    for point in range(first, 400, 5):
        shutil.rmtree(history.root, ignore_errors=True)
        subprocess.run(["cp", "-a", "--", str(start), str(history.root)], check=True)
        if run_killed(history, command, point) == COMPLETED:
            break
        history.run("fsck")
        for rev in ("HEAD", "HEAD~1"):
            history.run("cat", f"{rev}:data")
        history.run(*command)
        assert len(roots(cache(history))) == 2
        assert len(list((cache(history) / "expired").rglob("xxh128-*"))) == 2
        history.run("fsck")
    assert point > 5


def test_a_note_reads_as_it_was_written(history: Project):
    root = decode_root(roots(cache(history))[0].read_bytes())
    expiry = Expiry("ada@host", "2026-01-31T12:00:00Z", root)
    assert decode_expiry(encode_expiry(expiry)) == expiry

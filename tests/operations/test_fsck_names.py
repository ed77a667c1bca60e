"""``datavc fsck`` names what is damaged, of every kind, and the datasets, paths and revisions that it affects."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from projects import Project
from remotes import add_folder, flip, overwrite

from datavc.backends.base import StoredFile
from datavc.backends.folder import FolderBackend
from datavc.formats.digest import Digest
from datavc.operations.steps.runs.recordstore import read_record
from datavc.repo import Repo
from datavc.store.index import ObjectIndex
from datavc.store.layout import pack_path

Row = dict[str, Any]


def found(project: Project) -> list[Row]:
    said = project.run("fsck", "--json", code=None)
    rows: list[Row] = json.loads(said.out)["problems"]
    assert said.code == (12 if rows else 0)
    return rows


def cache(project: Project) -> Path:
    return project.root / ".git/datavc/cache"


def spoil(project: Project, digest: str) -> None:
    """Flip a bit of an object, wherever it lies."""
    store = Repo.find(project.root).cache
    raw = Digest.parse(digest).raw
    row = ObjectIndex(store.backend, store.algorithm, store.index_names()).find(raw)
    assert row is not None
    flip(store.folder / pack_path(row[0]), row[1] + row[2] // 2)


def digest_of(project: Project, path: str) -> str:
    rows = json.loads(project.run("ls", "--json", "-r", path).out)
    return str(rows[0]["digest"])


@pytest.fixture
def history(project: Project) -> tuple[Project, str, str]:
    """Two versions of a dataset and their commits; what is in one of them alone is ``data/sub/old`` and ``data/new``."""
    project.write({"data/keep": "kept", "data/sub/old": os.urandom(500)})
    project.run("add", "data")
    first = project.commit("one")
    (project.root / "data/sub/old").unlink()
    project.write({"data/new": os.urandom(500), "data/large": os.urandom(3 << 20)})
    project.run("add", "data")
    return project, first, project.commit("two")


def versions(rows: list[Row]) -> set[tuple[str, tuple[str, ...]]]:
    return {(row["path"], tuple(row["revisions"])) for row in rows if row["kind"] == "version"}


def test_a_damaged_blob_of_an_old_commit_is_named_with_its_path_and_that_commit(
    history: tuple[Project, str, str],
):
    project, first, _ = history
    old = digest_of(project, f"{first}:data/sub/old")
    spoil(project, old)
    rows = found(project)
    assert versions(rows) == {("data/sub/old", (first,))}
    assert old in {row["object"] for row in rows if row["kind"] == "object"}
    assert f"(dataset data at {first[:12]})" in project.run("fsck", code=12).out


def test_a_damaged_tree_is_named_with_the_folder_that_it_is(history: tuple[Project, str, str]):
    project, _, second = history
    pointer = project.git("show", f"{second}:data.datavc")
    spoil(project, next(word.strip('"') for word in pointer.split() if word.startswith('"xxh128:')))
    assert ("data", (second,)) in versions(found(project))


def test_a_damaged_chunk_and_a_damaged_chunk_list_are_named_with_the_file(history: tuple[Project, str, str]):
    project, _, second = history
    large = digest_of(project, "data/large")
    store = Repo.find(project.root).cache
    reader = store.reader()
    location = reader.locate(Digest.parse(large).raw)
    chunk = reader.chunk_list(Digest.parse(large).raw, location).digests[1]
    spoil(project, str(Digest("xxh128", chunk)))
    assert versions(found(project)) == {("data/large", (second,))}
    spoil(project, large)
    assert versions(found(project)) == {("data/large", (second,))}


@pytest.mark.parametrize("kind", ["packs", "indexes", "roots"])
def test_a_damaged_stored_file_is_named(history: tuple[Project, str, str], kind: str):
    project, _, _ = history
    file = max(path for path in (cache(project) / kind).rglob("*-*") if path.is_file())
    overwrite(file, b"short")
    name = str(file.relative_to(cache(project)))
    assert (name, kind) in {
        (row["object"], {"pack index": "indexes"}.get(row["kind"], row["kind"] + "s"))
        for row in found(project)
    }


def test_a_whole_blob_is_named_with_its_path(project: Project):
    project.run("config", "--local", "cache.link", "hardlink")
    project.write({"data/large": os.urandom(2 << 20)})
    project.run("add", "data")
    first = project.commit()
    (blob,) = (path for path in (cache(project) / "blobs").rglob("*-*") if path.is_file())
    overwrite(blob, os.urandom(2 << 20))
    rows = found(project)
    assert "blob" in {row["kind"] for row in rows}
    assert versions(rows) == {("data/large", (first,))}


def test_a_pointer_that_nobody_can_read_is_named_in_the_workspace_and_in_history(
    history: tuple[Project, str, str],
):
    project, _, _ = history
    good = project.read("data.datavc")
    project.write({"data.datavc": good + b"<<<<<<< HEAD\n"})
    rows = found(project)
    assert [(row["kind"], row["dataset"], row["revisions"]) for row in rows] == [("pointer", "data", [])]
    bad = project.commit("conflict markers")
    project.write({"data.datavc": good})
    project.commit("mended")
    (row,) = found(project)
    assert (row["kind"], row["object"], row["revisions"]) == ("pointer", f"data.datavc at {bad[:12]}", [bad])
    assert "conflict" in row["message"]


def test_the_side_of_a_merge_that_did_not_prevail_is_looked_at(history: tuple[Project, str, str]):
    project, _, _ = history
    project.git("checkout", "--quiet", "-b", "side")
    project.write({"data/side": os.urandom(600)})
    project.run("add", "data")
    side = project.commit("side")
    spoiled = digest_of(project, "data/side")
    project.git("checkout", "--quiet", "-")
    project.run("checkout")
    project.git("merge", "--quiet", "-s", "ours", "side")
    project.git("branch", "-D", "side")
    spoil(project, spoiled)
    assert versions(found(project)) == {("data/side", (side,))}


def test_a_version_that_is_gone_without_any_remote_is_named_and_with_one_it_need_not_be_here(
    history: tuple[Project, str, str], tmp_path: Path
):
    project, first, second = history
    add_folder(project, tmp_path / "remote")
    clone = project.clone("clone")
    assert found(clone) == []
    clone.run("remote", "remove", "origin")
    assert versions(found(clone)) == {("data", (second,)), ("data", (first,))}


@pytest.fixture
def run(project: Project) -> tuple[Project, str]:
    """A dataset that a run made of another, which a run made too; and the commit that has both."""
    project.write({"raw": os.urandom(400)})
    project.run("add", "raw")
    project.commit("raw")
    copy = "import shutil, sys; print('it works' * 40); shutil.copy(sys.argv[1], sys.argv[2])"
    for source, target in (("raw", "half"), ("half", "done")):
        project.datavc("run", "-i", source, "-o", target, "--", sys.executable, "-c", copy, source, target)
        commit = project.commit(target)
    return project, commit


def record_of(project: Project, name: str) -> str:
    line = next(
        line for line in project.read(f"{name}.datavc").decode().splitlines() if line.startswith("record")
    )
    return line.partition('"')[2].rstrip('"')


def test_a_damaged_record_is_named_with_the_datasets_that_it_was_a_step_to(run: tuple[Project, str]):
    project, commit = run
    spoil(project, record_of(project, "half"))
    affected = {row["dataset"] for row in found(project) if row["kind"] == "record"}
    assert affected == {"half", "done"}
    assert [commit] in [row["revisions"] for row in found(project) if row["dataset"] == "done"]


def test_a_damaged_log_of_a_run_is_named_with_its_record(run: tuple[Project, str]):
    project, _ = run
    objects = read_record(Repo.find(project.root), Digest.parse(record_of(project, "done"))).objects
    name, kept = next((name, kept) for name, kept in objects.items() if kept.kind == "file")
    spoil(project, str(kept.digest))
    messages = {
        row["message"] for row in found(project) if row["kind"] == "record" and row["dataset"] == "done"
    }
    assert any(f"its {name} is damaged in packs/" in message for message in messages)


def test_a_record_that_is_gone_is_named_through_the_pointer_that_names_it(run: tuple[Project, str]):
    project, _ = run
    gone = record_of(project, "half")
    for root in (cache(project) / "roots").rglob(gone.replace(":", "-")):
        root.unlink()
    assert found(project) == []
    for file in (cache(project) / "packs").rglob("xxh128-*"):
        file.unlink()
    for file in (cache(project) / "roots").rglob("xxh128-*"):
        file.unlink()
    assert {"half", "done"} <= {row["dataset"] for row in found(project) if row["kind"] == "record"}


@pytest.mark.parametrize("after", ["packs/", "roots/", "indexes/"])
def test_what_gc_deletes_meanwhile_is_no_damage(
    project: Project, monkeypatch: pytest.MonkeyPatch, after: str
):
    def stored() -> set[Path]:
        return {
            path
            for part in ("indexes", "packs", "roots")
            for path in (cache(project) / part).rglob("xxh128-*")
        }

    project.write({"data/a": "kept"})
    project.run("add", "data")
    project.commit()
    kept = stored()
    project.write({"data/a": "dropped"})
    project.run("add", "data")
    project.git("checkout", "--", ".")
    # The root first, and pack indexes before packs, as gc does.
    gone = sorted(stored() - kept, key=lambda path: ("packs" in path.parts, path))
    for root in [path for path in gone if "roots" in path.parts]:
        root.unlink()
    real = FolderBackend.list

    def listed(backend: FolderBackend, prefix: str) -> Iterator[StoredFile]:
        files = list(real(backend, prefix))
        if prefix.startswith(after):
            for path in gone:
                path.unlink(missing_ok=True)
        return iter(files)

    monkeypatch.setattr(FolderBackend, "list", listed)
    assert found(project) == []

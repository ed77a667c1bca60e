"""Records in the cache: what is kept beside them, their roots, and what they reach."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from projects import Project

from datavc.errors import NotFoundError, UsageError
from datavc.formats.digest import Digest
from datavc.operations.steps.runs.recordstore import find_record, has_record, read_record, writing_record
from datavc.operations.steps.trees.trees import TreeSource, entries
from datavc.repo import Repo

VALUES: dict[str, Any] = {
    "format": 1,
    "status": "ok",
    "command": {"argv": ["true"], "folder": ""},
    "time": {"start": "2026-01-31T12:00:00Z", "end": "2026-01-31T12:00:01Z"},
    "inputs": [],
    "outputs": [],
    "reads": "none",
}


def store(repo: Repo, parents: list[Digest] | None = None, **more: Any) -> Digest:
    with writing_record(repo, {**VALUES, **more}, parents or []) as (writer, written):
        writer.blob("stdout", b"hello\n")
    return written.digest


def test_a_record_and_its_objects_are_read_back(project: Project):
    repo = Repo.find(project.root)
    long = bytes(range(256)) * 20_000
    files = {b"a/b/x.py": ("file", b"1"), b"a/run": ("executable", b"22"), b"z": ("symlink", b"a/run")}
    values = dict(VALUES)

    with writing_record(repo, values, []) as (writer, written):
        writer.blob("stdout", long)
        writer.folder("code", files)
        writer.folder("nothing", {})
    record = read_record(repo, written.digest)

    reader = repo.cache.reader(written.digest)
    assert b"".join(reader.stream(record.objects["stdout"].digest.raw)) == long
    code = record.objects["code"]
    assert (code.files, code.size) == (3, 8)
    trees = TreeSource(repo.cache, None, code.digest, "folder")
    found = {
        (path + b"/" if path else b"") + entry.name: (
            ("file", "executable", "symlink")[entry.kind],
            b"".join(reader.stream(entry.digest)),
        )
        for path, tree in trees.walk()
        for entry in entries(tree)
        if entry.kind != 3
    }
    assert found == files
    assert record.objects["nothing"].files == 0
    assert has_record(repo, written.digest)
    project.run("fsck")


def test_fsck_names_a_record_that_lacks_an_object(project: Project):
    repo = Repo.find(project.root)
    digest = store(repo)
    for pack in (repo.cache_folder / "packs").glob("*/*"):
        pack.unlink()

    assert str(digest) in project.run("fsck", code=None).out


def test_the_root_of_a_record_reaches_what_its_parents_reach(project: Project):
    repo = Repo.find(project.root)
    first = store(repo)
    child = store(repo, [first], resumes=str(first))

    root = repo.cache.root(child)
    parent = repo.cache.root(first)
    assert root is not None and parent is not None
    assert set(parent.indexes) <= set(root.indexes)
    assert read_record(repo, child).parents == [first]


def test_a_record_whose_parent_is_not_here_is_not_stored(project: Project):
    repo = Repo.find(project.root)
    away = Digest.of(repo.algorithm, b"away")

    with pytest.raises(NotFoundError, match="is not in the cache"):
        store(repo, [away], resumes=str(away))


def test_what_fails_on_the_way_leaves_no_root(project: Project):
    repo = Repo.find(project.root)

    with pytest.raises(UsageError, match="'status'"):
        store(repo, status="unheard of")

    assert [root for _, root in repo.cache.roots()] == []


def test_a_record_is_found_by_the_first_digits(project: Project):
    repo = Repo.find(project.root)
    digest = store(repo)

    assert find_record(repo, str(digest)[:15]) == digest
    assert find_record(repo, str(digest)) == digest
    assert find_record(repo, "xxh128:00000000") is None
    assert find_record(repo, "no digest") is None


names = st.lists(st.sampled_from([b"a", b"b", b"c.py"]), min_size=1, max_size=4).map(b"/".join)


@settings(max_examples=12, deadline=None)
@given(st.dictionaries(names, st.binary(max_size=20), max_size=8))
def test_any_files_become_the_tree_that_add_would_make(files: dict[bytes, bytes]):
    kept = {
        path: content
        for path, content in files.items()
        if not any(other.startswith(path + b"/") for other in files)
    }
    import tempfile
    from pathlib import Path

    from projects import environment_of

    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack():
        root = Path(folder) / "p"
        (root / "data").mkdir(parents=True)
        play = Project(root, environment_of(root))
        play.run("init", "--no-git")
        play.write({b"data/" + path: content for path, content in kept.items()})
        play.run("add", "data")
        repo = Repo.find(root)
        with writing_record(repo, dict(VALUES), []) as (writer, written):
            made = writer.folder("code", {path: ("file", content) for path, content in kept.items()})
        assert [dataset.digest for dataset in repo.datasets()] == [made]
        assert written.digest

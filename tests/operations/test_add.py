"""What ``datavc add`` records, and what it refuses."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from projects import Project

FILES = {"data/a": "alpha", "data/sub/b": "beta", "data/empty": None, "data/zero": ""}


def pack_files(project: Project) -> list[str]:
    packs = project.root / ".git/datavc/cache/packs"
    return sorted(str(path) for path in packs.rglob("xxh128-*"))


def test_adding_a_folder_writes_a_pointer_and_an_ignore_line(project: Project):
    project.write(FILES)
    result = project.run("add", "data")
    assert project.read("data.datavc").startswith(b'format = 1\nkind = "folder"\ndigest = "xxh128:')
    assert b"/data\n" in project.read(".gitignore")
    assert "git add .gitignore data.datavc" in result.err
    assert project.git("status", "--porcelain", "--", "data") == ""


def test_adding_again_changes_nothing(project: Project):
    project.write(FILES)
    project.run("add", "data")
    before = project.read("data.datavc"), pack_files(project)
    assert "unchanged" in project.run("add", "data").out
    assert (project.read("data.datavc"), pack_files(project)) == before


def test_equal_files_are_stored_once(project: Project):
    project.write({f"data/{number}": "the same bytes" for number in range(10)})
    row = json.loads(project.run("add", "--json", "data").out)["datasets"][0]
    assert (row["files"], row["new_files"], row["deduplicated_bytes"]) == (10, 1, 9 * 14)


def test_stage_gives_the_pointer_to_git(project: Project):
    project.write(FILES)
    project.run("add", "--stage", "data")
    assert project.git("diff", "--cached", "--name-only").split() == [".gitignore", "data.datavc"]


def test_add_works_from_any_folder_of_the_repository(project: Project):
    project.write({"deep/er/data/a": "x"})
    project.run("add", "data", cwd="deep/er")
    assert (project.root / "deep/er/data.datavc").is_file()


@pytest.mark.parametrize("name", ["-dash", "sp ace", "ünï", "*", "new\nline-inside/x"])
def test_odd_names_are_added_and_come_back(project: Project, name: str):
    project.write({f"data/{name}": "odd"})
    project.run("add", "data")
    before = project.tree("data")
    os.rename(project.root / "data", project.root.parent / "away")
    project.run("checkout")
    assert project.tree("data") == before


def test_update_adds_every_modified_dataset_and_no_other(project: Project):
    project.write({"one/a": "1", "two/a": "2", "three/a": "3"})
    project.run("add", "one", "two", "three")
    project.write({"one/a": "1 changed", "three/new": "x"})
    before = project.read("two.datavc")
    rows = json.loads(project.run("add", "-u", "--json").out)["datasets"]
    assert [row["path"] for row in rows] == ["one", "three"]
    assert project.read("two.datavc") == before
    assert project.run("status", "--json").out.count('"modified"') == 0


def test_a_part_is_updated_and_the_rest_stays_as_the_pointer_had_it(project: Project):
    project.write({"data/cats/1": "cat", "data/dogs/1": "dog"})
    project.run("add", "data")
    project.write({"data/cats/1": "cat changed", "data/dogs/1": "dog changed"})
    project.run("add", "data/cats")
    assert project.run("cat", "data/cats/1").out == "cat changed"
    assert project.run("cat", "data/dogs/1").out == "dog"
    assert "1 changed" in project.run("status").out


def test_a_dry_run_records_nothing(project: Project):
    project.write(FILES)
    assert "would be read" in project.run("add", "--dry-run", "data").out
    assert not (project.root / "data.datavc").exists()
    assert pack_files(project) == []


def test_a_dry_run_tells_a_change_that_nothing_need_be_read_for_from_no_change(project: Project):
    project.write(FILES)
    project.run("add", "data")
    assert project.run("add", "--dry-run", "data").out == "data: unchanged\n"

    next(path for path in (project.root / "data").rglob("*") if path.is_file()).unlink()
    assert project.run("add", "--dry-run", "data").out == "data: would be recorded\n"
    assert not json.loads(project.run("add", "--dry-run", "--json", "data").out)["datasets"][0]["unchanged"]


REFUSED = {
    "tracked by git": ("code.py", "tracked by git"),
    "outside": ("../elsewhere", "outside of the repository"),
    "git's own": (".git/config", "take for .git"),
    "everything": (".", "whole repository"),
    "nothing": ("nowhere", "does not exist"),
    "a pointer": ("old.datavc", "is a pointer"),
    "above a dataset": ("nest", "holds the dataset"),
    "ignored": ("ig/f", "line 1 of ig/.gitignore"),
    "nested git": ("withgit", "take for .git"),
    "pipe": ("pipes", "named pipe"),
}


@pytest.mark.parametrize(("path", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_a_dataset_is_refused_and_nothing_is_recorded(project: Project, path: str, words: str):
    project.write(
        {"code.py": "x", "old/a": "x", "nest/in/a": "x", "ig/f": "x", "ig/.gitignore": "*.datavc\n"}
    )
    project.write({"withgit/.git/config": "x", "pipes/a": "x"})
    os.mkfifo(project.root / "pipes/fifo")
    project.git("add", "code.py")
    project.run("add", "old", "nest/in")
    before = pack_files(project)
    assert words in project.run("add", path, code=None).err
    assert pack_files(project) == before
    assert not (project.root / f"{path}.datavc").exists()


@pytest.mark.parametrize(
    ("rule", "way_out"),
    [("*.datavc", "add a line !data.datavc there"), ("/deep/", "take that line away")],
)
def test_a_pointer_that_git_would_ignore_is_refused_with_the_way_out(
    project: Project, rule: str, way_out: str
):
    project.write({".gitignore": f"{rule}\n", "deep/data/a": "x"})
    said = project.run("add", "deep/data", code=1).err
    assert f"by line 1 of .gitignore ({rule})" in said
    assert f"hint: {way_out}, or move the data" in said


def test_what_datavcignore_names_is_left_out_and_stays(project: Project):
    project.write({"data/keep": "k", "data/junk.tmp": "j", ".datavcignore": "*.tmp\n"})
    project.git("add", ".datavcignore")
    project.run("add", "data")
    assert project.run("ls", "data").out == "data/keep\n"
    project.write({"data/keep": "k2"})
    project.run("checkout", "--force")
    assert project.read("data/junk.tmp") == b"j"


def test_inside_a_dataset_datavcignore_is_data(project: Project):
    project.write({"data/.datavcignore": "*\n", "data/a": "x"})
    project.run("add", "data")
    assert project.run("ls", "data").out.split() == ["data/.datavcignore", "data/a"]


def test_a_pointer_that_moved_is_not_set_back(project: Project):
    project.write(FILES)
    project.run("add", "data")
    first = project.read("data.datavc")
    project.write({"data/a": "second"})
    project.run("add", "data")
    second = project.read("data.datavc")
    project.write({"data.datavc": first})
    assert "datavc checkout data" in project.run("add", "data", code=1).err
    project.write({"data/a": "third"})
    assert "--force" in project.run("add", "data", code=1).err
    assert project.read("data.datavc") == first
    project.run("add", "--force", "data")
    assert project.read("data.datavc") not in (first, second)


def test_chunks_that_went_missing_are_stored_again_by_add(project: Project):
    project.write({"data/large": os.urandom(3 << 20)})
    project.run("add", "data")
    largest = max(
        (project.root / ".git/datavc/cache/packs").rglob("xxh128-*"), key=lambda path: path.stat().st_size
    )
    largest.unlink()
    project.run("fsck", code=12)
    project.run("add", "data")
    before = project.tree("data")
    (project.root / "data/large").unlink()
    project.run("checkout")
    assert project.tree("data") == before


def test_single_files_symlinks_and_executables_are_datasets_too(project: Project):
    project.write({"file": "f", "tool": "#!/bin/sh\n"})
    (project.root / "tool").chmod(0o755)
    (project.root / "link").symlink_to("nowhere")
    project.run("add", "file", "tool", "link")
    before = {name: project.tree(name) for name in ("file", "tool", "link")}
    for name in before:
        (project.root / name).unlink()
    project.run("checkout")
    assert {name: project.tree(name) for name in before} == before


@pytest.mark.parametrize("link", ["hardlink", "symlink"])
def test_a_lone_file_that_lies_in_no_pack_is_added_and_comes_back(project: Project, link: str):
    project.run("config", "--local", "cache.link", link)
    project.run("config", "--local", "cache.share_above", "0")
    project.write({"file": "kept as a whole blob"})
    project.run("add", "file")
    project.run("fsck")
    (project.root / "file").unlink()
    project.run("checkout")

    assert project.read("file") == b"kept as a whole blob"


@pytest.mark.parametrize("option", [[], ["--rehash"]])
def test_a_new_dataset_takes_nothing_over_from_one_that_was_at_its_path(project: Project, option: list[str]):
    project.write({"data/a": "alpha", "data/sub/b": "beta"})
    project.run("add", "data")
    project.commit("data")
    shutil.rmtree(project.root / "data")
    project.run("checkout", "data/sub")
    project.git("checkout", "-q", "HEAD~1")  # where there is no such dataset
    shutil.rmtree(project.root / "data")
    project.write({"data/new": "new"})
    project.run("add", *option, "data")

    assert project.run("ls", "data").out == "data/new\n"
    assert "partial" not in project.run("status").out

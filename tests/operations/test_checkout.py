"""What ``datavc checkout`` writes, and what it never loses."""

from __future__ import annotations

import os
import re
import shutil

import pytest
from projects import Project


def two_versions(project: Project) -> tuple[dict, dict]:
    """Two commits; the workspace stands at the second. Returns both trees."""
    project.write({"data/same": "same", "data/old": "old", "data/edit": "one", "data/dir/x": "x"})
    project.run("add", "data")
    project.commit("one")
    first = project.tree("data")
    (project.root / "data/old").unlink()
    shutil.rmtree(project.root / "data/dir")
    project.write({"data/edit": "two!", "data/new/n": "n", "data/dir": "a file now"})
    (project.root / "data/same").chmod(0o755)
    project.run("add", "data")
    project.commit("two")
    return first, project.tree("data")


def test_an_earlier_commits_data_comes_back_exactly_and_so_does_the_later(project: Project):
    first, second = two_versions(project)
    project.git("checkout", "-q", "HEAD~1")
    assert "behind" in project.run("status").out
    project.run("checkout")
    assert project.tree("data") == first
    project.git("checkout", "-q", "main")
    project.run("checkout")
    assert project.tree("data") == second
    assert "clean" in project.run("status").out


def test_only_what_differs_is_written(project: Project):
    two_versions(project)
    inode = os.stat(project.root / "data/same").st_ino
    project.git("checkout", "-q", "HEAD~1")
    project.run("checkout")
    assert os.stat(project.root / "data/same").st_ino == inode


def test_unsaved_changes_are_refused_and_force_saves_them_first(project: Project):
    two_versions(project)
    project.write({"data/edit": "precious", "data/extra": "also"})
    before = project.tree("data")
    assert "data/edit" in project.run("checkout", code=1).err
    assert project.tree("data") == before
    said = project.run("checkout", "--force").err
    command = re.search(r"datavc (checkout --force xxh128:[0-9a-f]+ -- data)", said)
    assert command is not None
    assert project.read("data/edit") == b"two!"
    project.run(*command[1].split())
    assert project.tree("data") == before


def test_a_missing_object_is_found_before_anything_is_touched(project: Project):
    two_versions(project)
    project.git("checkout", "-q", "HEAD~1")
    before = project.tree("data")
    for pack in (project.root / ".git/datavc/cache/packs").rglob("xxh128-*"):
        if b"one" in pack.read_bytes():
            pack.unlink()
    result = project.run("checkout", code=1)
    assert "nothing was touched" in result.err and "data/edit" in result.err
    assert project.tree("data") == before


@pytest.mark.parametrize("path", ["model", "sub/model", "data/dir/model"])
def test_a_missing_object_is_named_by_the_path_at_which_it_is_wanted(project: Project, path: str):
    project.write({path: "bytes that go"})
    dataset = "data" if path.startswith("data") else path
    project.run("add", dataset)
    (project.root / path).unlink()
    shutil.rmtree(project.root / ".git/datavc/cache/packs")
    assert f"lacks the bytes of 1 file: {path};" in project.run("checkout", dataset, code=1).err


def test_a_dry_run_touches_nothing(project: Project):
    two_versions(project)
    project.git("checkout", "-q", "HEAD~1")
    before = project.tree("data")
    assert "would be" in project.run("checkout", "--dry-run").out
    assert project.tree("data") == before


def test_a_part_is_checked_out_alone_and_add_keeps_the_rest(project: Project):
    project.write({"data/cats/1": "cat", "data/dogs/1": "dog", "data/top": "t"})
    project.run("add", "data")
    pointer = project.read("data.datavc")
    shutil.rmtree(project.root / "data")
    project.run("checkout", "data/cats")
    assert sorted(project.tree("data")) == [b".", b"cats", b"cats/1"]
    assert "partial" in project.run("status").out
    project.run("add", "data")
    assert project.read("data.datavc") == pointer
    project.write({"data/cats/2": "another"})
    project.run("add", "data")
    assert project.run("ls", "-r", "data").out.split() == [
        "data/cats/1",
        "data/cats/2",
        "data/dogs/1",
        "data/top",
    ]
    project.run("checkout")
    assert "clean" in project.run("status").out or "not committed" in project.run("status").out


def test_a_planted_symlink_is_not_written_through(project: Project):
    two_versions(project)
    project.git("checkout", "-q", "HEAD~1")
    outside = project.root.parent / "outside"
    outside.mkdir()
    shutil.rmtree(project.root / "data/new")
    (project.root / "data/new").symlink_to(outside)
    project.run("checkout", code=1)
    project.run("checkout", "--force")
    assert list(outside.iterdir()) == []


def test_a_damaged_object_is_never_put_in_place(project: Project):
    two_versions(project)
    shutil.rmtree(project.root / "data")
    for pack in (project.root / ".git/datavc/cache/packs").rglob("xxh128-*"):
        data = bytearray(pack.read_bytes())
        pack.chmod(0o644)
        data[10] ^= 1
        pack.write_bytes(data)
    project.run("checkout", code=12)
    for _, content in project.tree().items():
        assert content[0] != "file" or content[1] in (b"", *[c[1] for c in project.tree().values()])
    assert (
        "checkout unfinished" in project.run("status", code=None).out or not (project.root / "data").exists()
    )


@pytest.mark.parametrize("link", ["hardlink", "symlink"])
def test_linked_files_are_clean_protected_and_can_be_made_ones_own(project: Project, link: str):
    project.run("config", "--local", "cache.link", link)
    project.run("config", "--local", "cache.share_above", "0")
    project.write({"data/a": "linked content"})
    project.run("add", "data")
    place = project.root / "data/a"
    assert place.read_bytes() == b"linked content"
    assert place.is_symlink() == (link == "symlink")
    assert "modified" not in project.run("status").out
    place.unlink()
    project.run("checkout")
    assert place.is_symlink() == (link == "symlink")
    project.run("unprotect", "data")
    place.write_bytes(b"changed safely")
    assert project.run("cat", "data/a").out == "linked content"
    project.run("fsck")


def test_a_pointer_may_not_stand_for_gits_own_folder(project: Project):
    two_versions(project)
    project.write({".git.datavc": project.read("data.datavc")})
    before = project.tree(".git/hooks")
    assert ".git.datavc" in project.run("checkout", "--force", code=12).err
    assert project.tree(".git/hooks") == before


def test_a_pointer_that_lies_about_its_size_is_refused(project: Project):
    project.write({"file": "12345"})
    project.run("add", "file")
    lie = project.read("file.datavc").replace(b"size = 5", b"size = 50")
    project.write({"file.datavc": lie})
    (project.root / "file").unlink()
    project.run("checkout", code=12)
    assert not (project.root / "file").exists()


@pytest.mark.parametrize("where", ["sub", "sub/data", "sub/data/inner"])
def test_what_a_killed_checkout_left_staged_goes_even_if_there_is_nothing_else_to_do(
    where: str, project: Project
):
    project.write({"sub/data/a": "a", "sub/data/inner/b": "b"})
    project.run("add", "sub/data")
    before = project.tree("sub")
    project.write({f"{where}/.datavc-tmp-0123456789abcdef/a": "half", f"{where}/.datavc-tmp-fedcba": "file"})

    project.run("checkout", "sub/data")

    assert project.tree("sub") == before
    assert project.run("status").out == "sub/data: pointer not committed\n"

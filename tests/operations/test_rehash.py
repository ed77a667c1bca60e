"""`add --rehash` after damage in the cache: what `fsck` names is stored again, and nothing that was sound is lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from projects import Project

Damage = Callable[[Path], None]


def flip(file: Path, at: int = 40) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 0xFF
    file.chmod(0o600)
    file.write_bytes(data)


def flip_tail(file: Path) -> None:
    flip(file, -1)


def flip_head(file: Path) -> None:
    flip(file, 0)


def cut(file: Path) -> None:
    file.chmod(0o600)
    os.truncate(file, file.stat().st_size * 2 // 3)


def remove(file: Path) -> None:
    file.unlink()


def stored(project: Project, kind: str) -> list[Path]:
    """The stored files of a kind, the largest first."""
    found = (project.root / ".git/datavc/cache" / kind).rglob("*-*")
    return sorted((path for path in found if path.is_file()), key=lambda path: -path.stat().st_size)


@pytest.fixture
def history(project: Project) -> Project:
    """A dataset of small files and a large one, in two versions; the earlier one is in git's history alone."""
    project.write({f"data/{n}": os.urandom(500) for n in range(20)} | {"data/large": os.urandom(3 << 20)})
    project.run("add", "data")
    project.commit("one")
    project.write({"data/0": "edited", "data/new": "new"})
    project.run("add", "data")
    project.commit("two")
    return project


def comes_back(project: Project) -> None:
    """The workspace's version is in the cache, exactly."""
    before = project.tree("data")
    for name in before:
        if before[name][0] == "file":
            (project.root / "data" / os.fsdecode(name)).unlink()
    project.run("checkout")
    assert project.tree("data") == before


@pytest.mark.parametrize("damage", [flip, flip_tail, flip_head, cut, remove])
@pytest.mark.parametrize("kind", ["packs", "indexes", "roots"])
def test_what_fsck_finds_is_mended(kind: str, damage: Damage, project: Project):
    project.write({f"data/{n}": os.urandom(500) for n in range(20)} | {"data/large": os.urandom(3 << 20)})
    project.run("add", "data")
    for number in range(len(stored(project, kind))):
        damage(stored(project, kind)[number])

        project.run("add", "--rehash", "data")

        assert project.run("fsck").out == ""
        assert project.run("status").out.startswith("data: pointer not committed")
        comes_back(project)


def test_sound_objects_of_a_damaged_pack_stay_for_the_versions_that_need_them(history: Project):
    history.git("checkout", "-q", "HEAD~1")
    history.run("checkout")
    first = history.tree("data")
    history.git("checkout", "-q", "main")
    history.run("checkout")
    for pack in stored(history, "packs"):
        if pack.stat().st_size > 5_000:
            # The end of the content: what the workspace has, and not the one object that only the first version needs.
            flip(pack, -2_000)
    history.run("fsck", code=12)

    history.run("add", "--rehash", "data")

    history.run("fsck")
    history.git("checkout", "-q", "HEAD~1")
    history.run("checkout")
    assert history.tree("data") == first


def test_what_cannot_be_stored_again_is_still_named_by_fsck(history: Project):
    only_in_the_first = history.git("show", "HEAD~1:data.datavc")
    assert only_in_the_first
    for pack in stored(history, "packs"):
        cut(pack)

    history.run("add", "--rehash", "data")

    told = history.run("fsck", code=12).out.splitlines()
    assert told
    assert all("data/0 is not in the cache" in line or "data is not in the cache" in line for line in told)
    comes_back(history)


def test_fsck_names_the_command_that_mends(project: Project):
    project.write({"sub/my data/a": os.urandom(500)})
    project.run("add", "my data", cwd="sub")
    flip(stored(project, "packs")[0])

    assert project.run("fsck", code=12).err.splitlines()[-1] == "next: datavc fsck --repair"
    (project.root / "sub/my data/a").unlink()
    said = project.run("fsck", "--repair", cwd="sub", code=12).err

    assert said.splitlines()[-1] == "next: datavc add --rehash 'my data', where the data is whole"


def test_damaged_files_are_kept_in_quarantine(history: Project):
    pack = stored(history, "packs")[0]
    flip(pack)
    damaged = pack.read_bytes()

    said = history.run("add", "--rehash", "data").err

    assert pack.name in said
    aside = [
        file for file in (history.root / ".git/datavc/cache/quarantine").iterdir() if pack.name in file.name
    ]
    assert [file.read_bytes() for file in aside] == [damaged]


def test_a_damaged_shared_blob_is_stored_again(project: Project):
    project.run("config", "--local", "cache.link", "hardlink")
    project.write({"data/large": os.urandom(2 << 20)})
    project.run("add", "data")
    project.run("unprotect", "data")
    blob = stored(project, "blobs")[0]
    flip(blob)
    project.run("fsck", code=12)

    project.run("add", "--rehash", "data")

    project.run("fsck")
    comes_back(project)


def test_a_new_dataset_does_not_rely_on_a_damaged_pack_of_another(project: Project):
    content = os.urandom(500)
    project.write({"data/a": content})
    project.run("add", "data")
    flip(stored(project, "packs")[0], 40)
    project.write({"copy/a": content})

    project.run("add", "--rehash", "copy")

    (project.root / "copy/a").unlink()
    project.run("checkout", "copy")
    assert project.read("copy/a") == content


def test_nothing_is_read_again_or_changed_without_rehash(history: Project):
    flip(stored(history, "packs")[0])
    before = {
        file: file.read_bytes() for kind in ("packs", "indexes", "roots") for file in stored(history, kind)
    }

    history.run("add", "data")

    after = {
        file: file.read_bytes() for kind in ("packs", "indexes", "roots") for file in stored(history, kind)
    }
    assert after == before


def test_a_plain_add_takes_no_damaged_pack_for_what_it_stores(project: Project):
    # All that knew of the packs is lost, so that the same packs come to be again, under their old names.
    project.write({f"data/{n}": os.urandom(500) for n in range(20)} | {"data/large": os.urandom(3 << 20)})
    project.run("add", "data")
    for pack in stored(project, "packs"):
        flip(pack)
    for file in stored(project, "roots") + stored(project, "indexes"):
        file.unlink()

    project.run("add", "data")

    assert project.run("fsck").out == ""
    assert len(list((project.root / ".git/datavc/cache/quarantine").iterdir())) >= 1
    comes_back(project)


@pytest.mark.parametrize("place", [70, -3])
def test_a_damaged_index_is_named_with_what_mends_it(project: Project, place: int):
    project.write({f"data/{n}": os.urandom(500) for n in range(20)})
    project.run("add", "data")
    (index,) = stored(project, "indexes")
    flip(index, place)
    project.write({"data/0": "edited"})

    refused = project.run("add", "data", code=12)

    assert f"indexes/{index.name} of " in refused.err
    assert "hint: datavc fsck --repair" in refused.err
    project.run("fsck", "--repair")
    project.run("add", "data")
    comes_back(project)

"""purge: the bytes are nowhere, in cache and remotes; nothing brings them back; everything else is as it was."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

import pytest
from projects import Project
from remotes import add_folder, pushed
from servers import s3_server
from stored import unpacked

from datavc.backends.folder import FolderBackend
from datavc.formats.digest import hash_function
from datavc.operations.steps.remotes.remotes import open_remote
from datavc.repo import Repo

XXH = hash_function("xxh128")
_dice = random.Random(5)
SMALL_TEXT = b"a line about patient seventeen\n" * 200
SMALL_NOISE = _dice.randbytes(40_000)
LARGE_TEXT = b"".join(b"visit %07d of patient seventeen\n" % number for number in range(60_000))
LARGE_NOISE = _dice.randbytes(2_500_000)
KEPT = {"data/keep.txt": b"what stays\n" * 100, "data/sub/keep.bin": _dice.randbytes(1_600_000)}
GONE = {
    "data/17.txt": SMALL_TEXT,
    "data/17.bin": SMALL_NOISE,
    "data/sub/17.csv": LARGE_TEXT,
    "data/sub/17.raw": LARGE_NOISE,
}
REASON = "request of 3 May"


def bytes_in(store: Path) -> bytes:
    """Every byte of every file of a store, and what is in packs once more, decompressed."""
    found = [path.read_bytes() for path in sorted(store.rglob("*")) if path.is_file()]
    return b"\0".join([*found, unpacked(FolderBackend(store))])


def holds(store: bytes, content: bytes) -> bool:
    """Whether some stretch of a content is there: in chunks it is in pieces."""
    step = max(1, len(content) // 40)
    return any(content[at : at + 48] in store for at in range(0, len(content) - 48, step))


def cache_of(project: Project) -> Path:
    return project.root / ".git/datavc/cache"


def purge(project: Project, *arguments: str, code: int = 0):
    return project.run("purge", *arguments, "--reason", REASON, "--yes", code=code)


@pytest.fixture
def origin(project: Project) -> Path:
    """Two pushed versions; in the second something else was changed."""
    project.write({**KEPT, **GONE})
    project.run("add", "data")
    project.commit("one")
    remote = add_folder(project, project.root.parent / "remote")
    project.write({"data/other.txt": "other"})
    project.run("add", "data")
    project.commit("two")
    pushed(project, "--rev", "HEAD~1")
    pushed(project)
    return remote


def without_gone(project: Project) -> None:
    for name in GONE:
        (project.root / name).unlink(missing_ok=True)


def test_the_bytes_are_in_no_store_and_all_others_are(project: Project, origin: Path):
    for store in (cache_of(project), origin):
        assert all(holds(bytes_in(store), content) for content in (*GONE.values(), *KEPT.values()))
    purge(project, *GONE)

    for store in (cache_of(project), origin):
        found = bytes_in(store)
        for name, content in GONE.items():
            assert not holds(found, content), name
        assert all(holds(found, content) for content in KEPT.values())
    assert "purged" in project.run("fsck").err
    project.run("fsck", "-r", "origin", "--full")


@pytest.mark.parametrize("link", ["hardlink", "symlink"])
def test_whole_blobs_go_too(project: Project, link: str):
    project.run("config", "--local", "cache.link", link)
    project.run("config", "--local", "cache.share_above", "0")
    project.write({**KEPT, **GONE})
    project.run("add", "data")
    project.commit()
    purge(project, *GONE)

    found = bytes_in(cache_of(project))
    assert not any(holds(found, content) for content in GONE.values())
    assert project.read("data/keep.txt") == KEPT["data/keep.txt"]


def test_a_dry_run_tells_where_it_is_and_changes_nothing(project: Project, origin: Path):
    before = {path: path.stat().st_mtime_ns for path in origin.rglob("*") if path.is_file()}
    said = json.loads(project.run("purge", "17.txt", "--reason", "x", "--dry-run", "--json", cwd="data").out)

    assert [file["path"] for file in said["files"]] == ["data/17.txt"]
    assert len(said["versions"]) == 2 and all(len(version["commits"]) == 1 for version in said["versions"])
    assert [store["packs"] > 0 for store in said["stores"]] == [True, True]
    assert said["workspace"] == ["data/17.txt"] and not said["done"]
    assert {path: path.stat().st_mtime_ns for path in origin.rglob("*") if path.is_file()} == before


def test_of_a_path_goes_all_that_it_ever_was_and_of_a_digest_that_alone(project: Project):
    project.write({"data/a": "first secret", "data/b": "stays"})
    project.run("add", "data")
    project.commit()
    project.write({"data/a": "second secret"})
    project.run("add", "data")
    project.commit()
    digest = f"xxh128:{XXH(b'first secret').hex()}"
    said = json.loads(project.run("purge", digest[:20], "--reason", "x", "--dry-run", "--json").out)
    assert [file["digest"] for file in said["files"]] == [digest]

    purge(project, "data/a")
    found = bytes_in(cache_of(project))
    assert b"first secret" not in found and b"second secret" not in found and b"stays" in found


def test_what_it_prints_can_be_typed_where_one_is(project: Project, origin: Path):
    ended = project.run("purge", "17.txt", "--reason", "x", "--yes", cwd="data")
    assert "next: datavc add .\n" in ended.err or "next: datavc add ../data\n" in ended.err


def test_a_list_of_paths_and_digests(project: Project, origin: Path):
    names = [*list(GONE)[:2], f"xxh128:{XXH(LARGE_TEXT).hex()}", "data/sub/17.raw"]
    project.write({"gone.txt": "\n".join(names) + "\n\n"})
    purge(project, "--files-from", "gone.txt")

    assert not any(holds(bytes_in(origin), content) for content in GONE.values())


def test_derived_data_and_runs_are_told(project: Project, origin: Path):
    project.run("run", "-i", "data", "-o", "out.txt", "--", "cp", "data/keep.txt", "out.txt")
    project.run(
        "run", "-i", "out.txt", "-o", "next.txt", "--", "sort", "-o", "next.txt", "data/17.txt", "out.txt"
    )
    said = json.loads(project.run("purge", "data/17.txt", "--reason", "x", "--dry-run", "--json").out)

    # In the order of the runs.
    assert [path for path, _ in said["derived"]] == ["out.txt", "next.txt"]
    assert [record["command"].split()[0] for record in said["records"]] == ["cp", "sort"]
    assert "next.txt" in project.run("purge", "data/17.txt", "--reason", "x", "--dry-run").out


# Nothing brings it back


@pytest.mark.parametrize("name", GONE)
def test_add_refuses_the_bytes_by_name_and_reason(project: Project, origin: Path, name: str):
    purge(project, name)
    refused = project.run("add", "data", code=1)
    assert name in refused.err and REASON in refused.err

    # Under another name in another dataset too, also where nothing is known of it.
    project.write({"again/copy": GONE[name]})
    refused = project.run("add", "again", code=1)
    assert "again/copy" in refused.err and REASON in refused.err
    assert not holds(bytes_in(cache_of(project)), GONE[name])


def test_a_dataset_that_is_one_file_is_refused_by_its_name(project: Project):
    project.write({"model.bin": "purged"})
    project.run("add", "model.bin")
    asked = project.run("purge", "model.bin", "--reason", REASON, code=2).out
    assert asked.startswith("1 file, to be purged:\n  model.bin  ")

    said = project.run("purge", "model.bin", "--reason", REASON, "--yes").err
    assert said.splitlines()[-1] == "next: datavc remove --delete --force model.bin"
    assert "error: model.bin cannot be added: " in project.run("add", "model.bin", code=1).err
    project.run(*said.splitlines()[-1].removeprefix("next: datavc ").split())
    assert not (project.root / "model.bin").exists()


def test_what_is_left_is_added_and_pushed(project: Project, origin: Path):
    purge(project, *GONE)
    without_gone(project)
    project.run("add", "data")
    project.commit("without")
    pushed(project)
    clone = project.clone("clone")
    clone.run("pull")

    assert clone.tree("data") == project.tree("data")


def test_an_old_revision_is_refused_and_restored_without_what_was_purged(project: Project, origin: Path):
    purge(project, *GONE)
    without_gone(project)
    project.run("add", "data")
    project.commit("without")
    before = project.tree("data")
    refused = project.run("checkout", "HEAD~1", code=1)
    assert REASON in refused.err and "data/17.txt" in refused.err and "--allow-purged" in refused.err
    assert project.tree("data") == before

    said = project.run("checkout", "HEAD~1", "--allow-purged").out
    assert "4 files purged" in said
    assert project.read("data/other.txt") == b"other"
    assert not any((project.root / name).exists() for name in GONE)
    project.run("checkout", "HEAD")
    assert project.tree("data") == before


def test_another_content_of_a_purged_file_does_not_stay_in_its_place(project: Project):
    project.write({"data/a": "secret", "data/b": "stays"})
    project.run("add", "data")
    project.commit()
    project.write({"data/a": "harmless"})
    project.run("add", "data")
    project.commit()
    purge(project, f"xxh128:{XXH(b'secret').hex()}")
    project.run("checkout", "HEAD~1", "--allow-purged")

    assert set(project.tree("data")) == {b".", b"b"}


def test_looking_goes_on(project: Project, origin: Path):
    purge(project, *GONE)
    assert "17.txt" in project.run("ls", "data").out
    project.run("du")
    project.run("log", "--stat")
    project.run("diff", "HEAD~1", "HEAD")
    refused = project.run("cat", "data/17.txt", code=1)
    assert REASON in refused.err


def test_a_clone_that_fetches_gets_the_rest_and_knows_why(project: Project, origin: Path):
    purge(project, *GONE)
    clone = project.clone("clone")
    refused = clone.run("pull", code=1)
    assert REASON in refused.err
    clone.run("checkout", "--allow-purged")
    assert clone.read("data/sub/keep.bin") == KEPT["data/sub/keep.bin"]
    clone.write({"data/17.txt": SMALL_TEXT})
    assert REASON in clone.run("add", "data", code=1).err


def test_another_clone_that_has_the_bytes_does_not_bring_them_back(project: Project, origin: Path):
    clone = project.clone("clone")
    clone.run("pull")
    clone.write({"data/more.txt": "more"})
    clone.run("add", "data")
    clone.commit("more")
    purge(project, *GONE)
    shutil.rmtree(origin / "roots")
    said = clone.run("push", "--yes")

    assert "4 files of it are purged" in said.err
    assert not any(holds(bytes_in(origin), content) for content in GONE.values())
    # What it still has itself goes by the same command without arguments.
    assert any(holds(bytes_in(cache_of(clone)), content) for content in GONE.values())
    clone.run("purge", "--yes")
    assert not any(holds(bytes_in(cache_of(clone)), content) for content in GONE.values())
    clone.run("fsck")


def test_a_remote_that_still_has_it_is_not_believed(project: Project, origin: Path):
    copy = project.root.parent / "copy"
    shutil.copytree(origin, copy)
    purge(project, *GONE)
    without_gone(project)
    add_folder(project, copy, "copy")
    project.run("fetch", "-r", "copy", "--rev", "HEAD~1")
    shutil.rmtree(cache_of(project) / "packs")
    project.run("fsck", "--repair", code=None)
    assert not any(holds(bytes_in(cache_of(project)), content) for content in GONE.values())
    assert holds(bytes_in(cache_of(project)), KEPT["data/keep.txt"])

    # It is purged as soon as it can be reached.
    project.run("purge", "--yes")
    assert not any(holds(bytes_in(copy), content) for content in GONE.values())


def test_what_could_not_be_reached_is_told_and_done_later(project: Project, origin: Path):
    away = origin.parent / "away"
    origin.rename(away)
    origin.write_text("in the way")
    told = purge(project, *GONE, code=3)
    assert "origin" in told.out
    assert not any(holds(bytes_in(cache_of(project)), content) for content in GONE.values())
    origin.unlink()
    away.rename(origin)
    assert any(holds(bytes_in(origin), content) for content in GONE.values())
    project.run("purge", "--yes")
    assert not any(holds(bytes_in(origin), content) for content in GONE.values())


def test_gc_keeps_the_notes(project: Project, origin: Path):
    purge(project, "data/17.txt")
    without_gone(project)
    project.run("add", "data")
    project.commit()
    project.run("gc", "--grace", "0", "--most", "--yes")
    assert os.listdir(cache_of(project) / "purged") == [f"xxh128-{XXH(SMALL_TEXT).hex()}"]


# On a bucket


@pytest.mark.s3
def test_on_a_bucket_the_bytes_are_in_no_object(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with s3_server(tmp_path) as server:
        project.environment.update(server.environment)
        bucket = server.make_bucket("purged")
        where = ["origin", f"s3://{bucket}/data", "--no-probe", "--endpoint", server.endpoint]
        project.run("remote", "add", *where)
        project.write({**KEPT, **GONE})
        project.run("add", "data")
        project.commit("one")
        pushed(project)
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)

        def there() -> bytes:
            backend = open_remote(Repo.find(project.root), "origin").backend
            names = [
                file.name
                for folder in ("indexes/", "roots/", "purged/", "trash/")
                for file in backend.list(folder)
            ]
            return b"\0".join([unpacked(backend), *map(backend.read, names)])

        assert all(holds(there(), content) for content in GONE.values())
        purge(project, *GONE)
        assert not any(holds(there(), content) for content in GONE.values())
        assert all(holds(there(), content) for content in KEPT.values())
        clone = project.clone("clone")
        assert REASON in clone.run("pull", code=1).err
        clone.run("checkout", "--allow-purged")
        assert clone.read("data/sub/keep.bin") == KEPT["data/sub/keep.bin"]


# What is refused


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["data/17.txt"], "has a reason"),
        (["data/17.txt", "--reason", "two\nlines"], "has a reason"),
        (["data/17.txt", "--reason", "x"], "nobody agreed"),
        (["data/17.txt", "--reason", "x", "--names"], "names cannot be purged"),
        (["data/17.txt", "--reason", "x", "-r", "nowhere"], "nowhere"),
        (["xxh128:zz", "--reason", "x", "--yes"], "xxh128:zz"),
        (["blake3:" + "0" * 64, "--reason", "x", "--yes"], "no digest"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    project: Project, origin: Path, arguments: list[str], said: str
):
    refused = project.run("purge", *arguments, code=None)
    assert refused.code in (1, 2) and said in refused.err
    assert not (cache_of(project) / "purged").exists()


def test_a_path_that_never_was_is_refused(project: Project, origin: Path):
    assert "never was" in purge(project, "data/nothing", code=1).err


def test_without_arguments_and_notes_there_is_nothing_to_do(project: Project):
    assert "nothing was ever purged" in project.run("purge", "--yes").err


# Beside other commands


def test_a_merge_needs_no_purged_bytes_and_brings_none_back(project: Project, origin: Path):
    project.git("checkout", "-q", "-b", "side")
    project.write({"data/side.txt": "side"})
    project.run("add", "data")
    project.commit("side")
    project.git("checkout", "-q", "main")
    project.run("checkout")
    without_gone(project)
    project.write({"data/main.txt": "main"})
    project.run("add", "data")
    project.commit("main")
    purge(project, *GONE)
    project.git("merge", "-q", "side", code=1)
    project.run("resolve", "data")
    project.run("checkout")

    assert {b"side.txt", b"main.txt"} <= set(project.tree("data"))
    assert not any((project.root / name).exists() for name in GONE)
    assert not any(holds(bytes_in(cache_of(project)), content) for content in GONE.values())


def test_get_refuses_a_version_that_is_not_whole_any_more(project: Project, origin: Path):
    digest = next(
        line for line in project.read("data.datavc").decode().splitlines() if "digest" in line
    ).split('"')[1]
    purge(project, "data/17.txt")
    refused = project.run("get", str(origin), digest, "-o", "got", code=1)
    assert REASON in refused.err and not (project.root / "got").exists()


def test_evict_drops_what_the_remote_holds_apart_from_what_was_purged(project: Project, origin: Path):
    purge(project, *GONE)
    without_gone(project)
    said = project.run("evict", "data").out
    assert said.count("dropped from the cache") == 2
    project.run("fetch", "--rev", "HEAD")
    project.run("checkout", "--allow-purged")
    assert project.read("data/keep.txt") == KEPT["data/keep.txt"]


def test_a_cache_that_clones_share_is_purged_for_all_of_them(project: Project):
    project.write({**KEPT, **GONE})
    project.run("add", "data")
    project.commit()
    clone = project.clone("clone")
    clone.run("config", "--local", "cache.dir", str(cache_of(project)))
    clone.run("checkout")
    told = purge(project, *GONE).out

    assert f"{clone.root} on" in told
    assert not any(holds(bytes_in(cache_of(project)), content) for content in GONE.values())
    assert REASON in clone.run("checkout", "HEAD", "--to", "elsewhere", code=1).err
    # What its workspace shows is its own.
    assert clone.read("data/17.txt") == SMALL_TEXT
    assert REASON in clone.run("add", "--rehash", "data", code=1).err


def test_a_run_does_not_record_what_was_purged(project: Project, origin: Path):
    purge(project, "data/17.txt")
    project.write({"copy": SMALL_TEXT})
    refused = project.run("run", "-o", "out.txt", "--", "cp", "copy", "out.txt", code=None)
    assert refused.code and REASON in refused.err
    assert not holds(bytes_in(cache_of(project)), SMALL_TEXT)


def test_what_is_put_aside_and_what_was_read_from_afar_goes_too(project: Project, origin: Path):
    for pack in (cache_of(project) / "packs").rglob("xxh128-*"):
        aside = cache_of(project) / "quarantine" / f"packs-{pack.name}-0000"
        aside.parent.mkdir(exist_ok=True)
        shutil.copy(pack, aside)
    reading = project.root / ".git/datavc/reading"
    reading.mkdir()
    (reading / "piece").write_bytes(SMALL_TEXT)
    purge(project, *GONE)

    found = b"".join(
        path.read_bytes() for path in (project.root / ".git/datavc").rglob("*") if path.is_file()
    )
    assert not holds(found, SMALL_NOISE) and not holds(found, SMALL_TEXT)
    assert not any(holds(bytes_in(cache_of(project)), content) for content in GONE.values())


def test_two_clones_that_purge_one_after_the_other_tell_the_first_reason(project: Project, origin: Path):
    clone = project.clone("clone")
    clone.run("pull")
    purge(project, "data/17.txt")
    clone.run("purge", "data/17.txt", "--reason", "another", "--yes")
    assert REASON in clone.run("add", "data", code=1).err


def test_the_record_of_a_run_keeps_no_purged_file_beside_it(project: Project, origin: Path):
    purge(project, "data/17.txt")
    project.write({"code.py": SMALL_TEXT})
    project.run("run", "-o", "out.txt", "--", "touch", "out.txt")
    assert not holds(bytes_in(cache_of(project)), SMALL_TEXT)
    assert "purged" in project.run("fsck").err
    project.run("push", "--yes")
    assert not holds(bytes_in(origin), SMALL_TEXT)


def test_where_all_is_purged_already_nobody_is_asked(project: Project, origin: Path):
    purge(project, "data/17.txt")
    assert "1 file purged in 2 places" in project.run("purge").err

"""Repositories and remotes of every format that was ever written: each stays readable for ever, and can be written anew.

``tests/golden/make_repo.py`` built each archive once, with the version that wrote its format. None is ever rebuilt: if
a test here fails, the code is wrong, not the archive.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from projects import Project, environment_of
from sweeps import COMPLETED, run_killed

from datavc.formats.sealed import seal
from datavc.store.note import STORE_FORMAT

GOLDEN = Path(__file__).parent / "golden"
FORMATS = range(STORE_FORMAT + 1)
OLD = FORMATS[:-1]
LARGE = {
    version: b"".join(b"%08d and so on\n" % number for number in range(0, 100_000, version + 1))
    for version in (1, 2)
}


def tree(version: int) -> dict[bytes, tuple[str, bytes]]:
    """What is on disk of a version of the dataset."""
    return {
        b".": ("folder", b""),
        b"large": ("file", LARGE[version]),
        b"link": ("symlink", b"sub/changed"),
        b"nothing": ("folder", b""),
        "odd é\n".encode(): ("file", b"a name that is no UTF-8 everywhere"),
        b"sub": ("folder", b""),
        b"sub/changed": ("file", b"version %d\n" % version),
        b"sub/only-in-%d" % version: ("file", b""),
        b"text": ("executable", b"the same in both versions\n"),
    }


def _extract(archive: tarfile.TarFile, folder: Path) -> None:
    # Python 3.11.3 and earlier know no filters; later ones want to be told.
    archive.extraction_filter = lambda member, path: member
    archive.extractall(folder)


def unpacked(folder: Path, number: int) -> Project:
    with tarfile.open(GOLDEN / f"repo-format{number}.tar.xz") as archive:
        _extract(archive, folder)
    (folder / "home").mkdir()
    project = Project(folder / "project", environment_of(folder / "home"))
    project.run("config", "--local", "remote.origin.allow", str(folder / "remote"))
    return project


@pytest.fixture(params=FORMATS)
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    return unpacked(tmp_path, request.param)


@pytest.fixture(params=OLD)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    return unpacked(tmp_path, request.param)


def stores(project: Project) -> tuple[Path, Path]:
    return project.root / ".git/datavc/cache", project.root.parent / "remote"


def has_both_versions(project: Project) -> None:
    assert project.tree("data") == tree(2)
    project.run("checkout", "HEAD~2", "--", "data")
    assert project.tree("data") == tree(1)
    project.run("checkout", "HEAD", "--", "data")
    assert project.tree("data") == tree(2)
    assert project.read("made") == b"the same in both versions\n"


def test_everything_is_read_out_of_the_cache(golden: Project):
    assert golden.git("status", "--porcelain") == ""
    assert "nothing is wrong" in golden.run("fsck").err
    golden.run("status", "--exit-code")
    has_both_versions(golden)
    shutil.rmtree(golden.root / "data")
    golden.run("checkout", "--force")
    has_both_versions(golden)
    assert "data" in golden.run("whence", "made").out


def test_everything_is_read_from_the_remote(golden: Project):
    assert "nothing is wrong" in golden.run("fsck", "-r", "origin", "--full").err
    clone = golden.clone("clone")
    clone.run("pull")
    has_both_versions(clone)
    assert "data" in clone.run("whence", "made").out
    clone.run("fsck")
    rows = json.loads(golden.run("push", "--json").out)["datasets"]
    assert {row["outcome"] for row in rows} == {"complete"}


def test_work_goes_on_and_what_did_not_change_keeps_its_digest_and_its_pointer(golden: Project):
    before = golden.read("data.datavc")
    golden.run("add", "--rehash", "data")
    assert golden.read("data.datavc") == before
    golden.write({"data/more": "more"})
    golden.run("add", "data")
    assert golden.read("data.datavc").startswith(b"format = %d\n" % STORE_FORMAT)
    golden.commit("more")
    golden.run("push")
    clone = golden.clone("clone")
    clone.run("pull")
    assert clone.tree("data") == {**tree(2), b"more": ("file", b"more")}
    assert "nothing is wrong" in clone.run("fsck").err
    assert "nothing is wrong" in golden.run("fsck", "-r", "origin", "--full").err


def rooted_formats(store: Path) -> set[int]:
    """The format numbers of the note, of the roots, and of all that they lead to."""
    found = {json.loads((store / "datavc-store.json").read_bytes())["format"]}
    for root in (path for path in (store / "roots").rglob("*") if path.is_file()):
        fields = json.loads(root.read_bytes().split(b"\n")[0])
        found.add(fields["format"])
        found |= {(store / "indexes" / name).read_bytes()[4] for name in fields["indexes"]}
    return found


def test_a_repair_writes_an_old_cache_and_an_old_remote_anew(old: Project):
    cache, remote = stores(old)
    kept = {path: path.read_bytes() for path in old.root.glob("*.datavc")} | {
        path: path.read_bytes() for store in (cache, remote) for path in (store / "packs").rglob("xxh128-*")
    }
    digests = {path.name for path in (cache / "roots").rglob("xxh128-*")}
    assert "--repair writes it anew" in old.run("fsck").err
    said = old.run("fsck", "--repair")
    assert "nothing is wrong" in said.err
    assert rooted_formats(cache) == {STORE_FORMAT}
    assert {path.name for path in (cache / "roots").rglob("xxh128-*")} == digests
    old.run("fsck", "-r", "origin", "--repair")
    assert STORE_FORMAT not in rooted_formats(remote)
    old.run("fsck", "-r", "origin", "--full", "--repair")
    assert rooted_formats(remote) == {STORE_FORMAT}
    # No pointer is touched, and nothing was deleted: what is left over is garbage.
    assert {path: path.read_bytes() for path in kept} == kept
    has_both_versions(old)
    assert old.git("status", "--porcelain") == ""
    clone = old.clone("clone")
    clone.run("pull")
    has_both_versions(clone)
    assert "written" not in old.run("fsck", "--repair").err
    old.run("gc", "--grace", "0", "--most", "--yes")
    assert {path.read_bytes()[4] for path in (cache / "packs").rglob("xxh128-*")} == {STORE_FORMAT}
    assert "nothing is wrong" in old.run("fsck").err
    has_both_versions(old)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("stride", [29, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])
def test_killed_anywhere_writing_anew_goes_on(tmp_path: Path, stride: int):
    for number in OLD:
        for point in range(1, 1000, stride):
            folder = tmp_path / f"{number}-{point}"
            folder.mkdir()
            project = unpacked(folder, number)
            ended = run_killed(project, ["fsck", "--repair"], point)
            project.run("fsck")
            has_both_versions(project)
            project.run("fsck", "--repair")
            assert rooted_formats(stores(project)[0]) == {STORE_FORMAT}
            shutil.rmtree(folder)
            if ended == COMPLETED:
                break
        assert point > stride


def test_a_damaged_old_cache_is_repaired_before_it_is_written_anew(old: Project):
    cache, _ = stores(old)
    pack = max((cache / "packs").rglob("xxh128-*"), key=lambda path: path.stat().st_size)
    pack.chmod(0o644)
    pack.write_bytes(pack.read_bytes()[:-30])
    old.run("fsck", "--repair")
    assert rooted_formats(cache) == {STORE_FORMAT}
    has_both_versions(old)


def make_later(store: Path, version: str) -> None:
    """As a later datavc may have left it."""
    note = store / "datavc-store.json"
    note.chmod(0o644)
    note.write_text(json.dumps({"format": 7, "id": "ab", "datavc": version}))
    for root in (path for path in (store / "roots").rglob("*") if path.is_file()):
        fields = json.loads(root.read_bytes().split(b"\n")[0])
        root.chmod(0o644)
        root.write_bytes(seal({**fields, "format": 7}, "the root", 1 << 16))


def contents(store: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "words", [("fsck", "-r", "origin"), ("push",), ("fetch",), ("gc", "-r", "origin", "--yes")]
)
def test_a_remote_of_a_later_format_is_left_alone_and_the_version_to_install_is_named(
    golden: Project, words: tuple[str, ...]
):
    _, remote = stores(golden)
    make_later(remote, "3.1")
    before = contents(remote)
    project = golden.clone("clone") if words == ("fetch",) else golden
    said = project.run(*words, code=None)
    assert said.code
    assert "store format 7; this datavc reads 0 and 1, datavc 3.1 and later read it" in said.err + said.out
    assert "pip install 'datavc>=3.1'" in said.err
    assert contents(remote) == before


@pytest.mark.parametrize(
    "words", [("fsck",), ("fsck", "--repair"), ("add", "data"), ("checkout", "HEAD~2", "--", "data")]
)
def test_a_cache_of_a_later_format_is_left_alone(golden: Project, words: tuple[str, ...]):
    cache, _ = stores(golden)
    golden.write({"data/new": "new"} if words[0] == "add" else {})
    make_later(cache, "3'; rm -rf ~")
    before = contents(cache)
    said = golden.run(*words, code=None)
    assert said.code
    assert "store format 7" in said.err
    assert "pip install -U datavc" in said.err
    assert "rm -rf" not in said.err
    assert contents(cache) == before
    assert golden.tree("data").items() >= tree(2).items()


def test_a_pointer_of_a_later_format_is_refused_by_its_number(golden: Project):
    golden.write({"data.datavc": golden.read("data.datavc").replace(b"format = ", b"format = 9")})
    said = golden.run("checkout", "data", code=None)
    assert said.code
    assert "has format 9" in said.err
    assert "pip install -U datavc" in said.err
    assert golden.tree("data") == tree(2)


def test_the_script_that_builds_an_archive_still_builds_one_of_this_format(tmp_path: Path):
    command = [sys.executable, str(GOLDEN / "make_repo.py"), str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    shutil.copy(tmp_path / f"repo-format{STORE_FORMAT}.tar.xz", tmp_path / "built.tar.xz")
    for file in GOLDEN.glob("*.tar.xz"):
        assert file.stat().st_size < 100 << 10
    with tarfile.open(tmp_path / "built.tar.xz") as archive:
        _extract(archive, tmp_path)
    (tmp_path / "home").mkdir()
    has_both_versions(Project(tmp_path / "project", environment_of(tmp_path / "home")))

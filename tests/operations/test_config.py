"""``datavc config``: each setting in the file where it belongs, shown with where it comes from."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from projects import Project


def _local(project: Project) -> Path:
    return project.root / ".git/datavc/config.toml"


def _user(project: Project) -> Path:
    return Path(project.environment["HOME"]) / ".config/datavc/config.toml"


def test_each_layer_counts_more_than_the_one_before_and_is_said(project: Project):
    def shown() -> list[str]:
        table = project.run("config", "--show-origin").out.splitlines()
        return next(line.split() for line in table if "cache.link" in line)

    assert shown() == ["default", "cache.link", "reflink,copy"]
    project.run("config", "cache.link", "copy")
    assert shown() == ["repo", "cache.link", "copy"]
    project.run("config", "--user", "cache.link", "symlink")
    assert shown() == ["user", "cache.link", "symlink"]
    project.run("config", "--local", "cache.link", "hardlink,copy")
    assert shown() == ["local", "cache.link", "hardlink,copy"]
    project.environment["DATAVC_CACHE_LINK"] = "reflink"
    assert shown() == ["environment", "cache.link", "reflink"]
    assert project.run("config", "cache.link").out == "reflink\n"


def test_unset_gives_way_to_the_layer_below(project: Project):
    project.run("config", "--local", "cache.dir", "/somewhere")
    assert project.run("config", "cache.dir").out == "/somewhere\n"
    project.run("config", "--local", "--unset", "cache.dir")

    assert "cache.dir is not set" in project.run("config", "cache.dir", code=1).err


@pytest.mark.parametrize(("option", "place"), [("--local", _local), ("--user", _user)])
def test_what_is_not_committed_is_readable_for_its_owner_alone(project: Project, option: str, place):
    umask = os.umask(0)
    try:
        project.run("config", option, "cache.dir", "/x")
        assert stat.S_IMODE(place(project).stat().st_mode) == 0o600
        place(project).chmod(0o664)
        project.run("config", option, "cache.dir", "/y")
        assert stat.S_IMODE(place(project).stat().st_mode) == 0o600
        project.run("config", "cache.link", "copy")
    finally:
        os.umask(umask)
    assert (project.root / "datavc.toml").stat().st_mode & 0o044 == 0o044


def test_the_user_file_lies_where_xdg_says(project: Project, tmp_path: Path):
    project.environment["XDG_CONFIG_HOME"] = str(tmp_path / "xdg")
    project.run("config", "--user", "cache.dir", "/x")

    assert (tmp_path / "xdg/datavc/config.toml").is_file()
    assert project.run("config", "--show-origin", "cache.dir").out.split() == ["user", "cache.dir", "/x"]


@pytest.mark.parametrize("data", [b"a = [\n", b"\xff\xfe", b"\0\0\0", b"cache = 5\ncache.dir = 1\n"])
@pytest.mark.parametrize("place", [_local, _user, lambda project: project.root / "datavc.toml"])
def test_a_file_that_is_no_toml_is_named_by_every_command_and_kept(project: Project, place, data: bytes):
    path = place(project)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    option = {"config.toml": "--local" if place is _local else "--user"}.get(path.name)
    project.write({"data/file": "x"})
    edit = ["config", *([option] if option else []), "cache.link", "copy"]

    for command in (edit, ["config"], ["config", "hash"], ["add", "data"]):
        result = project.run(*command, code=12)
        assert str(path) in result.err
        assert "bug" not in result.err
    assert path.read_bytes() == data


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["cache.dir", "/x"], 2, "config --local cache.dir"),
        (["--local", "hash", "sha256"], 2, "does not belong"),
        (["--user", "repo", "0" * 32], 2, "does not belong"),
        (["cache.link", "soft"], 2, "reflink, hardlink, symlink, copy"),
        (["--local", "cache.share_above", "much"], 2, "number of bytes"),
        (["password", "x"], 2, "config --local password"),
        (["--local", "a b", "x"], 2, "no key"),
        (["--local", "--user", "cache.dir", "x"], 2, "choose one"),
        (["--unset"], 2, "one key"),
        (["nothing"], 1, "nothing is not set"),
    ],
)
def test_what_cannot_be_set_is_refused_and_nothing_is_written(
    project: Project, arguments: list[str], code: int, words: str
):
    before = project.read("datavc.toml")

    said = project.run("config", *arguments, code=code).err

    assert words in said
    assert project.read("datavc.toml") == before
    assert not _local(project).exists()
    assert not _user(project).exists()


def test_taking_away_what_is_not_there_writes_nothing(project: Project):
    project.run("config", "--local", "--unset", "cache.dir")

    assert not _local(project).exists()


@pytest.mark.parametrize("value", ["[]", '["xxh128"]', "{a = 1}", "5"])
def test_a_hash_that_is_none_is_an_error_of_ours(project: Project, value: str):
    text = project.read("datavc.toml").decode().replace('hash = "xxh128"', f"hash = {value}")
    project.write({"datavc.toml": text, "data/file": "x"})

    result = project.run("add", "data", code=None)

    assert "bug" not in result.err
    assert value == "{a = 1}" or (result.code == 2 and "hash in" in result.err)

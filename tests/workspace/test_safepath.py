"""Names from strangers, and folders that turn into symlinks while they are opened."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from counting import calls_of
from hostilenames import DOTDATAVC, DOTGIT, MISSHAPEN
from hypothesis import example, given
from hypothesis import strategies as st
from loopfs import loop_filesystem
from racing import flipping

from datavc.errors import ConflictError, NotFoundError, StorageError
from datavc.workspace import safepath
from datavc.workspace.safepath import (
    RESERVED_PREFIX,
    casefold_collision,
    first_refused,
    has_exec_bits,
    has_symlinks,
    is_case_sensitive,
    open_folder,
    refused_name,
)

REFUSED = (
    [name.encode() for name in DOTGIT + DOTDATAVC]
    + MISSHAPEN
    + [b".git\xff", b".datavc-tmp-", b".datavc-tmp-1f"]
)

LEGAL = [
    b"a",
    b"...",
    b". .",
    b" ",
    b"\n",
    b"\r\n",
    b"\x1b[2J",
    b"\x7f",
    b"-rf",
    b"--",
    b"*",
    b"~",
    b"x" * 255,
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xff.git",
    b".gitignore",
    b".gitattributes",
    b".github",
    b".gitkeep",
    b".gi",
    b"git",
    b"git~",
    b"git~0",
    b"git~10",
    b"git~1a",
    b".git1",
    b".git-",
    b".git .x",
    b"a.git",
    b"data.git",
    b"datavc",
    b"train.datavc",
    b".datavcignore",
    b".datavc-tmp",
    b"system-systemd\\x2dcryptsetup.slice",
    b"C:\\Users\\x",
    b"a\\git",
    b"nul",
    b"con.txt",
    "na\u00efve.csv".encode(),
    "nai\u0308ve.csv".encode(),
    "\u6570\u636e".encode(),
    "\U0001f469\u200d\U0001f4bb.png".encode(),
    ".g\u00eft".encode(),
    "\u200c".encode(),
]


@pytest.mark.parametrize("name", REFUSED, ids=repr)
def test_a_hostile_name_is_refused_alone_and_among_others(name: bytes):
    reason = refused_name(name)

    assert reason is not None
    assert first_refused([b"a", name, "\u00e9".encode()]) == (name, reason)
    assert first_refused([name]) == (name, reason)


@pytest.mark.parametrize("name", LEGAL, ids=repr)
def test_a_legal_name_is_kept(name: bytes, tmp_path: Path):
    assert refused_name(name) is None
    assert first_refused([name, b"b"]) is None


def test_the_reason_says_what_is_wrong():
    assert "take for .git" in str(refused_name(b"GIT~1"))
    assert "take for .datavc" in str(refused_name(b".DATAVC"))
    assert "temporary" in str(refused_name(b".datavc-tmp-ab"))
    assert "255" in str(refused_name(b"x" * 256))


@pytest.mark.parametrize("name", sorted({*REFUSED, *LEGAL} - {b""}), ids=repr)
def test_what_git_refuses_is_refused(name: bytes, git_folder: Path):
    if b"\0" in name:
        return
    entry = b"100644 e69de29bb2d1d6434b8b29ae775ad8c2e48c5391\t" + name + b"\0"

    protect = ["-c", "core.protectHFS=true", "-c", "core.protectNTFS=true"]
    command = ["git", *protect, "update-index", "--add", "-z", "--index-info"]
    done = subprocess.run(command, cwd=git_folder, input=entry, capture_output=True)

    if done.returncode != 0 or b"Ignoring path" in done.stderr:
        assert refused_name(name) is not None


_PIECES = [
    ".",
    "g",
    "i",
    "t",
    "G",
    "~1",
    " ",
    ":",
    "\\",
    "\u200c",
    "\u00ad",
    "\uff0e",
    ".git",
    "git~1",
    ".datavc",
    "x",
    "\u00e9",
]
_names = st.one_of(
    st.lists(st.sampled_from(_PIECES), max_size=6).map(lambda pieces: "".join(pieces).encode()),
    st.binary(max_size=8),
    st.text(max_size=8).map(lambda text: text.encode("utf-8", "surrogatepass")),
)


@given(st.lists(_names, max_size=8))
@example([b"a", b"", b"b"])
@example([b"", b""])
@example([b"\xff", ".g\u00adit".encode()])
def test_many_names_are_judged_as_each_one_is(names: list[bytes]):
    each = [(name, reason) for name in names if (reason := refused_name(name)) is not None]

    assert first_refused(names) == (each[0] if each else None)


def test_ordinary_names_by_the_hundred_thousand_are_judged_at_once_and_not_one_by_one():
    names = [b"image-%06d.jpg" % number for number in range(100_000)]

    assert first_refused(names) is None
    assert calls_of(lambda: first_refused(names)) < 100
    assert casefold_collision(names) is None
    assert calls_of(lambda: casefold_collision(names)) < 100


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"A", b"a"),
        (b"README.md", b"readme.MD"),
        ("\u00e9".encode(), "e\u0301".encode()),
        ("\u00c9".encode(), "e\u0301".encode()),
        ("stra\u00dfe".encode(), b"STRASSE"),
        ("\u03c2".encode(), "\u03a3".encode()),
        ("\u1e9b\u0323".encode(), "\u1e61\u0323".encode()),
        (b"K", "\u212a".encode()),
    ],
    ids=repr,
)
def test_names_that_differ_in_case_or_form_collide(one: bytes, other: bytes):
    assert casefold_collision([b"x", one, b"y", other]) == (one, other)
    assert casefold_collision([b"\xff", one, other]) == (one, other)


def test_names_that_are_no_utf8_collide_with_nothing():
    assert casefold_collision([b"\xc3A", b"\xc3a", b"\xff", b"b"]) is None
    assert casefold_collision([]) is None
    assert casefold_collision([b"a"]) is None


@given(st.lists(_names.filter(lambda name: b"\0" not in name), unique=True, max_size=8))
def test_a_collision_is_found_exactly_when_keys_are_equal(names: list[bytes]):
    keys = [safepath.caseless_key(name) for name in names]

    found = casefold_collision(names)

    if len(set(keys)) == len(keys):
        assert found is None
    else:
        assert found is not None
        assert keys[names.index(found[0])] == keys[names.index(found[1])]
        assert found[0] != found[1]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    folder = tmp_path / "root"
    folder.mkdir()
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    yield folder, fd
    os.close(fd)


def test_a_folder_is_opened_by_its_parts(root: tuple[Path, int]):
    path, root_fd = root
    (path / "a" / "b").mkdir(parents=True)

    fd = open_folder(root_fd, [b"a", b"b"])

    assert os.path.samestat(os.fstat(fd), (path / "a" / "b").stat())
    assert not os.get_inheritable(fd)
    os.close(fd)


def test_no_parts_give_a_descriptor_of_its_own(root: tuple[Path, int]):
    path, root_fd = root

    fd = open_folder(root_fd, [])
    os.close(fd)

    assert os.path.samestat(os.fstat(root_fd), path.stat())


def test_missing_folders_are_made_when_asked(root: tuple[Path, int]):
    path, root_fd = root

    (path / "a").mkdir()

    with pytest.raises(NotFoundError, match="a/b does not exist"):
        open_folder(root_fd, [b"a", b"b"])
    os.close(open_folder(root_fd, [b"a", b"b", b"c"], create=True))
    os.close(open_folder(root_fd, [b"a", b"b", b"c"], create=True))

    assert (path / "a" / "b" / "c").is_dir()


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize("target", ["elsewhere", "..", ".", "no such place", "real"])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_symlink_at_any_depth_is_refused_by_name(
    root: tuple[Path, int], create: bool, target: str, depth: int
):
    path, root_fd = root
    (path.parent / "elsewhere" / "b" / "c").mkdir(parents=True)
    parts = ["a", "b", "c"]
    above = path.joinpath(*parts[:depth])
    above.mkdir(parents=True, exist_ok=True)
    (above / "real").mkdir()
    (above / parts[depth]).symlink_to(path.parent / "elsewhere" if target == "elsewhere" else target)

    with pytest.raises(ConflictError, match=f"^{'/'.join(parts[: depth + 1])} is a symlink") as caught:
        open_folder(root_fd, [part.encode() for part in parts], create=create)

    assert caught.value.hint is not None
    assert not (path.parent / "no such place").exists()


def test_a_file_in_the_way_is_refused_by_name(root: tuple[Path, int]):
    path, root_fd = root
    (path / "a").write_text("mine")

    with pytest.raises(ConflictError, match=r"^a is a file"):
        open_folder(root_fd, [b"a", b"b"], create=True)

    assert (path / "a").read_text() == "mine"


@pytest.mark.parametrize(
    "part", [b"..", b".", b"", b"/etc", b"a/..", b".git", b".GIT", b".datavc", b"a\0b", b".datavc-tmp-/.."]
)
def test_a_component_that_is_no_safe_name_is_refused(root: tuple[Path, int], part: bytes):
    _, root_fd = root

    with pytest.raises(ConflictError):
        open_folder(root_fd, [b"a", part], create=True)


def test_our_own_temporary_folders_can_be_opened(root: tuple[Path, int]):
    path, root_fd = root

    os.close(open_folder(root_fd, [RESERVED_PREFIX + b"1"], create=True))

    assert (path / ".datavc-tmp-1").is_dir()


def test_no_descriptor_is_left_open(root: tuple[Path, int]):
    path, root_fd = root
    (path / "link").symlink_to(path)
    before = len(os.listdir("/dev/fd"))

    for _ in range(20):
        os.close(open_folder(root_fd, [b"a", b"b"], create=True))
        with pytest.raises(ConflictError):
            open_folder(root_fd, [b"link", b"x"])
        with pytest.raises(NotFoundError):
            open_folder(root_fd, [b"a", b"missing"])

    assert len(os.listdir("/dev/fd")) == before


def test_what_the_system_refuses_names_the_whole_path(
    root: tuple[Path, int], monkeypatch: pytest.MonkeyPatch
):
    path, root_fd = root
    (path / "a").mkdir()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", b"b")

    monkeypatch.setattr(os, "mkdir", full)
    with pytest.raises(StorageError, match="a/b"):
        open_folder(root_fd, [b"a", b"b"], create=True)


def _state(folder: Path) -> list[tuple[str, int, int, int]]:
    return sorted(
        (str(path), seen.st_ino, seen.st_size, seen.st_mtime_ns)
        for path in [folder, *folder.rglob("*")]
        if (seen := path.lstat())
    )


@pytest.mark.parametrize("parts", [[b"a"], [b"a", b"b"], [b"top", b"a", b"b", b"c"]], ids=repr)
def test_a_folder_swapped_for_a_symlink_never_leads_outside(root: tuple[Path, int], parts: list[bytes]):
    path, root_fd = root
    outside, away = path.parent / "outside", path.parent / "away"
    (outside / "b" / "c").mkdir(parents=True)
    (outside / "b" / "precious").write_text("mine")
    away.mkdir()
    flipped = path / "top" / "a" if parts[0] == b"top" else path / "a"
    flipped.mkdir(parents=True)
    before = _state(outside)

    made = refused = 0
    with flipping(flipped, outside, away, each_elsewhere=True):
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline or (not (made and refused) and time.monotonic() < deadline + 20):
            try:
                fd = open_folder(root_fd, parts, create=True)
            except ConflictError:
                refused += 1
                continue
            # The folder may be gone by now: rename puts another in an empty one's place.
            with contextlib.suppress(FileNotFoundError):
                os.close(os.open(b"file-%d" % made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=fd))
                made += 1
            os.close(fd)

    assert _state(outside) == before
    assert made > 0
    assert refused > 0


def test_probes_say_what_this_file_system_does_and_leave_nothing(tmp_path: Path):
    for folder in (tmp_path, str(tmp_path), os.fsencode(tmp_path)):
        assert has_exec_bits(folder) is True
        assert has_symlinks(folder) is True
        assert is_case_sensitive(folder) is (sys.platform == "linux")

    assert list(tmp_path.iterdir()) == []


def test_probes_take_an_open_folder_and_leave_it_open(root: tuple[Path, int]):
    path, root_fd = root

    assert has_exec_bits(root_fd)
    assert has_symlinks(root_fd)
    is_case_sensitive(root_fd)

    assert os.listdir(root_fd) == []
    assert path.is_dir()


def test_a_probe_that_cannot_write_names_the_folder(tmp_path: Path):
    with pytest.raises(StorageError, match="nowhere"):
        is_case_sensitive(tmp_path / "nowhere")


@pytest.mark.parametrize("always", [0o777, 0o666])
def test_modes_that_cannot_be_changed_are_no_exec_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, always: int
):
    real = os.fchmod
    monkeypatch.setattr(os, "fchmod", lambda fd, _: real(fd, always))

    assert has_exec_bits(tmp_path) is False


def test_a_file_system_without_symlinks_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refuse)

    assert has_symlinks(tmp_path) is False


def test_vfat_has_no_case_no_exec_bits_and_no_symlinks(tmp_path: Path):
    with loop_filesystem("vfat", tmp_path) as top:
        assert not is_case_sensitive(top)
        assert not has_exec_bits(top)
        assert not has_symlinks(top)
        assert list(top.iterdir()) == []


def test_on_vfat_every_spelling_that_reaches_dot_git_is_refused(tmp_path: Path):
    with loop_filesystem("vfat", tmp_path) as top:
        (top / ".git").mkdir()
        _assert_aliases_are_refused(top)


def test_on_casefolded_ext4_every_spelling_that_reaches_dot_git_is_refused(tmp_path: Path):
    with loop_filesystem("ext4-casefold", tmp_path) as top:
        assert not is_case_sensitive(top)
        (top / ".git").mkdir()
        _assert_aliases_are_refused(top)


def _assert_aliases_are_refused(top: Path) -> None:
    spellings = {*REFUSED, *LEGAL}
    for point in range(0x80, 0x11_0000):
        if not 0xD800 <= point < 0xE000:
            spellings.update((f".g{chr(point)}it".encode(), f".git{chr(point)}".encode()))
    for name in spellings:
        with contextlib.suppress(OSError, ValueError):
            if (
                name
                and b"/" not in name
                and name != b"."
                and os.path.samefile(os.path.join(os.fsencode(top), name), top / ".git")
            ):
                assert refused_name(name) is not None, name


@pytest.fixture(scope="module")
def git_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("git")
    subprocess.run(["git", "init", "--quiet", "."], cwd=folder, check=True)
    return folder

"""Running git: which program, which environment, and what its failures become."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from projects import Project

from datavc.errors import DatavcError, Locked, NotFoundError, RepoNotFound, StorageError
from datavc.git.program import Git, find_program, git_failure


def plant(folder: Path, script: str) -> Path:
    program = folder / "git"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def test_a_command_returns_its_standard_output(git: Git, git_project: Project):
    assert git.run("rev-parse", "--show-toplevel") == os.fsencode(git_project.root) + b"\n"


def test_a_command_reads_what_it_is_given(git: Git):
    assert git.run("hash-object", "--stdin", input=b"") == b"e69de29bb2d1d6434b8b29ae775ad8c2e48c5391\n"


def test_arguments_may_be_bytes_that_are_no_text(git: Git, git_project: Project):
    git_project.write({b"\xff\xfe": "x"})

    assert git.run("hash-object", "--", b"\xff\xfe")


def test_two_commands_run_side_by_side_even_when_both_say_more_than_a_pipe_holds(git: Git):
    big = b"x" * 1_000_000
    name = git.run("hash-object", "-w", "--stdin", input=big).strip()

    with git.start("cat-file", "blob", name) as one, git.start("cat-file", "blob", name) as other:
        assert other.finish() == big
        assert one.finish() == big


def test_a_command_left_early_is_ended(git: Git):
    with pytest.raises(KeyboardInterrupt), git.start("cat-file", "--batch", input=b"") as process:
        raise KeyboardInterrupt

    assert process._popen.returncode is not None


def test_a_failure_tells_the_command_and_git_s_own_line(git: Git, git_project: Project):
    with pytest.raises(DatavcError) as caught:
        git.run("--literal-pathspecs", "rev-parse", "--verify", "no-such-branch")

    assert "git rev-parse failed in" in caught.value.message
    assert str(git_project.root) in caught.value.message
    assert "Needed a single revision" in caught.value.message


def test_an_exit_code_may_be_accepted(git: Git):
    assert git.run("config", "no.such.key", accept=(0, 1)) == b""


def test_a_silent_failure_names_its_exit_code_or_signal():
    assert "exit code 7" in git_failure("gc", Path("/x"), 7, b"").message
    assert "killed by signal 9" in git_failure("gc", Path("/x"), -9, b"").message


def test_warnings_and_traces_do_not_hide_the_reason():
    errors = b"12:00 trace: built-in\nwarning: hm\nfatal: index file corrupt\nhint: x\n"

    assert git_failure("status", Path("/x"), 128, errors).message.endswith(": index file corrupt")


def test_git_speaks_english_whatever_the_user_s_language(
    git_project: Project, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LANGUAGE", "de")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")

    assert Git(git_project.root).run("-c", "alias.e=!env", "e").count(b"LC_ALL=C\n") == 1
    assert b"LANGUAGE=" not in Git(git_project.root).run("-c", "alias.e=!env", "e")


def test_the_user_s_pathspec_switches_do_not_reach_our_commands(
    git_project: Project, monkeypatch: pytest.MonkeyPatch
):
    git_project.write({"a.datavc": "x"})
    monkeypatch.setenv("GIT_LITERAL_PATHSPECS", "1")

    assert Git(git_project.root).run("ls-files", "-o", "--", ":(glob)**/*.datavc") == b"a.datavc\n"


def test_a_git_dir_relative_to_the_caller_keeps_its_meaning(
    git_project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_DIR", "project/.git")
    monkeypatch.setenv("GIT_WORK_TREE", "project")

    assert Git(git_project.root).run("rev-parse", "--show-toplevel").strip() == os.fsencode(git_project.root)


def test_reading_leaves_the_index_file_alone(git: Git, git_project: Project):
    git_project.write({"a": "x"})
    git_project.commit()
    os.utime(git_project.root / "a", (1, 1))
    before = (git_project.root / ".git" / "index").stat()

    git.run("status")

    after = (git_project.root / ".git" / "index").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("entry", ["", ".", "bin"])
def test_a_program_called_git_in_the_current_folder_is_never_run(
    entry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "bin").mkdir()
    plant(tmp_path, "exit 1")
    plant(tmp_path / "bin", "exit 1")
    real = find_program()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.pathsep.join([entry, os.path.dirname(real)]))

    assert find_program() == real


def test_what_is_not_executable_or_not_a_file_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folders = [tmp_path / name for name in ("folder", "plain", "good")]
    for folder in folders:
        folder.mkdir()
    (folders[0] / "git").mkdir()
    (folders[1] / "git").write_text("")
    good = plant(folders[2], "exit 0")
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, folders)))

    assert find_program() == str(good)


def test_without_git_the_error_says_what_works_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(NotFoundError, match="no git program in PATH") as caught:
        Git(tmp_path)

    assert "--no-git" in (caught.value.hint or "")


def test_a_program_that_cannot_be_started_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program = tmp_path / "git"
    program.write_bytes(b"#!/no/such/interpreter\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(StorageError, match=f"cannot start git at {program}"):
        Git(tmp_path).run("status")


def test_a_held_index_lock_says_who_may_remove_it(git: Git, git_project: Project):
    git_project.write({"a": "x", ".git/index.lock": ""})

    with pytest.raises(Locked, match=r"index\.lock exists") as caught:
        git.run("add", "a")

    assert str(git_project.root / ".git" / "index.lock") in (caught.value.hint or "")


def test_a_repository_of_another_user_names_the_command_that_allows_it(
    git_project: Project, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")

    with pytest.raises(RepoNotFound, match="belongs to another user") as caught:
        Git(git_project.root).run("status")

    assert f"git config --global --add safe.directory {git_project.root}" in (caught.value.hint or "")


def test_older_git_s_words_for_a_repository_of_another_user_are_known():
    error = git_failure(
        "status", Path("/srv/x"), 128, b"fatal: unsafe repository ('/srv/x' is owned by someone else)\n"
    )

    assert isinstance(error, RepoNotFound)
    assert "safe.directory /srv/x" in (error.hint or "")


def test_importing_costs_no_subprocess_module():
    script = textwrap.dedent(
        """
        import sys
        import datavc.git.attributes, datavc.git.ignorefile, datavc.git.places, datavc.git.pointers
        sys.exit("subprocess" in sys.modules)
        """
    )

    assert subprocess.run([sys.executable, "-c", script]).returncode == 0

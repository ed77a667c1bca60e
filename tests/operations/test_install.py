"""`datavc install`: hooks and drivers of one clone, beside those of other programs, and all as it was afterwards."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from projects import Project
from sweeps import COMPLETED, run_killed

from datavc.git.hooks import HOOKS

GONE = "0" * 40  # what git says of a branch that is deleted, or not there yet
Everything = dict[str, tuple[int, bytes]]


def everything(folder: Path) -> Everything:
    """Every file of hooks and configuration: mode, and bytes or a symlink's target."""
    found: Everything = {}
    for path in [folder / ".git/config", *sorted((folder / ".git/hooks").rglob("*"))]:
        mode = path.lstat().st_mode
        content = os.fsencode(os.readlink(path)) if stat.S_ISLNK(mode) else path.read_bytes()
        found[str(path.relative_to(folder))] = mode, content
    return found


def hook(project: Project, name: str, script: str, mode: int = 0o755) -> Path:
    path = project.root / ".git/hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(mode)
    return path


def installed(project: Project) -> list[str]:
    folder = project.root / ".git/hooks"
    return [name for name in HOOKS if (folder / name).exists() and os.access(folder / name, os.X_OK)]


def test_all_hooks_and_drivers_are_installed_and_taken_away_again(project: Project):
    before = everything(project.root)

    ended = project.run("install")

    assert installed(project) == list(HOOKS)
    assert ended.out.splitlines()[0] == "post-checkout: installed"
    assert " -P -m datavc git merge %O %A %B %L %P" in project.git("config", "--local", "merge.datavc.driver")
    after = everything(project.root)
    project.run("install")
    assert everything(project.root) == after
    project.run("install", "--uninstall")
    assert everything(project.root) == before
    project.run("install", "--uninstall")
    assert everything(project.root) == before


def test_nothing_of_it_is_in_a_commit(project: Project):
    project.run("install")

    assert project.git("status", "--porcelain") == ""


def test_hooks_and_settings_that_were_there_come_back_as_they_were(project: Project):
    hook(project, "post-checkout", "echo theirs")
    hook(project, "pre-push", "exit 0", mode=0o644)
    (project.root / "hook.sh").write_text("#!/bin/sh\nexit 0\n")
    (project.root / ".git/hooks/pre-commit").symlink_to("../../hook.sh")
    project.git("config", "merge.datavc.driver", "mine %A")
    project.git("config", "--add", "diff.datavc.command", "one")
    project.git("config", "--add", "diff.datavc.command", "two")
    before = everything(project.root)
    inode = (project.root / ".git/hooks/post-checkout").stat().st_ino

    ended = project.run("install")
    assert "post-checkout: installed, runs the hook that was here first\n" in ended.out
    assert installed(project) == list(HOOKS)
    project.run("install")
    project.run("install", "--uninstall")

    after = everything(project.root)
    assert {name: what for name, what in after.items() if "hooks" in name} == {
        name: what for name, what in before.items() if "hooks" in name
    }
    assert (project.root / ".git/hooks/post-checkout").stat().st_ino == inode
    assert project.git("config", "merge.datavc.driver") == "mine %A\n"
    assert project.git("config", "--get-all", "diff.datavc.command") == "one\ntwo\n"


@pytest.mark.parametrize("name", HOOKS)
def test_the_hook_that_was_there_is_run_first_with_all_that_git_gives(project: Project, name: str):
    told = project.root.parent / "told"
    hook(
        project,
        name,
        f'echo "$@" > {told}; case {name} in pre-push|post-rewrite) cat >> {told};; esac; exit 0',
    )
    project.run("install")
    script = project.root / ".git/hooks" / name

    ended = project._spawn([str(script), "a", "b c"], code=0, cwd=".", stdin=f"x {GONE} z {GONE}\nlast")

    assert ended.code == 0
    assert told.read_text() == "a b c\n" + (
        f"x {GONE} z {GONE}\nlast" if name in ("pre-push", "post-rewrite") else ""
    )


def test_a_hook_that_refuses_still_refuses_and_one_that_fails_keeps_its_code(project: Project):
    hook(project, "pre-commit", "exit 7")
    hook(project, "post-checkout", "exit 3")
    project.run("install")

    project.git("commit", "-q", "--allow-empty", "-m", "x", code=1)
    project._spawn([str(project.root / ".git/hooks/post-checkout"), "a", "a", "1"], code=3, cwd=".", stdin="")


def test_some_hooks_alone_and_none(project: Project):
    project.run("install", "--hooks", "pre-push,pre-commit")
    assert installed(project) == ["pre-commit", "pre-push"]

    ended = project.run("install", "--hooks", "pre-push")
    assert installed(project) == ["pre-push"]
    assert "pre-commit: taken away\n" in ended.out

    project.run("install", "--hooks", "none")
    assert installed(project) == []
    assert project.git("config", "merge.datavc.recursive") == "datavc-virtual\n"
    assert "datavc has no hook 'pre-pull'" in project.run("install", "--hooks", "pre-pull", code=2).err
    project.run("install", "--uninstall", "--hooks", "pre-push", code=2)


@pytest.mark.parametrize("relative", [True, False])
def test_hooks_go_where_core_hooks_path_says(project: Project, tmp_path: Path, relative: bool):
    folder = project.root / "my hooks" if relative else tmp_path / "everybody's"
    project.git("config", "core.hooksPath", "my hooks" if relative else str(folder))

    ended = project.run("install")

    assert sorted(os.listdir(folder)) == sorted(HOOKS)
    assert ("is in the work tree" if relative else "is not this clone's alone") in ended.err
    project.git("config", "core.hooksPath", str(tmp_path / "elsewhere"))
    project.run("install")
    assert not folder.exists()
    project.run("install", "--uninstall")
    assert not (tmp_path / "elsewhere").exists()


def test_in_a_repository_without_datavc_a_shared_hook_does_nothing(project: Project, tmp_path: Path):
    project.git("config", "core.hooksPath", str(tmp_path / "hooks"))
    project.run("install")
    (tmp_path / "other").mkdir()
    other = Project(tmp_path / "other", project.environment)
    other.git("init", "-q")
    other.git("config", "core.hooksPath", str(tmp_path / "hooks"))

    other.write({"file": "1"})
    other.commit()
    other.git("checkout", "-q", "-b", "branch")


def test_a_hook_of_another_program_over_ours_is_left_alone(project: Project):
    hook(project, "pre-push", "exit 1")
    project.run("install")
    hook(project, "pre-push", "exit 2")

    assert "is a hook of another program" in project.run("install", code=1).err
    project.run("install", "--uninstall")

    assert project.read(".git/hooks/pre-push") == b"#!/bin/sh\nexit 2\n"


def test_with_the_interpreter_gone_git_works_on_and_pushing_is_refused(project: Project, tmp_path: Path):
    project.run("install")
    for name in HOOKS:
        path = project.root / ".git/hooks" / name
        path.write_text(path.read_text().replace("/bin/python", "/bin/gone-python"))
    planted = project.root / "datavc"
    planted.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    planted.chmod(0o755)
    project.git("init", "-q", "--bare", str(tmp_path / "bare"))
    path = [folder for folder in os.environ["PATH"].split(":") if not os.path.exists(f"{folder}/datavc")]
    project.environment["PATH"] = ":".join([".", *path])

    project.git("checkout", "-q", "-b", "other")
    project.git("push", "-q", str(tmp_path / "bare"), "HEAD", code=1)

    assert not (tmp_path / "ran").exists()


def test_modules_in_the_repository_are_never_taken_for_those_of_datavc(project: Project, tmp_path: Path):
    code = f"open({str(tmp_path / 'ran')!r}, 'w')\n"
    project.write({"datavc/__init__.py": code, "typer.py": code, "xxhash.py": code, "sitecustomize.py": code})
    project.run("install")

    project.commit("planted")
    project.git("checkout", "-q", "-b", "other")

    assert not (tmp_path / "ran").exists()


def test_killed_at_any_change_the_same_command_finishes(project: Project):
    hook(project, "pre-push", "exit 0")
    before = everything(project.root)
    project.run("install")
    wanted = everything(project.root)
    project.run("install", "--uninstall")
    for arguments, start, end in (
        (["install"], before, wanted),
        (["install", "--uninstall"], wanted, before),
    ):
        for point in range(1, 200, 3):
            project.run(*(["install"] if start == wanted else ["install", "--uninstall"]))
            assert everything(project.root) == start, point
            ended = run_killed(project, arguments, point)
            project.run(*arguments)
            assert everything(project.root) == end, point
            if ended == COMPLETED:
                break
        assert point > 5


def test_in_a_submodule_hooks_are_its_own(project: Project, tmp_path: Path, make: Callable[[Path], Project]):
    inner = make(tmp_path / "inner")
    project.git("submodule", "--quiet", "add", str(inner.root), "sub")
    project.commit("submodule")

    project.run("install", cwd="sub")

    assert installed(project) == []
    assert (project.root / ".git/modules/sub/hooks/post-checkout").exists()
    project.run("install", "--uninstall", cwd="sub")
    assert not (project.root / ".git/modules/sub/hooks/post-checkout").exists()


@pytest.fixture
def make(project: Project) -> Callable[[Path], Project]:
    """Another repository with datavc."""

    def build(root: Path) -> Project:
        root.mkdir()
        other = Project(root, project.environment)
        other.git("init", "-q")
        other.run("init")
        other.commit("datavc init")
        return other

    return build

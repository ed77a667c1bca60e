"""Hooks, tried with plain `git` commands: data follows the pointers, and no pointer leaves without its data."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from projects import Project, Result
from remotes import add_folder, roots

from datavc.git.hooks import HOOKS


def git(project: Project, *arguments: str, code: int = 0, cwd: str = ".") -> Result:
    return project._spawn(["git", *arguments], code=code, cwd=cwd, stdin="")


def record(project: Project, files: dict[str, str | None], message: str) -> None:
    """Change files of datasets, add, commit."""
    for name, content in files.items():
        if content is None:
            (project.root / name).unlink()
        else:
            project.write({name: content})
    project.run("add", *{name.partition("/")[0] for name in files})
    project.commit(message)


def contents(project: Project, dataset: str = "data") -> dict[str, str]:
    found = project.tree(dataset).items()
    return {path.decode(): what[1].decode() for path, what in found if what[0] == "file"}


@pytest.fixture
def two(project: Project) -> Project:
    """Branch `main` with the dataset `data`; `other` has another version of it, and a dataset `more`."""
    project.run("install")
    record(project, {"data/x": "1", "data/y": "1"}, "first")
    project.git("checkout", "-q", "-b", "other")
    record(project, {"data/x": "2", "more/z": "3"}, "second")
    return project


def test_data_follows_a_checkout_of_a_branch_there_and_back(two: Project):
    ended = git(two, "checkout", "-q", "main")

    assert contents(two) == {"x": "1", "y": "1"}
    assert not (two.root / "more").exists()
    assert "data: 1 file, 1 B written" in ended.err
    assert two.git("status", "--porcelain") == ""

    git(two, "checkout", "-q", "other")
    assert contents(two) == {"x": "2", "y": "1"}
    assert contents(two, "more") == {"z": "3"}
    assert two.run("status").out == "data: clean\nmore: clean\n"


def test_a_checkout_that_moves_no_pointer_says_and_does_nothing(two: Project):
    two.write({"code.py": "1"})
    two.commit("code")

    assert git(two, "checkout", "-q", "HEAD~1").err == ""
    assert git(two, "checkout", "-q", "-b", "again").err == ""


def test_data_follows_the_checkout_of_a_single_pointer(two: Project):
    git(two, "checkout", "-q", "main", "--", "data.datavc")

    assert contents(two) == {"x": "1", "y": "1"}


def test_unsaved_work_is_never_overwritten_and_git_never_fails(two: Project):
    two.write({"data/x": "unsaved", "more/z": "unsaved"})

    ended = git(two, "checkout", "-q", "main")

    assert contents(two) == {"x": "unsaved", "y": "1"}
    assert contents(two, "more") == {"z": "unsaved"}
    assert "data is left as it is: unsaved changes would be lost: data/x" in ended.err
    assert "next: datavc add data records them" in ended.err
    assert "more is left as it is: it is no dataset any more, and has unsaved changes" in ended.err


def test_a_part_that_was_chosen_stays_alone_until_the_pointer_moves(two: Project):
    record(two, {"data/x": "3", "data/y": "3"}, "third")
    git(two, "-c", "core.hooksPath=/dev/null", "checkout", "-q", "main")
    two.run("checkout", "data/x")
    assert contents(two) == {"x": "1", "y": "3"}
    two.write({"note": "1"})
    two.git("add", "note")

    git(two, "checkout", "-q", "--", "note")
    assert contents(two) == {"x": "1", "y": "3"}

    git(two, "checkout", "-q", "other")
    assert contents(two) == {"x": "3", "y": "3"}
    git(two, "checkout", "-q", "main")
    assert contents(two) == {"x": "1", "y": "1"}


def test_a_dataset_that_was_not_here_stays_away(two: Project):
    shutil.rmtree(two.root / "data")

    git(two, "checkout", "-q", "main")

    assert not (two.root / "data").exists()


def test_of_a_partial_dataset_the_parts_follow(project: Project):
    project.run("install")
    record(project, {"data/a/x": "1", "data/b/y": "1", "data/c": "1"}, "first")
    project.git("checkout", "-q", "-b", "other")
    record(project, {"data/a/x": "2", "data/b/y": "2"}, "second")
    shutil.rmtree(project.root / "data")
    project.run("checkout", "data/a")
    assert contents(project) == {"a/x": "2"}

    git(project, "checkout", "-q", "main")

    assert contents(project) == {"a/x": "1"}
    assert project.run("status").out == "data: partial\n"
    git(project, "checkout", "-q", "other")
    assert contents(project) == {"a/x": "2"}


def test_data_that_git_tracks_in_the_other_commit_is_git_s_own(project: Project):
    project.run("install")
    project.write({"data/x": "in git"})
    project.commit("tracked")
    project.git("checkout", "-q", "-b", "other")
    project.git("rm", "-q", "-r", "--cached", "data")
    project.run("add", "data")
    project.commit("a dataset")

    git(project, "checkout", "-q", "main")

    assert contents(project) == {"x": "in git"}
    assert project.git("status", "--porcelain") == ""


def test_data_that_is_not_in_the_cache_is_told_with_the_command_that_gets_it(two: Project, tmp_path: Path):
    clone = two.clone("clone")
    for project in (two, clone):
        project.run("remote", "add", "origin", str(tmp_path / "remote"), "--no-probe", "--local")
    two.run("push", "--yes", "--all-branches")
    clone.run("install")
    clone.run("pull")

    ended = git(clone, "checkout", "-q", "main")

    assert contents(clone) == {"x": "2", "y": "1"}
    assert "data is left as it is: not all of it is in the cache\nnext: datavc pull data\n" in ended.err
    clone.run("pull")
    assert contents(clone) == {"x": "1", "y": "1"}


def test_data_follows_a_merge_a_fast_forward_and_a_rebase(two: Project):
    git(two, "checkout", "-q", "main")
    git(two, "merge", "-q", "other")
    assert contents(two) == {"x": "2", "y": "1"}
    assert contents(two, "more") == {"z": "3"}

    git(two, "checkout", "-q", "-b", "mine")
    record(two, {"data/y": "mine"}, "mine")
    git(two, "checkout", "-q", "main")
    record(two, {"data/x": "main"}, "main")
    git(two, "merge", "-q", "--no-edit", "mine")
    assert contents(two) == {"x": "main", "y": "mine"}

    git(two, "checkout", "-q", "mine")
    git(two, "reset", "-q", "--hard", "mine~0")
    git(two, "rebase", "-q", "main~1")
    assert contents(two) == {"x": "main", "y": "mine"}
    assert two.run("status").out == "data: clean\nmore: clean\n"


def test_data_follows_a_reset_there_and_back(two: Project):
    git(two, "reset", "-q", "--hard", "main")
    assert contents(two) == {"x": "1", "y": "1"}
    assert not (two.root / "more").exists()
    assert two.git("status", "--porcelain") == ""

    ended = git(two, "reset", "-q", "--hard", "@{1}")
    assert ended.err.count("written") == 2
    assert contents(two) == {"x": "2", "y": "1"}
    assert contents(two, "more") == {"z": "3"}
    assert two.run("status").out == "data: clean\nmore: clean\n"


def test_a_reset_that_leaves_the_workspace_alone_leaves_the_data_alone(two: Project):
    for how in ("--soft", "--mixed"):
        assert git(two, "reset", "-q", how, "main").err == ""
        assert contents(two) == {"x": "2", "y": "1"}
        assert contents(two, "more") == {"z": "3"}


def test_a_reset_never_overwrites_unsaved_work(two: Project):
    two.write({"data/x": "unsaved", "more/z": "unsaved"})

    ended = git(two, "reset", "-q", "--hard", "main")

    assert contents(two) == {"x": "unsaved", "y": "1"}
    assert contents(two, "more") == {"z": "unsaved"}
    assert ended.err.count("data is left as it is: unsaved changes would be lost: data/x") == 1


def test_data_follows_what_is_stashed_and_comes_back(two: Project):
    two.write({"data/x": "stashed"})
    two.run("add", "data")

    git(two, "stash", "-q")
    assert contents(two) == {"x": "2", "y": "1"}
    git(two, "stash", "pop", "-q")
    assert contents(two) == {"x": "stashed", "y": "1"}


def test_data_follows_a_cherry_pick_and_a_revert(two: Project):
    record(two, {"data/y": "picked", "fresh/a": "1"}, "third")
    git(two, "checkout", "-q", "main")

    git(two, "cherry-pick", "other")
    assert contents(two) == {"x": "1", "y": "picked"}
    assert contents(two, "fresh") == {"a": "1"}
    git(two, "revert", "--no-edit", "HEAD")
    assert contents(two) == {"x": "1", "y": "1"}
    assert not (two.root / "fresh").exists()
    assert two.run("status").out == "data: clean\n"


def test_data_follows_the_commit_that_ends_a_merge_with_conflicts(two: Project):
    record(two, {"new/n": "1"}, "third")
    git(two, "checkout", "-q", "main")
    record(two, {"data/x": "mine"}, "mine")
    git(two, "merge", "-q", "other", code=1)
    assert not (two.root / "new").exists()

    two.run("resolve", "--theirs", "data/x")
    git(two, "commit", "-q", "--no-edit")

    assert contents(two) == {"x": "2", "y": "1"}
    assert contents(two, "new") == {"n": "1"}
    assert two.run("status").out == "data: clean\nmore: clean\nnew: clean\n"


def test_data_follows_a_merge_that_is_given_up(two: Project):
    git(two, "checkout", "-q", "main")
    record(two, {"data/x": "mine"}, "mine")
    git(two, "merge", "-q", "other", code=1)

    git(two, "merge", "--abort")

    assert contents(two) == {"x": "mine", "y": "1"}
    assert two.run("status").out == "data: clean\n"


def test_a_merge_over_unsaved_work_is_taken_back_and_made_again_with_it(two: Project):
    git(two, "checkout", "-q", "main")
    two.write({"data/y": "mine"})
    git(two, "merge", "-q", "other")
    assert contents(two) == {"x": "1", "y": "mine"}
    assert two.run("status", "data").out.startswith("data: diverged")

    git(two, "reset", "-q", "--hard", "ORIG_HEAD")
    assert contents(two) == {"x": "1", "y": "mine"}
    two.run("add", "--stage", "data")
    git(two, "commit", "-q", "-m", "mine")
    git(two, "merge", "-q", "--no-edit", "other")

    assert contents(two) == {"x": "2", "y": "mine"}
    assert contents(two, "more") == {"z": "3"}
    assert two.run("status").out == "data: clean\nmore: clean\n"


def test_a_commit_of_anything_but_pointers_starts_no_python(two: Project):
    bad = two.root.parent / "bad"
    bad.write_text("#!/bin/sh\necho python was started >&2\n")
    bad.chmod(0o755)
    script = two.root / ".git/hooks/post-commit"
    script.write_text(script.read_text().replace(sys.executable, str(bad)))
    two.write({"code.py": "1"})
    two.git("add", "code.py")
    assert git(two, "commit", "-q", "-m", "code").err == ""

    two.write({"data/x": "4"})
    two.run("add", "--stage", "data")
    assert git(two, "commit", "-q", "-m", "data").err == "python was started\n"


def test_a_datavc_that_is_gone_stops_a_push_and_no_commit(two: Project):
    for script in (two.root / ".git/hooks").iterdir():
        script.write_text(script.read_text().replace(sys.executable, "/gone/python"))
    without = {"PATH": f"{Path(shutil.which('git') or '').parent}:/usr/bin:/bin"}
    alone = Project(two.root, two.environment | without)

    ended = git(alone, "commit", "-q", "--allow-empty", "-m", "x")
    assert "datavc, which this hook calls, is not there any more: datavc install" in ended.err
    two.git("init", "-q", "--bare", "../bare")
    git(alone, "push", "-q", "../bare", "main", code=1)

    two.run("install")
    two.write({"data.datavc": b"<<<<<<< ours\n"})
    two.git("add", "data.datavc")
    git(two, "commit", "-q", "-m", "x", code=1)


def test_a_first_commit_has_nothing_to_follow(git_project: Project):
    git_project.run("init")
    git_project.run("install")
    git_project.write({"data/x": "1"})
    git_project.run("add", "--stage", "data")

    assert git(git_project, "commit", "-q", "-m", "first").err == ""
    assert git_project.run("git", "hook", "post-commit").err == ""


def test_a_rebase_that_stops_for_a_conflict_and_goes_on(two: Project):
    git(two, "checkout", "-q", "-b", "mine", "main")
    record(two, {"data/x": "mine", "data/y": "mine"}, "mine")

    ended = git(two, "rebase", "-q", "other", code=1)
    assert "CONFLICT (datavc): data/x: changed by both" in ended.err
    assert contents(two) == {"x": "mine", "y": "mine"}
    # In a rebase, what is replayed is theirs.
    two.run("resolve", "--theirs", "data/x")
    assert contents(two) == {"x": "mine", "y": "mine"}
    git(two, "-c", "core.editor=true", "rebase", "--continue")

    assert contents(two) == {"x": "mine", "y": "mine"}
    assert contents(two, "more") == {"z": "3"}
    assert two.run("status").out == "data: clean\nmore: clean\n"


def test_a_rebase_that_is_given_up_leaves_the_data_where_it_was(two: Project):
    git(two, "checkout", "-q", "-b", "mine", "main")
    record(two, {"data/x": "mine"}, "mine")
    git(two, "rebase", "-q", "other", code=1)

    git(two, "rebase", "--abort")

    assert two.run("status").out == "data: clean\n"
    assert contents(two) == {"x": "mine", "y": "1"}


def test_a_new_worktree_has_its_data_and_follows_for_itself(two: Project):
    git(two, "worktree", "add", "-q", "../linked", "main")
    linked = Project(two.root.parent / "linked", two.environment)

    assert contents(linked) == {"x": "1", "y": "1"}
    assert contents(two) == {"x": "2", "y": "1"}
    git(linked, "checkout", "-q", "--detach", "other")
    assert contents(linked) == {"x": "2", "y": "1"}
    assert linked.run("status").out == "data: clean\nmore: clean\n"


def test_in_a_submodule_data_follows_what_the_repository_around_it_says(
    two: Project, git_project: Project, tmp_path: Path
):
    outer_root = tmp_path / "outer"
    outer_root.mkdir()
    outer = Project(outer_root, two.environment)
    outer.git("init", "-q")
    outer.git("submodule", "--quiet", "add", "-b", "other", str(two.root), "sub")
    outer.commit("at other")
    sub = Project(outer_root / "sub", two.environment)
    sub.run("install")
    sub.run("config", "--local", "cache.dir", str(two.root / ".git/datavc/cache"))
    sub.run("checkout")
    assert contents(sub) == {"x": "2", "y": "1"}
    git(sub, "checkout", "-q", "origin/main")
    outer.commit("at main")
    assert contents(sub) == {"x": "1", "y": "1"}

    git(outer, "checkout", "-q", "HEAD~1")
    git(outer, "submodule", "update", "-q")

    assert contents(sub) == {"x": "2", "y": "1"}
    git(outer, "checkout", "-q", "--recurse-submodules", "-")
    assert contents(sub) == {"x": "1", "y": "1"}
    assert not (sub.root / "more").exists()


def test_in_worktrees_and_submodules_datasets_merge_as_anywhere(two: Project, tmp_path: Path):
    (tmp_path / "outer").mkdir()
    outer = Project(tmp_path / "outer", two.environment)
    outer.git("init", "-q")
    outer.git("submodule", "--quiet", "add", "-b", "other", str(two.root), "deep/sub")
    sub = Project(tmp_path / "outer/deep/sub", two.environment)
    sub.run("install")
    sub.run("config", "--local", "cache.dir", str(two.root / ".git/datavc/cache"))
    git(two, "worktree", "add", "-q", "-b", "third", "../linked", "main")
    linked = Project(two.root.parent / "linked", two.environment)
    for place, start in ((linked, "third"), (sub, "origin/main")):
        git(place, "checkout", "-q", "-B", "mine", start)
        place.run("checkout")
        record(place, {"data/y": "mine"}, "mine")
        place.write({"folder/file": "1"})

        git(place, "merge", "-q", "--no-edit", "origin/other" if place is sub else "other", cwd="folder")

        assert contents(place) == {"x": "2", "y": "mine"}
        assert contents(place, "more") == {"z": "3"}
        assert "M data/y  1 B -> 4 B\n" in place.git("diff", "HEAD^2", "HEAD", cwd="folder")
        assert place.run("status").out == "data: clean\nmore: clean\n"


# pre-commit


def test_a_commit_warns_of_what_is_not_in_it(two: Project):
    two.write({"data/x": "changed", "code.py": "1"})
    two.run("add", "more")
    two.git("add", "code.py")

    ended = git(two, "commit", "-q", "-m", "code")

    assert "warning: data was changed and not added\nnext: datavc add data\n" in ended.err
    two.run("add", "data")
    two.write({"code.py": "2"})
    ended = git(two, "commit", "-q", "-m", "more code", "code.py")
    assert "warning: data.datavc is not in this commit as it is now\nnext: git add data.datavc\n" in ended.err


def test_a_pointer_with_conflict_markers_is_not_committed(two: Project):
    two.write({"data.datavc": "<<<<<<< ours\n=======\n>>>>>>> theirs\n"})
    two.git("add", "data.datavc")

    ended = git(two, "commit", "-q", "-m", "oops", code=1)

    assert "the staged data.datavc has merge conflict markers" in ended.err
    assert "datavc resolve data.datavc" in ended.err
    git(two, "commit", "-q", "-m", "oops", "--no-verify")


# pre-push


@pytest.fixture
def shared(two: Project, tmp_path: Path) -> Project:
    """As `two`, with a bare git remote and a datavc remote that have nothing yet."""
    two.git("init", "-q", "--bare", str(tmp_path / "bare"))
    two.git("remote", "add", "origin", str(tmp_path / "bare"))
    add_folder(two, tmp_path / "store")
    return two


def test_a_push_without_its_data_is_refused_and_goes_through_after_datavc_push(
    shared: Project, tmp_path: Path
):
    ended = git(shared, "push", "-q", "origin", "other", code=1)

    assert "pointers would be pushed whose data is not on the remote origin: " in ended.err
    assert "git push --no-verify pushes nevertheless" in ended.err
    assert shared.git("ls-remote", "origin") == ""
    command = next(line for line in ended.err.splitlines() if line.startswith("hint: datavc push"))
    words = command.removeprefix("hint: datavc ").partition(",")[0].split()
    shared.run(*words, "--yes")

    git(shared, "push", "-q", "origin", "other")
    # Both versions on the way are there, not only the last.
    assert len(roots(tmp_path / "store")) == 3


def test_the_data_is_pushed_first_where_the_setting_says_so(shared: Project, tmp_path: Path):
    shared.run("push", "--yes", "more")
    shared.run("config", "git.push", "push")

    ended = git(shared, "push", "-q", "origin", "other")

    assert "its data was sent" in ended.err
    assert len(roots(tmp_path / "store")) == 3
    again = git(shared, "push", "-q", "origin", "other:refs/heads/copy")
    assert "its data was sent" not in again.err


def test_versions_on_a_side_that_a_merge_dropped_count_too(shared: Project, tmp_path: Path):
    git(shared, "checkout", "-q", "-b", "side", "main")
    record(shared, {"data/y": "side"}, "side")
    git(shared, "checkout", "-q", "other")
    git(shared, "merge", "-q", "-s", "ours", "--no-edit", "side")
    shared.run("push", "--yes", "--rev", "other", "--rev", "main")

    ended = git(shared, "push", "-q", "origin", "other", code=1)

    side = shared.git("rev-parse", "--short=12", "side").strip()
    assert f"not on the remote origin: data at {side}\n" in ended.err


def test_what_the_other_side_has_is_not_asked_for_again(shared: Project, tmp_path: Path):
    shared.run("config", "--local", "git.push", "off")
    git(shared, "push", "-q", "origin", "main", "other")
    shared.run("config", "--local", "git.push", "refuse")
    shared.write({"code.py": "1"})
    shared.commit("code")

    git(shared, "push", "-q", "origin", "other")
    git(shared, "push", "-q", "origin", "main:refs/heads/copy")
    git(shared, "push", "-q", "origin", ":copy")


def test_without_a_remote_of_datavc_a_push_is_refused_unless_it_has_no_pointers(two: Project, tmp_path: Path):
    two.git("init", "-q", "--bare", str(tmp_path / "bare"))

    ended = git(two, "push", "-q", str(tmp_path / "bare"), "other", code=1)
    assert "there is no remote" in ended.err
    assert "datavc remote add NAME URL" in ended.err
    start = two.git("rev-list", "--max-parents=0", "HEAD").strip()
    git(two, "push", "-q", str(tmp_path / "bare"), f"{start}:refs/heads/start")


def test_in_a_shallow_clone_what_is_new_is_checked(shared: Project, tmp_path: Path):
    shared.run("config", "git.push", "refuse")
    shared.commit("setting")
    shared.run("push", "--yes", "--rev", "other", "--rev", "main")
    git(shared, "push", "-q", "origin", "main", "other")
    environment = shared.environment
    shared.git(
        "clone", "-q", "--depth", "1", "-b", "other", f"file://{tmp_path / 'bare'}", str(tmp_path / "shallow")
    )
    shallow = Project(tmp_path / "shallow", environment)
    shallow.run("install")
    shallow.run("pull")
    record(shallow, {"data/x": "new"}, "new")

    assert "data at " in git(shallow, "push", "-q", code=1).err
    shallow.run("push", "--yes")
    git(shallow, "push", "-q")


def test_in_a_partial_clone_pointers_come_when_they_are_needed(shared: Project, tmp_path: Path):
    shared.run("push", "--yes", "--rev", "other", "--rev", "main")
    git(shared, "push", "-q", "origin", "main", "other")
    for key in ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"):
        Project(tmp_path / "bare", shared.environment).git("config", key, "true")
    url = f"file://{tmp_path / 'bare'}"
    shared.git("clone", "-q", "--filter=blob:none", "-b", "other", url, str(tmp_path / "partial"))
    partial = Project(tmp_path / "partial", shared.environment)
    partial.run("install")
    partial.run("fetch", "--all-branches")
    partial.run("pull")

    git(partial, "branch", "main", "origin/main")
    partial.run("fetch", "--rev", "main")
    git(partial, "checkout", "-q", "main")

    assert contents(partial) == {"x": "1", "y": "1"}
    assert not (partial.root / "more").exists()


# The pre-commit framework, which says in variables what git says in arguments


def test_its_manifest_names_every_hook():
    lines = (Path(__file__).parents[2] / ".pre-commit-hooks.yaml").read_text().splitlines()

    ids = [line.removeprefix("- id: datavc-") for line in lines if line.startswith("- id: ")]
    calls = [line.removeprefix("  entry: datavc git hook ") for line in lines if line.startswith("  entry: ")]
    stages = [line.strip().removeprefix("stages: [")[:-1] for line in lines if line.startswith("  stages: ")]
    assert ids == calls == stages
    # The framework has no stage for git's post-index-change.
    assert sorted([*ids, "post-index-change"]) == sorted(HOOKS)


def test_its_variables_say_what_git_says_in_arguments(shared: Project):
    first, second = (shared.git("rev-parse", name).strip() for name in ("main", "other"))
    shared.run("install", "--uninstall")
    shared.environment |= {
        "PRE_COMMIT_FROM_REF": first,
        "PRE_COMMIT_TO_REF": second,
        "PRE_COMMIT_REMOTE_NAME": "origin",
    }

    assert "not on the remote origin: data at" in shared.run("git", "hook", "pre-push", code=1).err
    all_history = {"PRE_COMMIT_LOCAL_BRANCH": "refs/heads/other", "PRE_COMMIT_REMOTE_NAME": "origin"}
    fewer = {name: value for name, value in shared.environment.items() if not name.startswith("PRE_COMMIT_")}
    first_push = Project(shared.root, fewer | all_history)
    assert first_push.run("git", "hook", "pre-push", code=1).err.count(" at ") == 3
    git(shared, "checkout", "-q", "main")
    shared.environment |= {
        "PRE_COMMIT_FROM_REF": second,
        "PRE_COMMIT_TO_REF": first,
        "PRE_COMMIT_CHECKOUT_TYPE": "1",
    }
    shared.run("git", "hook", "post-checkout")

    assert contents(shared) == {"x": "1", "y": "1"}
    assert not (shared.root / "more").exists()

"""What ``datavc status`` and ``datavc diff`` say, and the small verbs beside them."""

from __future__ import annotations

import json
import os
import shutil

from projects import Project


def added(project: Project) -> Project:
    project.write({"data/a": "alpha", "data/b": "beta", "data/sub/c": "gamma"})
    project.run("add", "data")
    project.commit("data")
    return project


def states(project: Project) -> list[str]:
    return json.loads(project.run("status", "--json").out)[0]["states"]


def test_each_state_is_said_by_its_name(project: Project):
    added(project)
    assert states(project) == ["clean"]
    project.write({"data/a": "changed"})
    assert states(project) == ["modified"]
    pointer = project.read("data.datavc")
    project.run("add", "data")
    assert states(project) == ["pointer not committed"]
    project.write({"data.datavc": pointer})
    assert states(project) == ["behind"]
    project.write({"data/b": "changed too"})
    assert states(project) == ["diverged"]
    shutil.rmtree(project.root / "data")
    assert states(project) == ["missing"]
    shutil.rmtree(project.root / ".git/datavc/cache")
    assert states(project) == ["missing", "not in the cache"]


def test_an_edit_of_the_same_size_with_its_mtime_put_back_is_noticed(project: Project):
    added(project)
    path = project.root / "data/a"
    before = path.stat()
    path.write_bytes(b"ALPHA")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert states(project) == ["modified"]
    project.run("add", "data")
    assert project.run("cat", "data/a").out == "ALPHA"


def test_verbose_lists_added_changed_removed_and_renamed_paths(project: Project):
    added(project)
    os.rename(project.root / "data/b", project.root / "data/moved")
    (project.root / "data/sub/c").unlink()
    project.write({"data/a": "changed", "data/new": "n"})
    lines = [line.split("  ")[1].strip() for line in project.run("status", "-v").out.splitlines()[1:]]
    assert lines == ["M data/a", "R data/b -> data/moved", "A data/new", "D data/sub/c"]


def test_exit_code_tells_scripts_whether_anything_differs(project: Project):
    added(project)
    project.run("status", "--exit-code")
    project.run("diff", "--exit-code")
    project.write({"data/a": "changed"})
    project.run("status", "--exit-code", code=1)
    project.run("diff", "--exit-code", code=1)
    project.run("diff", "--exit-code", "nowhere", code=4)


def test_diff_works_while_the_cache_is_away(project: Project):
    added(project)
    shutil.rmtree(project.root / ".git/datavc/cache")
    project.write({"data/a": "changed"})
    assert project.run("diff").out == "M data/a  5 B -> 7 B\n"
    assert project.run("diff", "--name-only").out == "data/a\n"
    assert project.run("diff", "-z").out == "data/a\0"


def test_losing_the_stat_cache_changes_nothing_but_speed(project: Project):
    added(project)
    (project.root / ".git/datavc/stat.db").write_bytes(b"no database at all")
    assert states(project) == ["clean"]
    (project.root / ".git/datavc/stat.db").unlink(missing_ok=True)
    assert states(project) == ["clean"]


def test_ls_du_and_cat_need_nothing_in_the_workspace(project: Project):
    added(project)
    shutil.rmtree(project.root / "data")
    assert project.run("ls").out == "data/\n"
    assert project.run("ls", "data").out.split() == ["data/a", "data/b", "data/sub/"]
    assert project.run("du", "-d", "1").out.split() == ["14", "B", "3", "data", "5", "B", "1", "data/sub"]
    assert project.run("cat", "data/sub/c").out == "gamma"


def test_move_takes_data_pointer_ignore_line_and_state_along(project: Project):
    added(project)
    project.run("mv", "data", "archive/renamed")
    assert project.read("archive/renamed/a") == b"alpha"
    assert not (project.root / "data.datavc").exists()
    project.commit("moved")
    assert states(project) == ["clean"]


def test_remove_keeps_the_data_unless_told_otherwise(project: Project):
    added(project)
    project.run("rm", "data")
    assert project.read("data/a") == b"alpha"
    assert not (project.root / "data.datavc").exists()
    project.run("add", "data")
    project.write({"data/a": "in no cache"})
    project.run("rm", "--delete", "data", code=1)
    project.run("add", "data")
    project.run("rm", "--delete", "data")
    assert not (project.root / "data").exists()


def test_without_git_everything_that_needs_no_history_works(bare_project: Project):
    bare_project.run("init", "--no-git")
    bare_project.write({"data/a": "alpha"})
    bare_project.run("add", "data")
    bare_project.write({"data/a": "changed"})
    assert "modified" in bare_project.run("status").out
    bare_project.run("checkout", "--force")
    assert bare_project.read("data/a") == b"alpha"
    bare_project.run("fsck")


def test_linked_worktrees_share_the_cache(project: Project):
    added(project)
    project.git("worktree", "add", "-q", "../tree", "-b", "other")
    other = Project(project.root.parent / "tree", project.environment)
    assert states(other) == ["missing"]
    other.run("checkout")
    assert other.tree("data") == project.tree("data")


def test_clones_share_a_cache_where_it_is_configured(project: Project):
    project.run("config", "--local", "cache.dir", str(project.root.parent / "shared"))
    added(project)
    clone = project.clone("clone")
    clone.run("config", "--local", "cache.dir", str(project.root.parent / "shared"))
    clone.run("checkout")
    assert clone.tree("data") == project.tree("data")
    assert len(list((project.root.parent / "shared/clones").iterdir())) == 2


def test_fsck_names_object_dataset_and_path_of_what_is_damaged(project: Project):
    added(project)
    for pack in (project.root / ".git/datavc/cache/packs").rglob("xxh128-*"):
        data = bytearray(pack.read_bytes())
        if b"beta" in data:
            data[data.index(b"beta")] ^= 1
            pack.chmod(0o644)
            pack.write_bytes(data)
    out = project.run("fsck", code=12).out
    assert "data/b" in out and "xxh128:" in out and "dataset data" in out
    assert "data/a" not in out


def test_outside_of_any_repository_the_exit_code_is_ten(bare_project: Project):
    assert "datavc init" in bare_project.run("status", code=10).err

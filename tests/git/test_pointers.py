"""What git says of pointers, compared with repositories made by git itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from projects import Project

from datavc.errors import DatavcError, Locked, UsageError
from datavc.git.pointers import (
    CHANGED,
    REMOVED,
    STAGED,
    UNMERGED,
    UNTRACKED,
    IgnoreRule,
    PointerFile,
    ignored_among,
    ignored_by,
    list_pointers,
    pointer_overview,
    stage,
    tracked_below,
    uncommitted,
)
from datavc.git.program import Git

ODD_NAMES = [
    b"new\nline",
    b"-dash",
    b":(top)x",
    b"a*b",
    b"[a]",
    b"q?",
    b"back\\slash",
    b"\xff\xfe",
    b" spaced ",
    b"\xc3\xa9",
]


def tracked(*paths: bytes) -> list[PointerFile]:
    return [PointerFile(path, tracked=True, present=True) for path in paths]


def test_a_repository_without_commits_has_untracked_pointers(git: Git, git_project: Project):
    git_project.write({"a.datavc": "1", "deep/er/b.datavc": "2", "a": "data", "c.datavc.txt": ""})

    overview = pointer_overview(git)

    assert overview.pointers == [
        PointerFile(b"a.datavc", tracked=False, present=True),
        PointerFile(b"deep/er/b.datavc", tracked=False, present=True),
    ]
    assert overview.uncommitted == {b"a.datavc": UNTRACKED, b"deep/er/b.datavc": UNTRACKED}


def test_an_empty_repository_has_none(git: Git):
    assert pointer_overview(git) == ([], {})


def test_staged_before_the_first_commit_awaits_a_commit(git: Git, git_project: Project):
    git_project.write({"a.datavc": "1"})
    git_project.git("add", "a.datavc")

    assert pointer_overview(git) == (tracked(b"a.datavc"), {b"a.datavc": STAGED})


def test_committed_pointers_need_nothing(git: Git, git_project: Project):
    git_project.write({"a.datavc": "1", "sub/b.datavc": "2"})
    git_project.commit()

    assert pointer_overview(git) == (tracked(b"a.datavc", b"sub/b.datavc"), {})


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_comes_back_as_it_is(name: bytes, git: Git, git_project: Project):
    path = name + b"/" + name + b".datavc"
    git_project.write({path: "1"})

    assert pointer_overview(git).uncommitted == {path: UNTRACKED}
    assert [found.path for found in list_pointers(git)] == [path]
    git_project.commit()
    assert pointer_overview(git) == (tracked(path), {})


def test_each_reason_is_told_apart(git: Git, git_project: Project):
    names = ["clean", "changed", "staged", "both", "removed", "taken-out", "left-on-disk"]
    git_project.write({f"{name}.datavc": "1" for name in names})
    git_project.commit()
    git_project.write({f"{name}.datavc": "2" for name in ("changed", "staged", "both", "new", "intended")})
    git_project.git("add", "staged.datavc", "both.datavc")
    git_project.git("add", "--intent-to-add", "intended.datavc")
    git_project.write({"both.datavc": "3"})
    (git_project.root / "removed.datavc").unlink()
    git_project.git("rm", "--quiet", "taken-out.datavc")
    git_project.git("rm", "--quiet", "--cached", "left-on-disk.datavc")

    overview = pointer_overview(git)

    assert overview.uncommitted == {
        b"changed.datavc": CHANGED,
        b"staged.datavc": STAGED,
        b"both.datavc": CHANGED,
        b"intended.datavc": CHANGED,
        b"removed.datavc": REMOVED,
        b"taken-out.datavc": REMOVED,
        b"left-on-disk.datavc": UNTRACKED,
        b"new.datavc": UNTRACKED,
    }
    by_path = {found.path: found for found in overview.pointers}
    assert b"taken-out.datavc" not in by_path
    assert by_path[b"removed.datavc"] == PointerFile(b"removed.datavc", tracked=True, present=False)
    assert by_path[b"left-on-disk.datavc"] == PointerFile(b"left-on-disk.datavc", tracked=False, present=True)
    assert by_path[b"clean.datavc"] == PointerFile(b"clean.datavc", tracked=True, present=True)


def test_a_moved_pointer_is_one_removed_and_one_new(git: Git, git_project: Project):
    git_project.write({"old.datavc": "the same content, long enough for git to see a rename"})
    git_project.commit()
    git_project.git("config", "status.renames", "copies")
    git_project.git("mv", "old.datavc", "new.datavc")

    assert pointer_overview(git) == (tracked(b"new.datavc"), {b"new.datavc": STAGED, b"old.datavc": REMOVED})


def test_a_merge_conflict_lists_the_pointer_once(git: Git, git_project: Project):
    git_project.write({"a.datavc": "base"})
    git_project.commit()
    git_project.git("checkout", "--quiet", "-b", "other")
    git_project.write({"a.datavc": "theirs", "both.datavc": "theirs"})
    git_project.commit()
    git_project.git("checkout", "--quiet", "main")
    git_project.write({"a.datavc": "ours", "both.datavc": "ours"})
    git_project.commit()
    git_project.git("merge", "other", code=1)

    expected = {b"a.datavc": UNMERGED, b"both.datavc": UNMERGED}
    assert pointer_overview(git) == (tracked(b"a.datavc", b"both.datavc"), expected)


def test_ignored_pointers_are_left_out_unless_tracked(git: Git, git_project: Project):
    git_project.write({".gitignore": "*.datavc\n", "forced.datavc": "1", "plain.datavc": "1"})
    git_project.git("add", "--force", "forced.datavc")

    assert pointer_overview(git) == (tracked(b"forced.datavc"), {b"forced.datavc": STAGED})


def test_what_only_looks_like_a_pointer_is_left_out(git: Git, git_project: Project, tmp_path: Path):
    git_project.write(
        {".datavc": "", "a/.datavc": "", "folder.datavc/inner": "", "nested.datavc": None, "x.DATAVC": ""}
    )
    git_project.git("init", "--quiet", cwd="nested.datavc")
    git_project.write({"nested.datavc/b.datavc": ""})

    assert pointer_overview(git) == ([], {})
    assert list_pointers(git) == []


def test_pointers_of_a_submodule_are_its_own(git: Git, git_project: Project):
    git_project.write({"a.datavc": "1"})
    git_project.commit()
    inner = git_project.clone("inner")
    git_project.git("submodule", "--quiet", "add", str(inner.root), "sub")
    git_project.write({"sub/new.datavc": "2"})

    assert pointer_overview(git) == (tracked(b"a.datavc"), {})
    assert [found.path for found in list_pointers(Git(git_project.root / "sub"))] == [
        b"a.datavc",
        b"new.datavc",
    ]


def test_outside_a_sparse_checkout_a_pointer_is_neither_present_nor_uncommitted(
    git: Git, git_project: Project
):
    git_project.write({"in/a.datavc": "1", "out/b.datavc": "2"})
    git_project.commit()
    git_project.git("sparse-checkout", "set", "in")

    expected = [*tracked(b"in/a.datavc"), PointerFile(b"out/b.datavc", tracked=True, present=False)]
    assert pointer_overview(git) == (expected, {})


def test_user_settings_of_status_change_nothing(git: Git, git_project: Project):
    git_project.write({"sub/a.datavc": "1"})
    for key, value in [
        ("status.showUntrackedFiles", "no"),
        ("status.short", "true"),
        ("status.branch", "true"),
        ("status.relativePaths", "false"),
        ("color.ui", "always"),
        ("core.quotePath", "true"),
    ]:
        git_project.git("config", key, value)

    assert uncommitted(git) == {b"sub/a.datavc": UNTRACKED}


def test_a_linked_worktree_sees_its_own_pointers(git_project: Project, tmp_path: Path):
    git_project.write({"a.datavc": "1"})
    git_project.commit()
    git_project.git("worktree", "add", "--quiet", str(tmp_path / "linked"))
    (tmp_path / "linked" / "b.datavc").write_text("2")

    assert [found.path for found in list_pointers(Git(tmp_path / "linked"))] == [b"a.datavc", b"b.datavc"]
    assert [found.path for found in list_pointers(Git(git_project.root))] == [b"a.datavc"]


names = st.text(alphabet="ab*[?-\n é", min_size=1, max_size=3)
actions = st.sampled_from(["write", "change", "add", "remove", "rm", "cached", "commit"])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=st.lists(st.tuples(actions, names), max_size=8))
def test_the_overview_is_the_two_single_answers(
    story: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory, bare_project: Project
):
    project = Project(tmp_path_factory.mktemp("story"), bare_project.environment)
    project.git("init", "--quiet")
    for number, (action, name) in enumerate(story):
        play(project, action, name + ".datavc", str(number))
    git = Git(project.root)

    overview = pointer_overview(git)

    assert overview == (list_pointers(git), uncommitted(git))


def play(project: Project, action: str, name: str, content: str) -> None:
    stories: dict[str, Callable[[], object]] = {
        "write": lambda: project.write({name: "1"}),
        "change": lambda: project.write({name: content}),
        "add": lambda: project.git("--literal-pathspecs", "add", "--", name, code=None),
        "remove": lambda: (project.root / name).unlink(missing_ok=True),
        "rm": lambda: project.git("--literal-pathspecs", "rm", "-f", "--", name, code=None),
        "cached": lambda: project.git("--literal-pathspecs", "rm", "--cached", "-f", "--", name, code=None),
        "commit": project.commit,
    }
    stories[action]()


def test_tracked_files_are_found_as_such_and_below_folders(git: Git, git_project: Project):
    git_project.write({"a": "1", "data/x": "1", "data/y/z": "1", "data2/x": "1", "untracked/x": "1"})
    git_project.git("add", "a", "data", "data2")

    assert tracked_below(git, [b"a", b"data", b"untracked", b"missing"]) == [b"a", b"data/x", b"data/y/z"]
    assert tracked_below(git, [b"data/", b"data/x"]) == [b"data/x", b"data/y/z"]
    assert tracked_below(git, [b""]) == [b"a", b"data/x", b"data/y/z", b"data2/x"]
    assert tracked_below(git, []) == []


@pytest.mark.parametrize("name", ODD_NAMES)
def test_tracked_paths_are_taken_literally(name: bytes, git: Git, git_project: Project):
    git_project.write({name: "1", "a_b": "1", "a": "1", "qx": "1"})
    git_project.git("add", "a", "a_b", "qx")

    assert tracked_below(git, [name]) == []
    git_project.commit()
    assert tracked_below(git, [name]) == [name]


def test_more_paths_than_one_command_line_holds_are_asked_in_turns(git: Git, git_project: Project):
    git_project.write({"data/x": "1", "last": "1"})
    git_project.commit()
    long = [b"data/" + b"n" * 200 + b"/%d" % number for number in range(3000)]

    assert tracked_below(git, [*long, b"last", b"data"]) == [b"data/x", b"last"]


def test_the_rule_that_ignores_a_path_is_named_by_file_line_and_pattern(git: Git, git_project: Project):
    git_project.write(
        {".gitignore": "# mine\n\n/x.datavc\n", "sub/.gitignore": "*.datavc\n", ".git/info/exclude": "q*\n"}
    )

    assert ignored_by(git, b"x.datavc") == IgnoreRule(b".gitignore", 3, b"/x.datavc")
    assert ignored_by(git, b"sub/x.datavc") == IgnoreRule(b"sub/.gitignore", 1, b"*.datavc")
    assert ignored_by(git, b"q.datavc") == IgnoreRule(b".git/info/exclude", 1, b"q*")
    assert ignored_by(git, b"y.datavc") is None
    asked = [b"y.datavc", b"sub/x.datavc", b"x.datavc", b"z.datavc"]
    assert ignored_among(git, asked) == {name: ignored_by(git, name) for name in asked[1:3]}
    assert ignored_among(git, []) == {}


def test_an_ignored_folder_ignores_what_is_in_it(git: Git, git_project: Project):
    git_project.write({".gitignore": "build/\n", "build/x": ""})

    assert ignored_by(git, b"build/x.datavc") == IgnoreRule(b".gitignore", 1, b"build/")


def test_an_exception_is_no_rule_that_ignores(git: Git, git_project: Project):
    git_project.write({".gitignore": "*.datavc\n!x.datavc\n\\!y.datavc\n"})

    assert ignored_by(git, b"x.datavc") is None
    assert ignored_by(git, b"!y.datavc") == IgnoreRule(b".gitignore", 3, b"\\!y.datavc")


def test_what_git_already_tracks_it_does_not_ignore(git: Git, git_project: Project):
    git_project.write({".gitignore": "*.datavc\n", "x.datavc": "1"})
    git_project.git("add", "--force", "x.datavc")

    assert ignored_by(git, b"x.datavc") is None


@pytest.mark.parametrize("name", ODD_NAMES)
def test_ignored_paths_are_taken_literally(name: bytes, git: Git, git_project: Project):
    assert ignored_by(git, name) is None
    git_project.write({".gitignore": "*\n"})
    assert ignored_by(git, name) == IgnoreRule(b".gitignore", 1, b"*")


def test_a_path_in_a_submodule_or_behind_a_symlink_is_refused(git: Git, git_project: Project):
    git_project.commit()
    inner = git_project.clone("inner")
    git_project.git("submodule", "--quiet", "add", str(inner.root), "sub")
    (git_project.root / "link").symlink_to("sub")

    with pytest.raises(UsageError, match="in submodule 'sub'") as caught:
        ignored_by(git, b"sub/x.datavc")
    assert "inside the submodule" in (caught.value.hint or "")
    with pytest.raises(UsageError, match="beyond a symbolic link"):
        ignored_by(git, b"link/x.datavc")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_staging_takes_exactly_the_paths_given(name: bytes, git: Git, git_project: Project):
    git_project.write({name: "1", "a_b": "1", "other": "1"})

    stage(git, [name])

    assert tracked_below(git, [b""]) == [name]


def test_staging_what_is_gone_takes_it_out_and_what_git_never_knew_is_no_error(
    git: Git, git_project: Project
):
    git_project.write({"old.datavc": "1", "new.datavc": "1"})
    git_project.git("add", "old.datavc")
    (git_project.root / "old.datavc").unlink()

    stage(git, [b"old.datavc", b"new.datavc", b"never.datavc"])

    assert tracked_below(git, [b""]) == [b"new.datavc"]
    stage(git, [])


def test_staging_an_ignored_path_is_an_error_in_git_s_words(git: Git, git_project: Project):
    git_project.write({".gitignore": "*.datavc\n", "x.datavc": "1"})

    with pytest.raises(DatavcError, match="ignored by one of your"):
        stage(git, [b"x.datavc"])


def test_staging_never_replaces_a_submodule(git: Git, git_project: Project):
    git_project.commit()
    inner = git_project.clone("inner")
    git_project.git("submodule", "--quiet", "add", str(inner.root), "sub")
    git_project.write({"sub/x.datavc": "1"})

    with pytest.raises(UsageError, match="in submodule"):
        stage(git, [b"sub/x.datavc"])

    assert tracked_below(git, [b""]) == [b".gitmodules", b"sub"]


def test_staging_beside_another_git_command_says_so(git: Git, git_project: Project):
    git_project.write({"x.datavc": "1", ".git/index.lock": ""})

    with pytest.raises(Locked):
        stage(git, [b"x.datavc"])


def test_the_overview_starts_both_commands_before_it_waits(git: Git, monkeypatch: pytest.MonkeyPatch):
    events: list[str] = []
    start = Git.start

    def noted(self: Git, *words: str | bytes, **more: object) -> object:
        events.append(os.fsdecode(words[0]))
        process = start(self, *words, **more)  # type: ignore[arg-type]
        wait = process.wait
        monkeypatch.setattr(process, "wait", lambda: events.append("wait") or wait())
        return process

    monkeypatch.setattr(Git, "start", noted)

    pointer_overview(git)

    assert events == ["ls-files", "status", "wait", "wait"]

"""Merging datasets: the rules path by path, what merged pointers keep, and the driver under plain `git merge`."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from projects import Project, Result
from remotes import add_folder
from sweeps import COMPLETED, run_killed

from datavc.errors import MalformedError
from datavc.formats.digest import Digest, hash_function
from datavc.formats.pointer import parse_pointer
from datavc.formats.tree import EXECUTABLE, FILE, FOLDER, SYMLINK, Entry, Tree, encode_tree
from datavc.operations.steps.trees.treemerge import OURS, THEIRS, Side, TreeMerge
from datavc.operations.steps.trees.trees import TreeSource, entries

# A dataset as nested dicts; a file is (kind, content).
Node = dict[str, "Node"] | tuple[int, str]
_ALGORITHM = "xxh128"
_HASH = hash_function(_ALGORITHM)


def file(content: str) -> tuple[int, str]:
    return FILE, content


def executable(content: str) -> tuple[int, str]:
    return EXECUTABLE, content


class Shelf:
    """Trees by digest, in place of a cache."""

    def __init__(self) -> None:
        self.trees: dict[bytes, bytes] = {}

    def tree(self, digest: bytes) -> bytes | None:
        return self.trees.get(digest)

    def entry(self, name: str, node: Node) -> Entry:
        if isinstance(node, tuple):
            kind, content = node
            return Entry(name.encode(), kind, len(content), 1, _HASH(content.encode()))
        rows = sorted(self.entry(inner, below) for inner, below in node.items())
        tree = Tree(
            _ALGORITHM,
            [row.name for row in rows],
            bytes(row.kind for row in rows),
            array("Q", [row.size for row in rows]),
            [row.count for row in rows],
            [row.digest for row in rows],
        )
        encoded = encode_tree(tree)
        self.trees[_HASH(encoded)] = encoded
        return Entry(name.encode(), FOLDER, tree.size, tree.count, _HASH(encoded))

    def source(self, entry: Entry) -> TreeSource:
        kind = ("file", "executable", "symlink", "folder")[entry.kind]
        return TreeSource(None, self, Digest(_ALGORITHM, entry.digest), kind)  # type: ignore[arg-type]

    def side(self, node: Node) -> Side:
        entry = self.entry("data", node)
        return Side(self.source(entry), entry)


def merge(
    base: Node | None, ours: Node, theirs: Node, **named: object
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The merged files, as `path: kind content digest`, and the conflicts."""
    shelf = Shelf()
    job = TreeMerge(
        _ALGORITHM,
        shelf.side(base) if base is not None else None,
        shelf.side(ours),
        shelf.side(theirs),
        **named,  # type: ignore[arg-type]
    )
    entry = job.run()
    shelf.trees |= job.written
    assert entry is not None
    merged = {} if job.conflicts else _flat(shelf, entry)
    return merged, [(conflict.path.decode(), conflict.reason) for conflict in job.conflicts]


def flat(node: Node) -> dict[str, str]:
    shelf = Shelf()
    return _flat(shelf, shelf.entry("data", node))


def _flat(shelf: Shelf, entry: Entry) -> dict[str, str]:
    if entry.kind != FOLDER:
        return {".": f"{entry.kind} {entry.digest.hex()}"}
    found = {}
    for path, tree in shelf.source(entry).walk():
        found[path.decode() + "/"] = "folder"
        for row in entries(tree):
            if row.kind != FOLDER:
                found[f"{path.decode()}/{row.name.decode()}"] = f"{row.kind} {row.size} {row.digest.hex()}"
    return found


A, B, C = file("a"), file("bb"), file("ccc")

# base, ours, theirs, merged
MERGED = {
    "different files": ({"x": A, "y": A}, {"x": B, "y": A}, {"x": A, "y": C}, {"x": B, "y": C}),
    "the same change": ({"x": A}, {"x": B}, {"x": B}, {"x": B}),
    "the same deletion": ({"x": A, "y": A}, {"y": A}, {"y": A}, {"y": A}),
    "the same new file": ({}, {"x": A}, {"x": A}, {"x": A}),
    "new files of both": ({}, {"x": A}, {"y": B}, {"x": A, "y": B}),
    "a deletion and another change": ({"x": A, "y": A}, {"y": A}, {"x": A, "y": B}, {"y": B}),
    "content and exec bit": ({"x": A}, {"x": executable("a")}, {"x": B}, {"x": executable("bb")}),
    "exec bit and content": ({"x": A}, {"x": B}, {"x": executable("a")}, {"x": executable("bb")}),
    "exec bit taken and content": (
        {"x": executable("a")},
        {"x": B[:0] + file("a")},
        {"x": executable("bb")},
        {"x": B},
    ),
    "the same content, one executable": (
        {"x": A},
        {"x": B},
        {"x": executable("bb")},
        {"x": executable("bb")},
    ),
    "in folders below": (
        {"f": {"g": {"x": A, "y": A}, "z": A}},
        {"f": {"g": {"x": B, "y": A}, "z": A}},
        {"f": {"g": {"x": A}, "z": C}},
        {"f": {"g": {"x": B}, "z": C}},
    ),
    "a folder deleted, left alone by them": (
        {"f": {"x": A}, "y": A},
        {"y": A},
        {"f": {"x": A}, "y": B},
        {"y": B},
    ),
    "a folder deleted, they deleted a file in it": (
        {"f": {"x": A, "z": A}, "y": A},
        {"y": A},
        {"f": {"x": A}, "y": A},
        {"y": A},
    ),
    "a folder deleted, they put a file into it": (
        {"f": {"x": A}, "y": A},
        {"y": A},
        {"f": {"x": A, "new": B}, "y": A},
        {"f": {"new": B}, "y": A},
    ),
    "a file that became a folder": (
        {"x": A, "y": A},
        {"x": {"in": A}, "y": A},
        {"x": A, "y": B},
        {"x": {"in": A}, "y": B},
    ),
    "both made a folder of it": ({"x": A}, {"x": {"p": A}}, {"x": {"q": B}}, {"x": {"p": A, "q": B}}),
    "empty folders": ({"x": A}, {"x": A, "e": {}}, {"x": A, "d": {}}, {"x": A, "d": {}, "e": {}}),
    "the last files of a folder, one each": (
        {"f": {"x": A, "y": A}},
        {"f": {"x": A}},
        {"f": {"y": A}},
        {"f": {}},
    ),
    "no common origin": (None, {"x": A, "y": A}, {"x": A, "z": B}, {"x": A, "y": A, "z": B}),
    "the dataset's own exec bit": (A, executable("a"), B, executable("bb")),
}

# base, ours, theirs, conflicts
CONFLICTS: dict[str, tuple[Node | None, Node, Node, list[tuple[str, str]]]] = {
    "the same file": ({"f": {"x": A}}, {"f": {"x": B}}, {"f": {"x": C}}, [("f/x", "changed by both")]),
    "deleted and changed": ({"x": A}, {}, {"x": B}, [("x", "deleted by us, changed by them")]),
    "changed and deleted": ({"x": A}, {"x": B}, {}, [("x", "changed by us, deleted by them")]),
    "two new files of one name": ({}, {"x": A}, {"x": B}, [("x", "added by both")]),
    "new, and executable for one": ({}, {"x": A}, {"x": executable("a")}, [("x", "added by both")]),
    "file and folder": ({"x": A}, {"x": B}, {"x": {"y": A}}, [("x", "a file of ours, a folder of theirs")]),
    "symlink and file": (
        {"x": A},
        {"x": (SYMLINK, "t")},
        {"x": B},
        [("x", "a symlink of ours, a file of theirs")],
    ),
    "in a deleted folder": (
        {"f": {"x": A}},
        {},
        {"f": {"x": B}},
        [("f/x", "deleted by us, changed by them")],
    ),
    "several, by path": (
        {"x": A, "a": {"y": A}},
        {"x": B, "a": {"y": B}},
        {"x": C, "a": {"y": C}},
        [("a/y", "changed by both"), ("x", "changed by both")],
    ),
    "no common origin": (None, {"x": A}, {"x": B}, [("x", "added by both")]),
    "the dataset itself": (A, B, C, [("", "changed by both")]),
    "a file and a folder as dataset": (A, B, {"x": A}, [("", "a file of ours, a folder of theirs")]),
    "a folder of ours where they deleted the file": (
        {"x": A},
        {"x": {"y": A}},
        {},
        [("x", "changed by us, deleted by them")],
    ),
}


@pytest.mark.parametrize("name", MERGED)
def test_what_only_one_side_changed_is_taken(name: str):
    base, ours, theirs, merged = MERGED[name]

    assert merge(base, ours, theirs) == (flat(merged), [])
    assert merge(base, theirs, ours) == (flat(merged), [])


@pytest.mark.parametrize("name", CONFLICTS)
def test_what_both_changed_differently_is_a_conflict_by_path(name: str):
    base, ours, theirs, conflicts = CONFLICTS[name]

    assert merge(base, ours, theirs) == ({}, conflicts)


@pytest.mark.parametrize("name", CONFLICTS)
def test_decisions_take_exactly_those_paths_from_one_side(name: str):
    base, ours, theirs, conflicts = CONFLICTS[name]
    for side, wanted in ((OURS, ours), (THEIRS, theirs)):
        decisions = {path.encode(): side for path, _ in conflicts}
        assert merge(base, ours, theirs, decisions=decisions) == (flat(wanted), [])


def test_a_decision_holds_for_what_would_have_merged_too():
    base: Node = {"f": {"x": A, "y": A}, "z": A}
    theirs: Node = {"f": {"x": B, "y": B}, "z": B}

    merged, conflicts = merge(base, base, theirs, decisions={b"f/x": OURS})

    assert (merged, conflicts) == (flat({"f": {"x": A, "y": B}, "z": B}), [])


def test_equal_folders_in_several_places_are_merged_once_and_listed_everywhere(
    monkeypatch: pytest.MonkeyPatch,
):
    def deep(leaf: str) -> Node:
        node: Node = {"x": file(leaf), "y": file("same")}
        for _ in range(12):
            node = {"p": node, "q": node}
        return node

    read: list[bytes] = []
    real = TreeSource.checked
    monkeypatch.setattr(
        TreeSource, "checked", lambda self, entry: (read.append(entry.digest), real(self, entry))[1]
    )

    _, conflicts = merge(deep("a"), deep("b"), deep("c"))

    assert len(conflicts) == len(set(conflicts)) == 2**12
    assert ("/".join("pq" * 6) + "/x", "changed by both") in conflicts
    assert len(read) == 3 * 13


def test_conflicts_without_end_are_refused():
    shelf = Shelf()

    def deep(leaf: str) -> Side:
        entry = shelf.entry("data", {"x": file(leaf)})
        for _ in range(25):
            names = [b"p", b"q"]
            tree = Tree(
                _ALGORITHM,
                names,
                bytes([FOLDER] * 2),
                array("Q", [entry.size] * 2),
                [entry.count] * 2,
                [entry.digest] * 2,
            )
            encoded = encode_tree(tree)
            shelf.trees[_HASH(encoded)] = encoded
            entry = Entry(b"data", FOLDER, tree.size, tree.count, _HASH(encoded))
        return Side(shelf.source(entry), entry)

    with pytest.raises(MalformedError, match="files in conflict"):
        TreeMerge(_ALGORITHM, deep("a"), deep("b"), deep("c")).run()


def nodes(leaves: int = 12) -> st.SearchStrategy[Node]:
    leaf = st.sampled_from([A, B, executable("a")])
    names = st.sampled_from("pqr")
    below = st.recursive(leaf, lambda inner: st.dictionaries(names, inner, max_size=3), max_leaves=leaves)
    return st.dictionaries(names, below, max_size=3)


@given(base=nodes(), ours=nodes())
def test_a_side_that_changed_nothing_never_conflicts_and_never_wins(base: Node, ours: Node):
    assert merge(base, ours, base) == (flat(ours), [])
    assert merge(base, base, ours) == (flat(ours), [])
    assert merge(base, ours, ours) == (flat(ours), [])


@given(base=nodes(), ours=nodes(), theirs=nodes())
def test_merging_is_symmetrical_but_for_words(base: Node, ours: Node, theirs: Node):
    one, other = merge(base, ours, theirs), merge(base, theirs, ours)

    assert one[0] == other[0]
    assert [path for path, _ in one[1]] == [path for path, _ in other[1]]


@given(base=nodes(), ours=nodes(), theirs=nodes())
def test_a_merged_path_is_as_one_of_the_sides_has_it(base: Node, ours: Node, theirs: Node):
    merged, conflicts = merge(base, ours, theirs)
    sides = flat(ours), flat(theirs)
    if not conflicts:
        for path, what in merged.items():
            contents = {side.get(path, "").split(" ")[-1] for side in sides}
            assert what.split(" ")[-1] in contents


# Under git


def driver(project: Project) -> None:
    """The merge driver in the clone's own configuration."""
    call = f"'{sys.executable}' -P -m datavc git merge"
    project.git("config", "merge.datavc.driver", f"{call} %O %A %B %L %P")
    project.git("config", "merge.datavc.recursive", "datavc-virtual")
    project.git("config", "merge.datavc-virtual.driver", f"{call} --virtual %O %A %B %L %P")


def change(project: Project, files: dict[str, str | None], message: str) -> None:
    for name, content in files.items():
        path = project.root / name
        if content is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
    project.run("add", "-u")
    project.commit(message)


@pytest.fixture
def branches(project: Project) -> Callable[..., Project]:
    """Branches `main` and `other` that changed different things of the dataset `data`; `main` is checked out."""

    def make(files: dict[str, str], ours: dict[str, str | None], theirs: dict[str, str | None]) -> Project:
        driver(project)
        project.write(dict(files))
        project.run("add", "data")
        project.commit("base")
        project.git("checkout", "-q", "-b", "other")
        change(project, theirs, "theirs")
        project.git("checkout", "-q", "main")
        project.run("checkout")
        change(project, ours, "ours")
        return project

    return make


def git(project: Project, *arguments: str, code: int = 0) -> Result:
    return project._spawn(["git", *arguments], code=code, cwd=".", stdin="")


def test_two_branches_that_edit_different_files_of_ten_thousand_merge(branches: Callable[..., Project]):
    files = {f"data/{number % 7}/{number}.txt": str(number) for number in range(10_000)}
    project = branches(
        files, {"data/1/1.txt": "ours", "data/new": "1"}, {"data/1/8.txt": "theirs", "data/0/0.txt": None}
    )

    git(project, "merge", "-q", "--no-edit", "other")

    assert project.git("status", "--porcelain") == ""
    project.run("checkout")
    assert project.run("status").out == "data: clean\n"
    files |= {"data/1/1.txt": "ours", "data/new": "1", "data/1/8.txt": "theirs"}
    del files["data/0/0.txt"]
    found = {
        f"data/{name.decode()}": what[1].decode()
        for name, what in project.tree("data").items()
        if what[0] == "file"
    }
    assert found == files
    pointer = parse_pointer(project.read("data.datavc"), "data.datavc")
    assert pointer.files == 10_000
    project.run("fsck")


def test_the_same_file_is_a_conflict_by_name_and_everything_says_so(branches: Callable[..., Project]):
    project = branches({"data/a/x": "1", "data/y": "1"}, {"data/a/x": "2", "data/y": "2"}, {"data/a/x": "3"})

    ended = git(project, "merge", "other", code=1)

    assert "CONFLICT (datavc): data/a/x: changed by both\n" in ended.err
    assert "data/y" not in ended.err
    assert project.git("diff", "--name-only", "--diff-filter=U") == "data.datavc\n"
    for command in ("status", "diff", "checkout", "ls"):
        ended = project.run(command, code=1)
        assert "data.datavc has merge conflict markers" in ended.err
        assert "hint: datavc resolve data.datavc" in ended.err


def test_merges_that_meet_again_use_an_origin_made_of_both(branches: Callable[..., Project]):
    project = branches({"data/x": "1", "data/y": "1"}, {"data/x": "2"}, {"data/y": "2"})
    ours, theirs = (project.git("rev-parse", name).strip() for name in ("main", "other"))
    git(project, "merge", "-q", "--no-edit", theirs)
    project.git("checkout", "-q", "other")
    git(project, "merge", "-q", "--no-edit", ours)
    project.run("checkout")
    change(project, {"data/x": "3"}, "theirs again")
    project.git("checkout", "-q", "main")
    project.run("checkout")
    change(project, {"data/y": "3"}, "ours again")

    git(project, "merge", "-q", "--no-edit", "other")

    project.run("checkout")
    assert (project.read("data/x"), project.read("data/y")) == (b"3", b"3")


def test_an_origin_made_of_two_that_conflict_is_their_own_origin_there(branches: Callable[..., Project]):
    files = {"data/x": "1", "data/y": "1", "data/z": "1"}
    project = branches(files, {"data/x": "2"}, {"data/x": "3"})
    ours, theirs = (project.git("rev-parse", name).strip() for name in ("main", "other"))
    for branch, other, side, name in (("main", theirs, "--ours", "y"), ("other", ours, "--theirs", "z")):
        project.git("checkout", "-q", branch)
        project.run("checkout")
        git(project, "merge", "-q", "--no-edit", other, code=1)
        project.run("resolve", side, "data/x")
        project.git("commit", "-q", "--no-edit")
        change(project, {f"data/{name}": "2"}, branch)
    project.git("checkout", "-q", "main")

    git(project, "merge", "-q", "--no-edit", "other")

    project.run("checkout")
    assert {name: project.read(f"data/{name}") for name in "xyz"} == {"x": b"2", "y": b"2", "z": b"2"}


def test_new_datasets_of_one_name_merge_where_their_files_differ(project: Project):
    driver(project)
    project.write({".gitignore": "/data\n"})
    project.commit("start")
    project.git("checkout", "-q", "-b", "other")
    project.write({"data/x": "1"})
    project.run("add", "data")
    project.commit("theirs")
    project.git("checkout", "-q", "main")
    (project.root / "data/x").rename(project.root / "data/y")
    project.run("add", "data")
    project.commit("ours")

    git(project, "merge", "-q", "--no-edit", "other")
    project.run("checkout")

    assert sorted(project.tree("data")) == [b".", b"x", b"y"]


def test_new_datasets_of_both_sides_are_no_conflict(project: Project):
    project.git("checkout", "-q", "-b", "other")
    project.write({"theirs/x": "1"})
    project.run("add", "theirs")
    project.commit("theirs")
    project.git("checkout", "-q", "main")
    project.write({"ours/x": "1"})
    project.run("add", "ours")
    project.commit("ours")

    git(project, "merge", "-q", "--no-edit", "other")

    project.run("checkout")
    assert project.git("status", "--porcelain") == ""
    assert project.run("status").out == "ours: clean\ntheirs: clean\n"


def test_a_merged_pointer_has_no_run_and_keeps_what_both_say(branches: Callable[..., Project]):
    project = branches({"data/x": "1", "data/y": "1"}, {"data/x": "2"}, {"data/y": "2"})
    record = Digest("xxh128", bytes(16))
    for branch, extra in (("other", 'owner = "us"\nnote = "b"\n'), ("main", 'owner = "us"\nnote = "a"\n')):
        project.git("checkout", "-q", branch)
        text = project.read("data.datavc").decode()
        lines = text.splitlines(keepends=True)
        (project.root / "data.datavc").write_text("".join(lines) + extra + f'\n[run]\nrecord = "{record}"\n')
        project.git("commit", "-q", "-a", "-m", "said more")

    git(project, "merge", "-q", "--no-edit", "other")

    assert parse_pointer(project.read("data.datavc"), "data").extra == {"owner": "us"}


def test_killed_at_any_change_the_driver_leaves_no_pointer_whose_data_is_not_there(
    branches: Callable[..., Project],
):
    project = branches({"data/x": "1", "data/y": "1"}, {"data/x": "2"}, {"data/y": "2"})
    texts = {
        name: project.git("show", f"{rev}:data.datavc")
        for name, rev in (("O", "main~"), ("A", "main"), ("B", "other"))
    }
    arguments = ["git", "merge", "O", "A", "B", "7", "data.datavc"]
    for point in range(1, 200):
        project.write(texts)
        ended = run_killed(project, arguments, point)
        left = project.read("A").decode()
        if ended == COMPLETED:
            break
        assert left in (texts["A"], ""), point
    assert point > 5
    (project.root / "data.datavc").write_text(left)
    project.run("checkout")
    assert (project.read("data/x"), project.read("data/y")) == (b"2", b"2")


def test_a_tree_that_is_nowhere_is_a_conflict_with_the_way_out(
    branches: Callable[..., Project], tmp_path: Path
):
    project = branches({"data/x": "1", "data/y": "1"}, {"data/x": "2"}, {"data/y": "2"})
    clone = project.clone("clone")
    driver(clone)
    clone.git("checkout", "-q", "-b", "mine", "origin/main")

    ended = git(clone, "merge", "origin/other", code=1)

    assert "CONFLICT (datavc): data.datavc could not be merged: " in ended.err
    assert (
        "next: datavc push --rev REV, in a clone that has it; then, here: datavc resolve data\n" in ended.err
    )
    assert "error: data.datavc has merge conflict markers" in clone.run("status", code=1).err


def test_trees_that_are_not_here_come_from_a_remote_and_the_merged_data_too(
    branches: Callable[..., Project], tmp_path: Path
):
    project = branches({"data/x": "1", "data/y": "1", "data/z": "1"}, {"data/x": "2"}, {"data/y": "2"})
    add_folder(project, tmp_path / "remote")
    project.run("push", "--yes", "--all-branches", "--rev", "main~2")
    clone = project.clone("clone")
    driver(clone)

    ended = git(clone, "merge", "-q", "--no-edit", "origin/other")

    assert "its folders came from origin" in ended.err
    assert "--offline" not in ended.err
    clone.run("pull")
    assert {name: clone.read(f"data/{name}") for name in "xyz"} == {"x": b"2", "y": b"2", "z": b"1"}
    clone.run("fsck")
    clone.run("push", "--yes")
    again = project.clone("again")
    again.git("pull", "-q", str(clone.root), "main")
    again.run("pull")
    assert again.tree("data") == clone.tree("data")

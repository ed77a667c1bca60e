"""Whatever a folder holds comes back as it was: names, bytes, kinds, empty folders and links."""

from __future__ import annotations

import os
import shutil

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from projects import Project

EDGES = [0, 1, 16, 17, 128, 129, 240, 241, 1023, 1024, 1025, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20]
names = (
    st.binary(min_size=1, max_size=12).filter(lambda name: b"/" not in name and b"\0" not in name)
    | st.sampled_from([b"-x", b"a\nb", b"\xff\xfe", b"A", b"a", b"n" * 255, "ü".encode(), b" "])
).filter(
    lambda name: name not in (b".", b"..") and not name.lower().startswith((b".git", b".datavc", b"git~"))
)
contents = st.binary(max_size=300) | st.sampled_from(EDGES).map(lambda size: bytes([size % 251]) * size)
entries = st.recursive(
    st.tuples(st.sampled_from(["file", "executable"]), contents)
    | st.tuples(st.just("symlink"), st.sampled_from([b"a", b"../up", b"/nowhere", b"-x", b"."])),
    lambda inner: st.tuples(st.just("folder"), st.dictionaries(names, inner, max_size=4)),
    max_leaves=12,
)


def make(path: bytes, entry: tuple) -> None:
    kind, content = entry
    if kind == "folder":
        os.mkdir(path)
        for name, inner in content.items():
            make(os.path.join(path, name), inner)
    elif kind == "symlink":
        os.symlink(content, path)
    else:
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, 0o755 if kind == "executable" else 0o644)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=st.dictionaries(names, entries, max_size=5), second=st.dictionaries(names, entries, max_size=5))
def test_two_versions_of_anything_come_back_as_they_were(project: Project, first: dict, second: dict):
    data = os.fsencode(project.root / "data")
    shutil.rmtree(data, ignore_errors=True)
    seen = []
    for content in (first, second):
        shutil.rmtree(data, ignore_errors=True)
        make(data, ("folder", content))
        project.run("add", "--force", "data")
        seen.append((project.read("data.datavc"), project.tree("data")))
    for pointer, tree in (*seen, seen[0]):
        project.write({"data.datavc": pointer})
        project.run("checkout")
        assert project.tree("data") == tree


def test_sparse_and_hard_linked_files_come_back_as_their_bytes(project: Project):
    project.write({"data/one": "shared"})
    os.link(project.root / "data/one", project.root / "data/two")
    with open(project.root / "data/sparse", "wb") as file:
        file.seek(5 << 20)
        file.write(b"end")
    project.run("add", "data")
    before = project.tree("data")
    shutil.rmtree(project.root / "data")
    project.run("checkout")
    assert project.tree("data") == before
    assert os.stat(project.root / "data/sparse").st_blocks * 512 < 3 << 20

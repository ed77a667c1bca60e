"""``lineage``: what something was made of, and what was made of it, as far as the records that are here know."""

from __future__ import annotations

import os

from datavc.errors import NotFoundError
from datavc.formats.digest import Digest
from datavc.formats.paths import show
from datavc.lineage.graph import DATA, RUN, Graph, Node
from datavc.operations.steps.naming.revisions import at_path, resolve_revision
from datavc.operations.steps.naming.versions import is_digest
from datavc.operations.steps.runs.lineageindex import Known, LineageIndex
from datavc.operations.steps.runs.recordstore import find_record, has_record
from datavc.operations.steps.runs.rundata import row_of_file
from datavc.repo import Repo

MOST_NODES = 10_000


def lineage(
    repo: Repo, subject: str | bytes, *, up: bool = True, depth: int | None = None, rev: str | None = None
) -> Graph:
    """The graph upstream of ``subject``, or downstream: a record or a digest as text, or an absolute path.

    ``depth`` counts runs. ``rev`` takes the pointer of a path at a git revision.

    Raises:
        NotFoundError: no record knows it. UsageError: it is ambiguous, or no path of this repository.
    """
    index = LineageIndex(repo)
    try:
        return _Walk(index, up=up, depth=depth).walk(*_start(repo, index, subject, rev))
    finally:
        index.close()


def _start(
    repo: Repo, index: LineageIndex, subject: str | bytes, rev: str | None
) -> tuple[Node, Digest, Digest | None]:
    """The node to begin with, its digest, and of data the record that is said to have made it."""
    if isinstance(subject, str):
        record = find_record(repo, subject)
        known = index.known(record) if record is not None else None
        if known is not None:
            return _run_node(known), known.digest, known.digest
        digest = index.full_digest(subject) if is_digest(subject) else None
        if digest is None:
            raise NotFoundError(f"no record here knows {subject}", "datavc runs")
        return _data_node(digest, b""), digest, None
    path, digest, maker = _at_path(repo, index, subject, rev)
    return _data_node(digest, path), digest, maker


def _at_path(
    repo: Repo, index: LineageIndex, absolute: bytes, rev: str | None
) -> tuple[bytes, Digest, Digest | None]:
    relative = repo.relative(absolute) if absolute.startswith(repo.root_bytes) else None
    if relative is not None:
        relative = relative.removesuffix(b".datavc") if rev is None else relative
        if rev is not None:
            dataset = at_path(resolve_revision(repo, rev), relative)
        else:
            dataset = repo.owner(relative, repo.datasets())
        if dataset is not None:
            named = dataset.pointer.run
            record = Digest.parse(str(named["record"])) if named is not None else None
            here = record if record is not None and has_record(repo, record) else None
            return dataset.path, dataset.digest, here
    if rev is not None or not os.path.isfile(absolute):
        raise NotFoundError(f"{show(relative or absolute)} is in no dataset, and no file", "datavc ls")
    row = row_of_file(absolute, relative or absolute, repo.algorithm)
    if row.digest is None:
        raise NotFoundError(f"{show(absolute)} cannot be read")
    makers = index.makers_of_file(row.digest)
    return row.path, row.digest, makers[0].record if makers else None


class _Walk:
    def __init__(self, index: LineageIndex, *, up: bool, depth: int | None) -> None:
        self._index = index
        self._up = up
        self._depth = depth

    def walk(self, node: Node, digest: Digest, maker: Digest | None) -> Graph:
        graph = Graph(node.id, {node.id: node})
        pending: list[tuple[Node, Digest | None, Digest | None, int]] = [(node, digest, maker, 0)]
        done = set()
        while pending:
            node, name, maker, depth = pending.pop(0)
            if node.id in done:
                continue
            done.add(node.id)
            if len(graph.nodes) > MOST_NODES:
                graph.cut = True
                break
            if node.kind == RUN:
                assert name is not None
                pending += self._from_run(graph, node, name, depth)
            elif self._depth is not None and depth >= self._depth:
                graph.cut = graph.cut or bool(self._runs(name, maker))
            else:
                pending += self._from_data(graph, node, name, maker, depth)
        return graph

    def _from_data(
        self, graph: Graph, node: Node, digest: Digest | None, maker: Digest | None, depth: int
    ) -> list[tuple[Node, Digest | None, Digest | None, int]]:
        found: list[tuple[Node, Digest | None, Digest | None, int]] = []
        for record in self._runs(digest, maker):
            known = self._index.known(record)
            if known is None or (not self._up and (str(record), node.id) in graph.edges):
                # It read the same bytes as it made.
                continue
            run = graph.nodes.setdefault(str(record), _run_node(known))
            graph.connect(*((run.id, node.id) if self._up else (node.id, run.id)))
            found.append((run, record, None, depth + 1))
        return found

    def _runs(self, digest: Digest | None, maker: Digest | None) -> list[Digest]:
        """Upstream the one run that made it: the one it is said to be, else the last that ended well. Downstream all."""
        if not self._up:
            readers = self._index.readers(digest) if digest is not None else []
            return list(dict.fromkeys(edge.record for edge in readers))
        if maker is not None:
            return [maker]
        makers = [edge.record for edge in self._index.makers(digest)] if digest is not None else []
        good = [record for record in makers if (known := self._index.known(record)) and known.status == "ok"]
        return (good or makers)[:1]

    def _from_run(
        self, graph: Graph, run: Node, record: Digest, depth: int
    ) -> list[tuple[Node, Digest | None, Digest | None, int]]:
        found: list[tuple[Node, Digest | None, Digest | None, int]] = []
        for edge in self._index.edges_of(record, *(("in", "resumes") if self._up else ("out",))):
            if edge.way == "resumes":
                if (
                    self._up
                    and edge.maker is not None
                    and (known := self._index.known(edge.maker)) is not None
                ):
                    before = graph.nodes.setdefault(str(edge.maker), _run_node(known))
                    graph.connect(before.id, run.id)
                    found.append((before, edge.maker, None, depth + 1))
                continue
            data = _data_node(edge.digest, edge.path)
            data = graph.nodes.setdefault(data.id, data)
            graph.connect(*((data.id, run.id) if self._up else (run.id, data.id)))
            found.append((data, edge.digest, edge.maker if self._up else None, depth))
        return found


def _run_node(known: Known) -> Node:
    label = known.stage or known.command
    when = known.start[:16].replace("T", " ")
    return Node(
        str(known.digest),
        RUN,
        show(label.encode("utf-8", "surrogateescape")),
        f"{known.status}, {when}",
        known.status,
    )


def _data_node(digest: Digest | None, path: bytes) -> Node:
    """Bytes at a path: the same at another one are another node, so that a run that copies does not bite its own tail."""
    text = str(digest) if digest is not None else "gone"
    name = f"{text} {show(path)}" if path else text
    return Node(name, DATA, show(path) if path else text, digest.short if digest is not None else "gone")

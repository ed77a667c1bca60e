"""The graph of runs and data, and its spellings for people and programs: a tree of text, Mermaid, DOT.

Everything in it may come from strangers: each spelling escapes what it has to, and none of them can run anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

DATA, RUN = "data", "run"


@dataclass(frozen=True, slots=True)
class Node:
    """A run, or data that runs read and made. ``id`` is its digest, of data with the path behind it."""

    id: str
    kind: str
    label: str
    detail: str = ""
    status: str = ""


@dataclass(slots=True)
class Graph:
    """Nodes by id, and edges in the direction in which data flows. ``top`` is what was asked for."""

    top: str
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    cut: bool = False
    _known: set[tuple[str, str]] = field(default_factory=set, init=False, repr=False)

    def connect(self, source: str, target: str) -> None:
        """Add an edge, once."""
        if (source, target) not in self._known:
            self._known.add((source, target))
            self.edges.append((source, target))


def text_tree(graph: Graph, *, up: bool) -> Iterator[str]:
    """Lines of a tree. What was shown before is named again and not unfolded."""
    near: dict[str, list[str]] = {}
    for source, target in graph.edges:
        near.setdefault(target if up else source, []).append(source if up else target)
    shown = {graph.top}
    yield _line(graph.nodes[graph.top])
    pending = [(name, "", number == 0) for number, name in enumerate(reversed(near.get(graph.top, [])))]
    while pending:
        name, indent, is_last = pending.pop()
        again = name in shown
        yield f"{indent}{'└─ ' if is_last else '├─ '}{_line(graph.nodes[name])}{' (above)' if again else ''}"
        if not again:
            shown.add(name)
            inner = indent + ("   " if is_last else "│  ")
            pending += [
                (below, inner, number == 0) for number, below in enumerate(reversed(near.get(name, [])))
            ]


def _line(node: Node) -> str:
    return f"{node.label}  {node.detail}".rstrip()


def mermaid(graph: Graph) -> str:
    """A Mermaid flowchart, as GitHub and GitLab draw in Markdown."""
    number = {name: f"n{place}" for place, name in enumerate(graph.nodes)}
    lines = ["flowchart TD"]
    for name, node in graph.nodes.items():
        text = _plain(node)
        lines.append(f'  {number[name]}(["{text}"])' if node.kind == RUN else f'  {number[name]}["{text}"]')
    lines += [f"  {number[source]} --> {number[target]}" for source, target in graph.edges]
    return "\n".join(lines)


def _plain(node: Node) -> str:
    """For Mermaid: what it would take for markup goes as entities, which it writes with a hash sign."""
    text = f"{node.label} {node.detail}".strip()[:120]
    kept = (c if c.isalnum() or c in " .,:/_-=+" else f"#{ord(c)};" for c in text)
    return "".join(kept)


def dot(graph: Graph) -> str:
    """Graphviz."""
    number = {name: f"n{place}" for place, name in enumerate(graph.nodes)}
    lines = ["digraph lineage {", "  rankdir=TB; node [fontname=sans];"]
    for name, node in graph.nodes.items():
        shape = "box" if node.kind == DATA else "ellipse"
        label = _quoted(f"{node.label}\n{node.detail}".strip())
        lines.append(f"  {number[name]} [shape={shape}, label={label}];")
    lines += [f"  {number[source]} -> {number[target]};" for source, target in graph.edges]
    return "\n".join([*lines, "}"])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'

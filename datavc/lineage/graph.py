"""The graph of runs and data, and its spellings for people and programs: a tree of text, Mermaid, DOT, HTML.

Everything in it may come from strangers: each spelling escapes what it has to, and none of them can run anything.
"""

from __future__ import annotations

import html
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

    def connect(self, source: str, target: str) -> None:
        """Add an edge, once."""
        if (source, target) not in self._known:
            self._known.add((source, target))
            self.edges.append((source, target))

    _known: set[tuple[str, str]] = field(default_factory=set, repr=False)

    def neighbours(self, node: str, *, up: bool) -> list[str]:
        """What a node comes from, or what comes from it."""
        if up:
            return [source for source, target in self.edges if target == node]
        return [target for source, target in self.edges if source == node]


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


_STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --dim: #667085; --paper: #fff; --line: #98a2b3; --data: #e8f1fd;
  --data-edge: #4a86d8; --run: #eaf6ec; --run-edge: #45a05a; --bad: #fdecea; --bad-edge: #d3483c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --dim: #98a2b3; --paper: #14181f; --line: #5b6575;
  --data: #17283f; --data-edge: #5b97ea; --run: #16301d; --run-edge: #58b56d; --bad: #3a1b18; --bad-edge: #e0675c; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem; }
h1 { font-size: 1.25rem; font-weight: 600; overflow-wrap: anywhere; }
p, td, th { color: var(--dim); } td:first-child { color: var(--ink); }
.map { overflow-x: auto; } svg { display: block; }
svg text { fill: var(--ink); font-size: 13px; } svg text.detail { fill: var(--dim); font-size: 11px; }
svg .data { fill: var(--data); stroke: var(--data-edge); } svg .run { fill: var(--run); stroke: var(--run-edge); }
svg .bad { fill: var(--bad); stroke: var(--bad-edge); } svg .top { stroke-width: 3; }
svg path { fill: none; stroke: var(--line); stroke-width: 1.5; }
table { border-collapse: collapse; margin-top: 2rem; } td, th { text-align: left; padding: .3rem 1rem .3rem 0;
  vertical-align: top; overflow-wrap: anywhere; } tr + tr td { border-top: 1px solid var(--data); }
code { font: 12px ui-monospace, monospace; }
"""
_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 230, 46, 26, 44, 8


def page(graph: Graph, title: str) -> str:
    """One HTML file that needs nothing else: no script, no font, no network."""
    rows = "\n".join(
        f"<tr><td>{_text(node.label)}</td><td>{'run' if node.kind == RUN else 'data'}</td>"
        f"<td>{_text(node.detail)}</td><td><code>{_text(node.id)}</code></td></tr>"
        for node in graph.nodes.values()
    )
    runs = sum(node.kind == RUN for node in graph.nodes.values())
    more = " There is more beyond the depth that was asked for." if graph.cut else ""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<style>{_STYLE}</style></head>\n<body><h1>{_text(title)}</h1>\n"
        f"<p>{runs} runs (round) and {len(graph.nodes) - runs} pieces of data (square); data flows downward.{more}</p>\n"
        f'<div class="map">{_svg(graph)}</div>\n'
        f"<table><tr><th>what</th><th></th><th></th><th>digest</th></tr>\n{rows}\n</table></body></html>\n"
    )


def _svg(graph: Graph) -> str:
    places = _places(graph)
    width = max((x for x, _ in places.values()), default=0) + _WIDTH + _MARGIN
    height = max((y for _, y in places.values()), default=0) + _HEIGHT + _MARGIN
    parts = [f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">']
    for source, target in graph.edges:
        (x1, y1), (x2, y2) = places[source], places[target]
        x1, x2, y1 = x1 + _WIDTH // 2, x2 + _WIDTH // 2, y1 + _HEIGHT
        middle = (y1 + y2) // 2
        parts.append(f'<path d="M{x1} {y1} C{x1} {middle} {x2} {middle} {x2} {y2}"/>')
    for name, node in graph.nodes.items():
        x, y = places[name]
        kind = "bad" if node.status not in ("", "ok") else node.kind
        look = f"{kind} top" if name == graph.top else kind
        radius = _HEIGHT // 2 if node.kind == RUN else 4
        parts.append(
            f'<g><title>{_text(node.id)}</title><rect class="{look}" x="{x}" y="{y}" width="{_WIDTH}" '
            f'height="{_HEIGHT}" rx="{radius}"/>'
            f'<text x="{x + 14}" y="{y + 20}">{_text(_short(node.label, 30))}</text>'
            f'<text class="detail" x="{x + 14}" y="{y + 36}">{_text(_short(node.detail, 36))}</text></g>'
        )
    return "".join([*parts, "</svg>"])


def _places(graph: Graph) -> dict[str, tuple[int, int]]:
    """Each node below everything that it comes from; in its row, below the middle of that."""
    above: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in graph.edges:
        above[target].append(source)
    level: dict[str, int] = {}
    for start in graph.nodes:
        path = [start]
        while path:
            name = path[-1]
            waiting = [other for other in above[name] if other not in level and other not in path]
            if waiting:
                path.append(waiting[0])
                continue
            level.setdefault(name, max((level.get(other, -1) for other in above[name]), default=-1) + 1)
            path.pop()
    places: dict[str, tuple[int, int]] = {}
    for row in range(max(level.values(), default=-1) + 1):
        names = [name for name in graph.nodes if level[name] == row]

        def middle(name: str) -> float:
            over = [places[other][0] for other in above[name] if other in places]
            return sum(over) / len(over) if over else 0.0

        next_x = _MARGIN
        for name in sorted(names, key=middle):
            x = max(next_x, round(middle(name)))
            places[name] = (x, _MARGIN + row * (_HEIGHT + _GAP_Y))
            next_x = x + _WIDTH + _GAP_X
    return places


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _text(text: str) -> str:
    shown = "".join(c if c.isprintable() else "�" for c in text)
    return html.escape(shown, quote=True)

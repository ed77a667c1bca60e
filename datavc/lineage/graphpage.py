"""The graph of runs and data as one HTML file that needs nothing else: no script, no font, no network.

Data flows to the right, into what was asked for or out of it. Each node stands a column beside the nearest that it leads to,
so that hundreds of them are a page to scroll and no wall. The table below says the same in words: Tab goes from node to
node, Enter from a node to its row and back. Everything in it may come from strangers, and is escaped.
"""

from __future__ import annotations

import html
import unicodedata

from datavc.formats.amounts import count
from datavc.lineage.graph import RUN, Graph

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --dim: #5b6472; --paper: #fff; --line: #7d8899; --data: #e8f1fd;
  --data-edge: #3f78c4; --run: #eaf6ec; --run-edge: #38894c; --bad: #fdecea; --bad-edge: #c53a2f; --mark: #fff3c4; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --dim: #a3adbb; --paper: #14181f; --line: #6f7a8c;
  --data: #17283f; --data-edge: #5b97ea; --run: #16301d; --run-edge: #58b56d; --bad: #3a1b18; --bad-edge: #e0675c;
  --mark: #3b3413; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem; }
h1 { font-size: 1.25rem; font-weight: 600; overflow-wrap: anywhere; }
p, td, th { color: var(--dim); } tbody th { color: var(--ink); font-weight: inherit; }
.skip:not(:focus) { position: absolute; left: -9999px; }
.map { overflow-x: auto; } .map.ends { direction: rtl; } .map svg { display: block; direction: ltr; }
svg text { fill: var(--ink); font-size: 13px; } svg text.detail { fill: var(--dim); font-size: 11px; }
svg .data { fill: var(--data); stroke: var(--data-edge); } svg .run { fill: var(--run); stroke: var(--run-edge); }
svg .bad { fill: var(--bad); stroke: var(--bad-edge); } svg .top { stroke-width: 3; }
svg path { fill: none; stroke: var(--line); stroke-width: 1.5; } svg marker path { fill: var(--line); stroke: none; }
svg a:focus, svg a:target { outline: none; }
svg a:focus rect, svg a:target rect, svg a:hover rect { stroke: var(--ink); stroke-width: 5; }
.map:focus-visible, :not(svg) > a:focus-visible { outline: 2px solid var(--data-edge); outline-offset: 2px; }
table { border-collapse: collapse; margin-top: 2rem; width: 100%; } td, th { text-align: left; padding: .3rem 1rem .3rem 0;
  vertical-align: top; } caption { text-align: left; font-weight: 600; } tbody th, td, code { overflow-wrap: anywhere; }
.brief { white-space: nowrap; } tbody tr > * { border-top: 1px solid var(--data); }
tbody a { color: inherit; } tbody tr:focus-within > * { background: var(--mark); }
code { font: 12px ui-monospace, monospace; }
"""
_ARROW = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
    'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>'
)
_HEAD = "".join(f'<th scope="col">{word}</th>' for word in ("what", "kind", "state", "comes from", "digest"))
_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 250, 46, 56, 14, 8
_LABEL, _DETAIL = 30, 38
"""How many letters fit; a wide one counts for two."""
_NAMED = 10
"""How many of the nodes that one comes from are named in the table."""


def page(graph: Graph, title: str) -> str:
    """The file. What leads to what is drawn, and told again in a table, to which each node is a link."""
    number = {name: place for place, name in enumerate(graph.nodes)}
    sources: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in graph.edges:
        sources[target].append(source)
    rows = "\n".join(_row(graph, number, name, sources[name]) for name in graph.nodes)
    runs = sum(node.kind == RUN for node in graph.nodes.values())
    more = " There is more beyond the depth that was asked for." if graph.cut else ""
    is_end = not any(source == graph.top for source, _ in graph.edges)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<style>{_STYLE}</style></head>\n"
        f'<body><a class="skip" href="#table">To the table</a><main><h1>{_text(title)}</h1>\n'
        f"<p>{count(runs, 'run')} (round) and {count(len(graph.nodes) - runs, 'piece')} of data (square); "
        f"data flows to the right.{more}</p>\n"
        f'<div class="map{" ends" if is_end else ""}" tabindex="0" role="region" aria-label="The graph">'
        f"{_svg(graph, number, is_end=is_end)}</div>\n"
        f'<table id="table" tabindex="-1"><caption>The graph in words</caption>\n<thead><tr>{_HEAD}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table></main></body></html>\n"
    )


def _row(graph: Graph, number: dict[str, int], name: str, sources: list[str]) -> str:
    """What a node is, and what it comes from. The link is the target, so that who comes from the graph can go back."""
    node = graph.nodes[name]
    state = node.detail if node.kind == RUN else ""
    digest = node.id.partition(" ")[0]
    named = [
        f'<a href="#r{number[source]}">{_text(graph.nodes[source].label)}</a>' for source in sources[:_NAMED]
    ]
    more = [f"and {len(sources) - _NAMED:,} more"] if len(sources) > _NAMED else []
    return (
        f'<tr><th scope="row"><a id="r{number[name]}" href="#n{number[name]}">{_text(node.label)}</a></th>'
        f'<td class="brief">{node.kind}</td><td class="brief">{_text(state)}</td>'
        f"<td>{', '.join([*named, *more])}</td>"
        f'<td class="brief"><code>{_text(digest)}</code></td></tr>'
    )


def _svg(graph: Graph, number: dict[str, int], *, is_end: bool) -> str:
    places = _places(graph, is_end=is_end)
    width = max((x for x, _ in places.values()), default=0) + _WIDTH + _MARGIN
    height = max((y for _, y in places.values()), default=0) + _HEIGHT + _MARGIN
    parts = [
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="group" aria-label="Runs and data">',
        _ARROW,
    ]
    for source, target in graph.edges:
        (x1, y1), (x2, y2) = places[source], places[target]
        x1, y1, y2 = x1 + _WIDTH, y1 + _HEIGHT // 2, y2 + _HEIGHT // 2
        bend = max((x2 - x1) // 2, _GAP_X // 2)
        parts.append(
            f'<path d="M{x1} {y1} C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}" marker-end="url(#arrow)" aria-hidden="true"/>'
        )
    for name, node in graph.nodes.items():
        x, y = places[name]
        kind = "bad" if node.status not in ("", "ok") else node.kind
        look = f"{kind} top" if name == graph.top else kind
        told = f"{node.label} {node.detail}".strip()
        here = ' aria-current="true"' if name == graph.top else ""
        radius = _HEIGHT // 2 if node.kind == RUN else 4
        parts.append(
            f'<a id="n{number[name]}" href="#r{number[name]}" aria-label="{_text(f"{node.kind} {told}")}"{here}>'
            f"<title>{_text(told)}</title>"
            f'<rect class="{look}" x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="{radius}"/>'
            f'<text x="{x + 14}" y="{y + 20}">{_text(_short(node.label, _LABEL))}</text>'
            f'<text class="detail" x="{x + 14}" y="{y + 36}">{_text(_short(node.detail, _DETAIL))}</text></a>'
        )
    return "".join([*parts, "</svg>"])


def _places(graph: Graph, *, is_end: bool) -> dict[str, tuple[int, int]]:
    """Where each node stands: its column by the longest way to what was asked for, from the top of it as they are met."""
    near: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in graph.edges:
        near[target if is_end else source].append(source if is_end else target)
    columns = _columns(graph, near)
    last = max(columns.values(), default=0)
    free: dict[int, int] = {}
    places: dict[str, tuple[int, int]] = {}
    pending = [(name, _MARGIN) for name in (*reversed(list(graph.nodes)), graph.top)]
    while pending:
        name, wanted = pending.pop()
        if name in places:
            continue
        column = last - columns[name] if is_end else columns[name]
        y = max(wanted, free.get(column, _MARGIN))
        places[name] = _MARGIN + column * (_WIDTH + _GAP_X), y
        free[column] = y + _HEIGHT + _GAP_Y
        pending += [(other, y) for other in reversed(near[name])]
    return places


def _columns(graph: Graph, near: dict[str, list[str]]) -> dict[str, int]:
    """How many steps each node is away from the top, by the longest way; circles, which no clock allows, are cut."""
    order: list[str] = []
    state: dict[str, int] = {}
    for start in (graph.top, *graph.nodes):
        path = [(start, iter(near[start]))] if start not in state else []
        state.setdefault(start, 1)
        while path:
            name, others = path[-1]
            following = next((other for other in others if other not in state), None)
            if following is None:
                path.pop()
                state[name] = 2
                order.append(name)
            else:
                state[following] = 1
                path.append((following, iter(near[following])))
    rank = {name: place for place, name in enumerate(order)}
    found = dict.fromkeys(graph.nodes, 0)
    for name in reversed(order):
        for other in near[name]:
            if rank[other] < rank[name]:
                found[other] = max(found[other], found[name] + 1)
    return found


def _short(text: str, length: int) -> str:
    """What fits: of a long name the beginning and the end, which tell names apart."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    widths = [2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in shown]
    if sum(widths) <= length:
        return shown
    head, room = 0, length // 3
    while room >= widths[head]:
        room -= widths[head]
        head += 1
    tail, room = len(shown), length - length // 3 - 1
    while tail > head and room >= widths[tail - 1]:
        tail -= 1
        room -= widths[tail]
    return f"{shown[:head]}…{shown[tail:]}"


def _text(text: str) -> str:
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return html.escape(shown, quote=True)

"""``datavc lineage``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from datavc.cli.options import Json
from datavc.cli.render import print_json, talk
from datavc.cli.session import current

if TYPE_CHECKING:
    from datavc.lineage.graph import Graph


def lineage(
    subject: Annotated[
        str, typer.Argument(metavar="PATH|DIGEST|RECORD", show_default=False, help="What is asked about")
    ],
    up: Annotated[bool, typer.Option("--up", help="What it was made of; so without any option")] = False,
    down: Annotated[bool, typer.Option("--down", help="What was made of it")] = False,
    depth: Annotated[
        int | None,
        typer.Option("--depth", metavar="N", min=1, show_default=False, help="Follow so many runs"),
    ] = None,
    rev: Annotated[
        str | None,
        typer.Option("--rev", metavar="REV", show_default=False, help="Take PATH at a git revision"),
    ] = None,
    json: Json = False,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print a Mermaid flowchart")] = False,
    dot: Annotated[bool, typer.Option("--dot", help="Print a graph for Graphviz")] = False,
    html: Annotated[bool, typer.Option("--html", help="Print one HTML page that needs nothing else")] = False,
) -> None:
    """Show what something was made of, and what of it

    As far as the records that are here know: those of other clones come with pull and fetch.

    Examples:
      datavc lineage model
      datavc lineage data/train --down
      datavc lineage model --html > lineage.html

    Exit codes: 0 done, 1 nothing is known of it, 2 usage, 10 no repository.
    """
    from datavc.errors import UsageError
    from datavc.lineage import graph as spell
    from datavc.operations.lineage import lineage as find_lineage
    from datavc.operations.steps.naming.versions import is_digest
    from datavc.repo import Repo

    if up and down:
        raise UsageError("--up and --down are two questions", "ask one after the other")
    if sum((json, mermaid, dot, html)) > 1:
        raise UsageError("one form at a time: --json, --mermaid, --dot or --html", "leave the others away")
    session = current()
    repo = Repo.find(session.folder)
    asked = subject if is_digest(subject) else session.absolute(subject)
    graph = find_lineage(repo, asked, up=not down, depth=depth, rev=rev)
    if json:
        nodes = list(graph.nodes.values())
        print_json({"top": graph.top, "nodes": nodes, "edges": graph.edges, "cut": graph.cut})
    elif mermaid or dot:
        print(spell.mermaid(graph) if mermaid else spell.dot(graph))
    elif html:
        from datavc.lineage.graphpage import page

        print(page(graph, f"Lineage of {subject}"), end="")
    else:
        _print_tree(graph, up=not down)


def _print_tree(graph: Graph, *, up: bool) -> None:
    from datavc.lineage.graph import text_tree

    for line in text_tree(graph, up=up):
        print(line)
    if len(graph.nodes) == 1:
        talk("no record says more" if up else "no record read it")

"""The page of ``lineage --html``: it needs nothing else, is read in any light, and is walked through by keys alone."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from datavc.lineage.graph import DATA, RUN, Graph, Node
from datavc.lineage.graphpage import page

HOSTILE = '"><script>alert(1)</script><a href="https://example.org/x" onclick=\'alert(2)\'>'
# As WCAG 2.2 asks for in 1.4.3 and 1.4.11.
TEXT, SHAPE = 4.5, 3.0


class Elements(HTMLParser):
    """Each element that begins, as its tag and attributes; ``depth`` proves that all end."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for found, attributes in self.found if found == tag]


def graph(names: int = 3) -> Graph:
    """Data that a run made of many files, and a run that failed to make one of these."""
    made = Graph("top", {"top": Node("xxh128:12 model", DATA, "model", "xxh128:12")})
    made.nodes["run"] = Node("xxh128:34", RUN, "train", "ok, 2026-01-02 10:00", "ok")
    made.connect("run", "top")
    for number in range(names):
        made.nodes[f"d{number}"] = Node(f"xxh128:{number} f", DATA, f"data/{number}", f"xxh128:{number}")
        made.connect(f"d{number}", "run")
    made.nodes["bad"] = Node("xxh128:56", RUN, HOSTILE, "failed, 2026-01-01 09:00", "failed")
    made.connect("bad", "d0")
    return made


def test_it_needs_nothing_else_and_runs_nothing():
    text = page(graph(), HOSTILE)
    elements = Elements(text)

    assert not elements.open
    tags = {tag for tag, _ in elements.found}
    assert not {"script", "link", "img", "iframe", "object", "embed", "form", "base"} & tags
    attributes = [row for _, row in elements.found]
    assert not [
        name for row in attributes for name in row if name.startswith("on") or name in ("src", "style")
    ]
    assert all(row["href"].startswith("#") for row in attributes if "href" in row)
    assert "@import" not in text
    assert re.findall(r"url\(([^)]*)\)", text.replace("marker-end", "")) == ["#arrow"] * len(graph().edges)
    policy = [row["content"] for row in elements.named("meta") if "http-equiv" in row]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_each_node_is_a_link_to_its_row_and_each_row_to_its_node():
    elements = Elements(page(graph(), "x"))
    links = elements.named("a")
    ids = [row["id"] for _, row in elements.found if "id" in row]

    assert len(ids) == len(set(ids))
    assert {row["href"] for row in links} <= {f"#{name}" for name in ids}
    there = {row["id"]: row["href"] for row in links if "id" in row}
    # The links are the targets, so that the browser's focus goes to and fro with them.
    assert len(there) == 2 * len(graph().nodes)
    assert all(there[target.removeprefix("#")] == f"#{name}" for name, target in there.items())


def test_keys_reach_everything_in_the_order_of_the_page():
    elements = Elements(page(graph(), "x"))
    first = next(row for tag, row in elements.found if tag == "a")

    assert first == {"class": "skip", "href": "#table"}
    # Nothing is taken out of the order of the page or put before it; the region can be scrolled, the table jumped to.
    assert [row["tabindex"] for _, row in elements.found if "tabindex" in row] == ["0", "-1"]
    text = page(graph(), "x")
    for rule in re.findall(r"([^{}]*)\{[^{}]*outline: none[^{}]*\}", text):
        assert rule.strip() == "svg a:focus, svg a:target"
    assert re.search(r"svg a:focus rect[^{]*\{ stroke: var\(--ink\); stroke-width: 5; \}", text)
    assert re.search(r"a:focus-visible \{ outline: 2px solid", text)


def test_everything_has_a_name_for_who_does_not_see_it():
    elements = Elements(page(graph(), "Lineage of model"))

    assert elements.named("html") == [{"lang": "en"}]
    assert len(elements.named("main")) == len(elements.named("h1")) == len(elements.named("caption")) == 1
    names = [row["aria-label"] for row in elements.named("a") if row.get("id", "").startswith("n")]
    assert names[:3] == ["data model xxh128:12", "run train ok, 2026-01-02 10:00", "data data/0 xxh128:0"]
    assert [row.get("aria-current") for row in elements.named("a") if row.get("id") == "n0"] == ["true"]
    assert {row["role"] for _, row in elements.found if "role" in row} == {"region", "group"}
    assert all(row.get("scope") in ("col", "row") for row in elements.named("th"))
    assert all(row.get("aria-hidden") == "true" for row in elements.named("path") if "marker-end" in row)


def test_the_table_tells_what_comes_from_what():
    rows = page(graph(names=13), "x").partition("<tbody>")[2].split("<tr>")

    assert '<a href="#r1">train</a>' in rows[1]
    assert rows[2].count('<a href="#r') == 10 and "and 3 more" in rows[2]
    assert "<td></td>" in rows[4]


def shades(text: str) -> list[dict[str, str]]:
    """The variables by light and by dark; what is dark leaves no colour as it was."""
    found = [
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]+);", block))
        for block in re.findall(r":root \{(.*?)\}", text, re.S)
    ]
    assert len(found) == 2 and found[0].keys() == found[1].keys()
    assert "@media (prefers-color-scheme: dark)" in text and "color-scheme: light dark" in text
    # No colour beside the variables.
    assert len(re.findall(r"#[0-9a-fA-F]{3,8}\b", text.partition("</style>")[0])) == 2 * len(found[0])
    return found


def luminance(colour: str) -> float:
    digits = colour.removeprefix("#")
    digits = "".join(digit * 2 for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    """WCAG's ratio, of 1 to 21."""
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("shade", [0, 1], ids=["light", "dark"])
def test_it_is_read_in_light_and_in_dark(shade: int):
    colour = shades(page(graph(), "x"))[shade]

    for ink in ("ink", "dim"):
        for ground in ("paper", "data", "run", "bad", "mark"):
            assert contrast(colour[ink], colour[ground]) >= TEXT, (ink, ground)
    for shape in ("line", "data-edge", "run-edge", "bad-edge", "ink"):
        assert contrast(colour[shape], colour["paper"]) >= SHAPE, shape


def test_contrast_is_counted_as_wcag_does():
    assert contrast("#fff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_hundreds_of_nodes_and_long_names_have_no_two_in_one_place():
    many = Graph("top", {"top": Node("top", DATA, "models/" + "long-" * 40 + "weights.bin", "xxh128:12")})
    names = ["top"]
    for number in range(300):
        kind = RUN if number % 3 == 0 else DATA
        name = f"n{number}"
        many.nodes[name] = Node(
            name, kind, "\u5b57" * number if number % 7 == 0 else f"data/{number}", "", "ok"
        )
        many.connect(name, names[number // 3])
        names.append(name)
    many.connect("n299", "n0")

    text = page(many, "Lineage")

    places = re.findall(r'<rect class="[^"]*" x="(\d+)" y="(\d+)" width="250"', text)
    assert len(places) == len(set(places)) == 301
    assert "models/lon…" in text and "weights.bin</text>" in text
    for down in ("n0", "n299"):
        assert page(Graph(down, many.nodes, many.edges), "x")


def test_a_graph_that_bites_its_own_tail_is_drawn():
    circle = Graph("a", {name: Node(name, DATA, name) for name in "abc"})
    for source, target in ("ab", "bc", "ca"):
        circle.connect(source, target)

    assert page(circle, "x").count("<rect") == 3

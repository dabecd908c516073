"""The page: whole, well formed, escaped, small, the same every time, whatever is done of a run."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib
import pytest

from weedout_core.lab.report.page import Report
from weedout_core.lab.report.record_sections import choices_section
from weedout_core.lab.report.run_page import report
from weedout_core.lab.report.source import Source

pytestmark = pytest.mark.slow

Sourced = Callable[[Path], Source]

SECTIONS = [
    "verdict", "differences", "sparsity", "figure2", "epochs", "generations", "ledger", "masks", "convergence",
    "choices", "record",
]  # fmt: skip
VOID = {"meta", "link", "br", "img", "hr"}


class Page(HTMLParser):
    """A page as its tags: that they are nested is checked while it is read."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page(made: Report) -> Page:
    return Page(made.page.decode())


def test_it_has_all_sections_in_order_each_in_the_contents(made: Any) -> None:
    found = page(made.report)
    assert [heading["id"] for heading in found.all("h2")] == SECTIONS
    links = [link["href"] for link in found.all("a")]
    assert [link for link in links if link and link[0] == "#"] == ["#content", *(f"#{anchor}" for anchor in SECTIONS)]
    assert len(found.all("h1")) == 1
    assert found.all("html")[0]["lang"] == "en"


def test_every_figure_has_a_caption_and_a_text_for_who_does_not_see_it(made: Any) -> None:
    found = page(made.report)
    images = [attributes for attributes in found.all("div") if attributes.get("role") == "img"]
    assert len(images) >= 10
    assert all(len(image["aria-label"] or "") > 30 for image in images)
    assert len(found.all("figure")) == len(found.all("figcaption"))
    assert len(found.all("figure")) == sum(name.endswith(".svg") for name in made.report.beside)
    assert len(found.all("table")) == len(found.all("caption"))
    assert all(header.get("scope") in ("col", "row") for header in found.all("th"))


def test_identifiers_are_unique_and_references_lead_to_one(made: Any) -> None:
    found = page(made.report)
    names = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(names) == len(set(names))
    text = made.report.page.decode()
    used = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"|aria-labelledby="([^"]+)"', text)
    assert {name for three in used for name in three if name} <= set(names)


def test_it_needs_no_script_and_no_network(made: Any) -> None:
    found = page(made.report)
    assert "script" not in {tag for tag, _ in found.tags}
    assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on")]
    links = [attributes.get("href") or attributes.get("src") or "" for tag, attributes in found.tags if tag != "image"]
    assert not [link for link in links if re.match(r"(\w+:)?//|https?:", link)]
    assert not re.search(r"@import|@font-face|url\((?!#)", made.report.page.decode())


def test_what_it_links_to_is_there(made: Any) -> None:
    for attributes in page(made.report).all("a"):
        name = attributes["href"] or ""
        if name.startswith("report/"):
            assert name.removeprefix("report/") in made.report.beside
        elif not name.startswith("#"):
            assert (made.folder / name).is_file(), name
    linked = {attributes["href"] for attributes in page(made.report).all("a")}
    assert {f"report/{name}" for name in made.report.beside} <= linked


def test_figures_are_drawings_that_can_be_read_alone(made: Any) -> None:
    drawn = {name: content for name, content in made.report.beside.items() if name.endswith(".svg")}
    assert {"differences.svg", "sparsity.svg", "figure2.svg", "epochs.svg", "generations.svg", "masks.svg"} <= set(
        drawn
    )
    for name, content in drawn.items():
        assert ElementTree.fromstring(content).tag.endswith("svg"), name
        assert b"var(" not in content, "outside the page its colours are not known"
        assert b"a0b1" not in content


def test_the_same_run_gives_the_same_bytes_whatever_the_users_settings(
    made: Any,
) -> None:
    with matplotlib.rc_context({"font.size": 20, "svg.hashsalt": "other", "axes.grid": True, "lines.linewidth": 9}):
        assert report(made.source, "") == made.report


def test_it_is_small(made: Any) -> None:
    assert len(made.report.page) < 1_000_000


def test_names_of_arms_are_text(made: Any) -> None:
    """A record with such names is refused; should one pass, the page still shows it as text."""
    bad = '<script>alert("$x_1$")</script>&amp;'
    found = made.source
    method = found.scope.methods[0]

    def renamed(value: Any) -> Any:
        if isinstance(value, str):
            return bad + value.removeprefix(method) if value.split(".")[0] == method else value
        if isinstance(value, dict):
            return {key: renamed(one) for key, one in value.items()}
        if isinstance(value, list):
            return [renamed(one) for one in value]
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*map(renamed, value))
        return value

    tables = ("record", "results", "curves", "ledger", "left_out", "thresholds", "timings", "verdicts")
    changed = found._replace(
        **{name: renamed(getattr(found, name)) for name in tables},
        masks=lambda group: {path.replace(f"{method}/", f"{bad.replace('/', '|')}/"): mask for path, mask in
                             found.masks(group).items() if not path.startswith(f"{method}")},
    )  # fmt: skip
    shown = report(changed, "")
    read = page(shown)
    assert "script" not in {tag for tag, _ in read.tags}
    assert bad in read.text
    for name, content in shown.beside.items():
        if name.endswith(".svg"):
            assert "script" not in {element.tag.split("}")[-1] for element in ElementTree.fromstring(content).iter()}


def test_the_verdict_comes_first_with_its_promise(judged_run: Path, source: Sourced) -> None:
    found = source(judged_run)
    last = [row.sentence for row in found.verdicts if row.look == 3]
    text = page(report(found, "")).text
    assert len(last) == 4
    places = [text.index(sentence) for sentence in last]
    assert places == sorted(places)
    assert places[-1] < text.index("right together with probability at least 95 %") < text.index("A dot is one repeat")
    assert "speak of seeds" in text
    wide = f"{100 * (1 - found.verdicts[-1].alpha):.4g}"
    assert f"The intervals in these sentences are {wide} % intervals: wider than plain 95 % intervals" in text
    assert "Note that the first look is after 2 repeats: with fewer than 5 pairs" in text
    assert "Note that the margin is 0.5 points, and one of the 297 test examples is worth 0.34" in text
    assert float(wide) > 98, "several looks and comparisons"
    assert f"The shaded strip is the margin, {100 * (found.scope.margin or 0):g} points: smaller differences" in text


def test_the_papers_experiment_has_a_sentence_for_each_sparsity(paper_run: Path, source: Sourced) -> None:
    text = page(report(source(paper_run), "")).text
    assert "weedout − control at sparsity 0 %: identical by construction." in text
    assert re.search(
        r"weedout − control at sparsity 50 %: [+-][\d.]+ points \[[+-][\d.]+, [+-][\d.]+\], 3 pairs\.", text
    )


@pytest.mark.parametrize(
    ("run", "hidden", "parameters"),
    [("judged_run", [20], f"{65 * 20 + 21 * 10:,}"), ("paper_run", [8, 6], f"{65 * 8 + 9 * 6 + 7 * 10:,}")],
)
def test_the_sheet_says_the_architecture_and_the_sizes_of_the_splits(
    run: str, hidden: list[int], parameters: str, request: pytest.FixtureRequest, source: Sourced
) -> None:
    table = choices_section(source(request.getfixturevalue(run))).tables[0]
    assert [*map(tuple, table.rows)] == [
        ("network", "mlp"),
        ("input", "8 × 8 × 1"),
        *((f"nodes at hidden_{place}", str(nodes)) for place, nodes in enumerate(hidden)),
        ("logits", "10"),
        ("parameters", parameters),
        ("train examples", "1,200"),
        ("validation examples", "300"),
        ("test examples", "297"),
        ("one test example is worth", "0.34 points of accuracy"),
    ]


def test_there_is_a_panel_for_each_sparsity_and_split(paper_run: Path, source: Sourced) -> None:
    text = page(report(source(paper_run), "")).text
    for sparsity in ("0", "50"):
        for split in ("train", "test"):
            assert f"sparsity {sparsity} %, {split}" in text


def test_what_is_not_done_yet_is_said(judged_run: Path, source: Sourced) -> None:
    found = source(judged_run)
    nothing = found._replace(
        done=(), results=(), curves=(), searches=(), ledger=(), left_out=(), thresholds=(), timings=(), verdicts=()
    )
    text = page(report(nothing, "")).text
    assert "This run is not finished. 0 of 6 groups are done" in " ".join(text.split())
    for said in ("There was no look", "No pair is done", "No network is done", "No epoch is done", "No mask is there"):
        assert said in text, said


def test_before_the_first_look_differences_are_plain(judged_run: Path, source: Sourced) -> None:
    found = source(judged_run)
    text = page(report(found._replace(verdicts=()), "")).text
    assert "There was no look at the results yet" in text
    assert "the line through it the 95 % interval. " in text


def test_trainings_that_diverged_are_counted(paper_run: Path, source: Sourced) -> None:
    found = source(paper_run)
    nan = float("nan")
    lost = {("weedout", 0.5, 1)}
    results = [
        row._replace(test_accuracy=nan, train_accuracy=nan) if (row.arm, row.sparsity, row.repeat) in lost else row
        for row in found.results
    ]
    curves = [
        row._replace(loss=nan) if (row.arm, row.sparsity, row.repeat) in lost and row.epoch > 1 else row
        for row in found.curves
    ]
    made = report(found._replace(results=results, curves=curves), "")
    text = page(made).text
    assert "1 of 12 trainings diverged" in text
    assert "2 of 3 pairs (in 1 a training diverged)" in text
    assert "A cross at the foot marks the epoch" in text
    assert not re.search(rb'(?:d|x|y|transform|points)="[^"]*nan', made.page), "nothing is drawn at no number"

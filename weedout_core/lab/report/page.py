"""The page of a report, and the files that it links to: a title, a subtitle and sections, of whatever they speak."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

from jinja2 import DictLoader, Environment, StrictUndefined

from weedout_core.lab.report.colours import DARK, DASHES, LIGHT, SERIES, marker, variables
from weedout_core.lab.report.drawing import Drawing, Entry, panel_svgs, whole_svg
from weedout_core.lab.report.section import Section


class Report(NamedTuple):
    """A report: the page, and the content of the files that it links to, by name."""

    page: bytes
    beside: Mapping[str, bytes]


class Subtitle(NamedTuple):
    """What stands below a title: a sentence to be noticed, "" where there is none, and what follows it."""

    noticed: str
    said: str


class Links(NamedTuple):
    """What stands before the names of files that a page links to: "", or a path that ends in "/".

    Attributes:
        beside: before those of the report.
        there: before those of the run.
    """

    beside: str
    there: str


def made_of(title: str, subtitle: Subtitle, sections: Sequence[Section], mark: str, links: Links) -> Report:
    """A page of sections, with the figures and the numbers of all of them as files.

    Args:
        title, subtitle: what stands at its head.
        sections: in order.
        mark: stands in the page and tells of what it is the report, such as the digest of a run.
        links: to where the files are.
    """
    beside = {name: content for section in sections for name, content in section.files.items()}
    beside |= {f"{drawing.name}.svg": whole_svg(drawing) for section in sections for drawing in section.drawings}
    templates = files("weedout_core.lab.report") / "templates"
    text = {name: (templates / name).read_text(encoding="utf-8") for name in ("page.html", "style.css")}
    environment = Environment(
        loader=DictLoader(text), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("page.html").render(
        title=title,
        subtitle=subtitle,
        mark=mark,
        sections=sections,
        panels=_panels,
        swatch=_swatch,
        links=links,
        light=variables(LIGHT),
        dark=variables(DARK),
    )
    return Report(page.encode(errors="backslashreplace"), beside)  # of a path that is no UTF-8


def _panels(drawing: Drawing) -> list[dict[str, Any]]:
    """The panels of a figure for the template, in which their SVG stands as it is: all text in it was escaped."""
    svgs = panel_svgs(drawing)
    return [
        {"title": panel.title, "alt": panel.alt, "svg": svg} for panel, svg in zip(drawing.panels, svgs, strict=True)
    ]


_SHAPES = {
    "o": '<circle cx="19" cy="6" r="3.6"/>',
    "s": '<path d="M15.6 2.6h6.8v6.8h-6.8z"/>',
    "D": '<path d="M19 1.6 23.4 6 19 10.4 14.6 6z"/>',
    "^": '<path d="M19 1.8 23.2 9.8h-8.4z"/>',
    "v": '<path d="M19 10.2 23.2 2.2h-8.4z"/>',
    "X": '<path d="M15.5 2.5 22.5 9.5M22.5 2.5 15.5 9.5" stroke-width="3"/>',
    "P": '<path d="M19 1.5v9M14.5 6h9" stroke-width="3"/>',
}


def _swatch(entry: Entry) -> str:
    """The line and the marker of an entry of a legend, as an SVG of numbers alone."""
    colour = "var(--ink)" if entry.colour is None else f"var(--series-{entry.colour % SERIES})"
    drawn = ""
    if entry.line is not None:
        dash = DASHES[entry.line % len(DASHES)]
        drawn += f'<path d="M1 6h36" stroke-width="2" stroke-dasharray="{dash or "none"}"/>'
    if entry.marker is not None:
        drawn += _SHAPES[marker(entry.marker)]
    paint = f'style="stroke:{colour};fill:{colour}"'
    return f'<svg width="38" height="12" aria-hidden="true" {paint}>{drawn}</svg>'

"""The page of a report, and the files beside it."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

from jinja2 import DictLoader, Environment, StrictUndefined

from weedout_core.lab.report import cost_sections, network_sections, record_sections, result_sections
from weedout_core.lab.report.colours import DARK, DASHES, LIGHT, SERIES, marker, variables
from weedout_core.lab.report.drawing import Drawing, Entry, panel_svgs, whole_svg
from weedout_core.lab.report.section import Section
from weedout_core.lab.report.source import Source

PAGE, BESIDE = "report.html", "report"  # the page, and the folder of the files that it links to


class Report(NamedTuple):
    """A report: the page, and the content of the files beside it by name."""

    page: bytes
    beside: Mapping[str, bytes]


def report(source: Source, there: str) -> Report:
    """The report of a run as far as it is done.

    Args:
        source: the run.
        there: how the page links to the run's folder, "" where it stands in it, else a path that ends in "/".
    """
    sections = sections_of(source)
    beside = {name: content for section in sections for name, content in section.files.items()}
    beside |= {f"{drawing.name}.svg": whole_svg(drawing) for section in sections for drawing in section.drawings}
    return Report(_page(source, sections, there).encode(), beside)


def sections_of(source: Source) -> list[Section]:
    """All sections, in order."""
    return [
        *result_sections.sections(source),
        cost_sections.generations_section(source),
        cost_sections.ledger_section(source),
        network_sections.masks_section(source),
        network_sections.convergence_section(source),
        record_sections.choices_section(source),
        record_sections.record_section(source),
    ]


def _page(source: Source, sections: Sequence[Section], there: str) -> str:
    templates = files("weedout_core.lab.report") / "templates"
    text = {name: (templates / name).read_text(encoding="utf-8") for name in ("page.html", "style.css")}
    environment = Environment(
        loader=DictLoader(text), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    identity = source.record["identity"]
    return environment.get_template("page.html").render(
        title=f"{', '.join(source.scope.methods)} against {source.scope.baseline} on {identity['dataset']}",
        judged=source.scope.judged,
        done=len(source.done),
        planned=len(source.planned),
        sections=sections,
        panels=_panels,
        swatch=_swatch,
        there=there,
        beside=BESIDE,
        light=variables(LIGHT),
        dark=variables(DARK),
    )


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

"""The report of a run: which sections it has, and in which order."""

from weedout_core.lab.report import cost_sections, network_sections, record_sections, result_sections
from weedout_core.lab.report.page import Links, Report, Subtitle, made_of
from weedout_core.lab.report.section import Section
from weedout_core.lab.report.source import Source

PAGE, BESIDE = "report.html", "report"  # the page, and the folder of the files that it links to


def report(source: Source, there: str) -> Report:
    """The report of a run as far as it is done.

    Args:
        source: the run.
        there: how the page links to the run's folder, "" where it stands in it, else a path that ends in "/".
    """
    title = (
        f"{', '.join(source.scope.methods)} against {source.scope.baseline} on {source.record['identity']['dataset']}"
    )
    return made_of(title, _state(source), sections_of(source), source.record["digest"], Links(f"{BESIDE}/", there))


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


def _state(source: Source) -> Subtitle:
    done, planned = len(source.done), len(source.planned)
    if done == planned:
        return Subtitle("", f"All {planned} groups of this run are done.")
    if source.finished:
        return Subtitle("", f"{done} of {planned} groups are done. No more are needed: every comparison is decided.")
    return Subtitle(
        "This run is not finished.",
        f"{done} of {planned} groups are done; this page shows them. Make it again when more are.",
    )

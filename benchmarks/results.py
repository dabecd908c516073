"""``RESULTS.md``: a section for each group; a run replaces the sections it measured and leaves the others."""

import os
from collections.abc import Sequence
from pathlib import Path

from benchmarks.section import Section

_INTRODUCTION = """\
# What it costs, against peers

Written by `python -m benchmarks`; nothing is typed by hand. In a section all candidates run in one process, each once
a round, every other round backwards; times are medians over the rounds, ratios medians of the rounds' own ratios, and
beside a ratio that was asked for stand the least and the most of these. The first call stands apart, with whatever is
compiled at it; so does connecting to our backends, in which torch compiles too. Sections may be from different runs:
each names its machine.
"""


def write(folder: Path, section: Section, order: Sequence[str]) -> Path:
    """Put a section into the folder's results, with its figures.

    Args:
        order: the titles of all sections, as they follow each other; those not named come last.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in section.figures.items():
        _replace(folder / name, content)
    path = folder / "RESULTS.md"
    sections = _sections(path.read_text(encoding="utf-8")) if path.exists() else {}
    sections[section.title] = section.text.strip()
    titles = [title for title in order if title in sections] + [title for title in sections if title not in order]
    text = "\n".join([_INTRODUCTION, *(f"## {title}\n\n{sections[title]}\n" for title in titles)])
    _replace(path, text.encode())
    return path


def _sections(text: str) -> dict[str, str]:
    parts = f"\n{text}".split("\n## ")[1:]
    return {title: rest.strip() for title, _, rest in (part.partition("\n") for part in parts)}


def _replace(path: Path, content: bytes) -> None:
    """Whole or not at all, if the run is stopped."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(content)
    os.replace(partial, path)

"""Colours that can be read, in light and in dark, and that replace every stand-in."""

import re

import pytest

from weedout_core.lab.report.colours import DARK, LIGHT, SERIES, as_variables, line, marker, on_white, series, stand_in

TEXT, GRAPHICS = 4.5, 3.0  # WCAG 2.2, success criteria 1.4.3 and 1.4.11


def luminance(colour: str) -> float:
    """The relative luminance of a colour such as "#1b1f24", as WCAG 2.2 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_computed() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_lines_stand_out(colours: dict[str, str]) -> None:
    for background in ("page", "panel"):
        for role in ("ink", "muted", "link"):
            assert contrast(colours[role], colours[background]) >= TEXT, f"{role} on {background}"
    for place in range(SERIES):
        assert contrast(colours[f"series-{place}"], colours["page"]) >= GRAPHICS, place


def test_both_have_the_same_roles() -> None:
    assert list(LIGHT) == list(DARK)
    assert len({*LIGHT.values()} - {LIGHT["ink"]}) == len(LIGHT) - 2, "one series is in the colour of the ink"


def test_every_stand_in_is_replaced() -> None:
    drawn = " ".join(map(stand_in, LIGHT))
    assert as_variables(drawn) == " ".join(f"var(--{role})" for role in LIGHT)
    assert on_white(drawn) == " ".join(LIGHT.values())
    assert not re.search("a0b1", as_variables(drawn))


def test_two_series_never_look_the_same_without_their_colours() -> None:
    looks = [(str(line(place)), marker(place)) for place in range(SERIES)]
    assert len(set(looks)) == SERIES
    looks = [(series(place), str(line(place)), marker(place)) for place in range(4 * SERIES)]
    assert len(set(looks)) == 4 * SERIES

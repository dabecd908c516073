"""Figures: what is drawn where, and how many nodes are drawn."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from weedout_core.lab.report.charts import Curve, DotRow, bands, dots
from weedout_core.lab.report.drawing import Drawing, Entry, Panel, panel_svgs, whole_svg
from weedout_core.lab.report.kept import Shown
from weedout_core.lab.report.mask_figures import maps_figure, nodes_figure

PLACES = {"mine": 0, "base": 1}


def shown(*shapes: tuple[int, ...]) -> list[Shown]:
    masks = {f"site_{place}": np.arange(np.prod(shape)).reshape(shape) % 2 == 0 for place, shape in enumerate(shapes)}
    return [Shown(0.5, arm, 0, masks) for arm in PLACES]


def offsets(collection: Any) -> np.ndarray:
    """Where the points of a collection are."""
    return np.asarray(collection.get_offsets())


def test_few_nodes_are_a_graph_with_lines_between_those_that_are_kept() -> None:
    figure = nodes_figure(shown((4,), (6,)), PLACES)
    assert figure is not None
    axes = Figure().subplots()
    figure.panels[0].draw(axes)
    everything, kept = map(offsets, axes.collections)
    assert (len(everything), len(kept)) == (10, 5)
    (lines,) = list[Any](axes.patches)
    assert len(lines.get_path().vertices) == 2 * 2 * 3, "from each of two to each of three"
    assert [text.get_text() for text in axes.texts] == ["site_0", "site_1"]
    assert figure.panels[0].alt == "mine keeps 2 of 4 nodes at site_0, 3 of 6 nodes at site_1."


def test_more_nodes_are_squares() -> None:
    figure = nodes_figure(shown((100,)), PLACES)
    assert figure is not None
    axes = Figure().subplots()
    figure.panels[0].draw(axes)
    assert [len(patch.get_path().vertices) for patch in list[Any](axes.patches)] == [5 * 50, 5 * 50]


def test_too_many_nodes_are_not_drawn_one_by_one() -> None:
    assert nodes_figure(shown((40, 40)), PLACES) is None
    assert nodes_figure([], PLACES) is None


def test_images_have_a_map_of_the_fraction_kept() -> None:
    assert maps_figure(shown((20,))) is None
    assert maps_figure([]) is None
    figure = maps_figure(shown((4, 4, 3), (1, 1, 8)))
    assert figure is not None
    assert [panel.title for panel in figure.panels] == ["mine, site_0, sparsity 50 %", "base, site_0, sparsity 50 %"]
    axes = Figure().subplots()
    figure.panels[0].draw(axes)
    drawn = axes.images[0].get_array()
    assert drawn is not None
    np.testing.assert_allclose(drawn, shown((4, 4, 3))[0].masks["site_0"].mean(axis=-1))


def curve(values: Sequence[float]) -> Curve:
    nothing = [float("nan")] * len(values)
    return Curve(range(1, len(values) + 1), values, nothing, nothing, 0, 0)


def test_the_first_of_many_values_does_not_set_the_range_of_curves_that_rise() -> None:
    for values, rising, lowest in (([0, 8, 9, 10], True, 8), ([0, 8, 9, 10], False, 0), ([0, 8, 9], True, 0)):
        axes = Figure().subplots()
        bands(axes, [curve(values)], "epoch", "accuracy", rising)
        low, high = axes.get_ylim()
        assert lowest - 1 < low < lowest
        assert high > max(values)


def test_values_that_are_level_but_for_rounding_are_drawn_level() -> None:
    axes = Figure().subplots()
    bands(axes, [curve([1.0, 1.0 + 1e-12])], "generation", "fitness")
    low, high = axes.get_ylim()
    assert high - low > 1e-4


def test_all_that_is_drawn_of_a_row_is_its_own() -> None:
    axes = Figure().subplots()
    dots(axes, [DotRow("a − b", [1.0, 3.0], 2.0, 0.0, 4.0, 0, False)], 0.5, "points")
    assert offsets(axes.collections[0])[:, 0].tolist() == [1.0, 3.0]
    drawn = [np.asarray(line.get_xdata()).tolist() for line in axes.lines]
    assert drawn[1:] == [[0.0, 4.0], [2.0]]


def test_long_names_are_drawn_without_a_warning_and_underscores_stay() -> None:
    label = "_a_name_of_my_own_that_is_long." * 4
    rows = [DotRow(label, [1.0], 1.0, 0.5, 1.5, 0, True)]
    drawing = Drawing("d", "title", "caption", [Panel(label, "alt", lambda axes: dots(axes, rows, None, "x"))])
    drawing = drawing._replace(legend=[Entry(label, 0, 0, 0)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (element,) = panel_svgs(drawing)
        assert label in element
        assert whole_svg(drawing).decode().count(label) == 3, "its row, its title and its entry in the legend"


def test_numbers_in_a_text_keep_their_decimals() -> None:
    rows = [DotRow("sparsity 0.123456", [1.0], 1.0, 0.5, 1.5, 0, True)]
    drawing = Drawing("d", "title", "caption", [Panel("p", "alt", lambda axes: dots(axes, rows, None, "x"))])
    assert "sparsity 0.123456" in panel_svgs(drawing)[0]

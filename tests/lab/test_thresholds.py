"""What is counted near the threshold of scores: which cells have rows, and which of them a number."""

import numpy as np
import pytest

import weedout_core as wc
from tests.lab.arms.tasks import NET, choosing
from weedout_core.lab.arms.named import RANDOM
from weedout_core.lab.arms.paper import WEEDOUT, control
from weedout_core.lab.arms.sanity import sanity
from weedout_core.lab.arms.scored import METHODS, scored
from weedout_core.lab.experiment.arms import Arm, Cell, Start
from weedout_core.lab.experiment.choosing import choose_all
from weedout_core.lab.experiment.so_far import NOTHING
from weedout_core.lab.experiment.thresholds import ThresholdRow, threshold_rows

PLAN = wc.mask_plan(wc.mask_space(NET), 0.5)


def rows(*arms: Arm) -> list[ThresholdRow]:
    found = choose_all(choosing(), arms, NOTHING).chosen
    cells = [Cell(arm.name, 0, wc.key(0), one) for arm, one in zip(arms, found, strict=True) if isinstance(one, Start)]
    return threshold_rows(0.5, cells, arms, PLAN)


def test_networks_whose_masks_are_of_scores_have_a_row_for_each_site() -> None:
    snip, random = METHODS["snip"], control(RANDOM, "independent")
    found = rows(WEEDOUT, random, snip, *sanity(snip, RANDOM))
    cells = [("snip", "hidden_0"), ("snip", "hidden_1"), ("snip.inverted", "hidden_0"), ("snip.inverted", "hidden_1"),
             ("snip.corrupted", "hidden_0"), ("snip.corrupted", "hidden_1")]  # fmt: skip
    assert [(row.arm, row.site) for row in found] == cells
    for row in found:
        assert (row.nodes, row.kept) == {"hidden_0": (8, 4), "hidden_1": (6, 3)}[row.site]
        assert row.near_threshold is not None
    assert rows(WEEDOUT, random) == []


def test_it_is_those_within_what_backends_may_differ_by_at_each_site() -> None:
    """The bound is a fraction of the largest score of a site: 1e5 makes a gap of 1 close, and 1 does not."""
    close = {"hidden_0": np.array([1e5, 9, 8, 7, 6, 5, 4, 3]), "hidden_1": np.arange(6.0)}
    assert [row.near_threshold for row in rows(scored("rated", lambda task: close))] == [2, 0]


@pytest.mark.parametrize(
    ("scores", "drawn"),
    [
        ([1, 1, 1, 1, 1, 1, 1, 1], 8),
        ([np.inf] * 8, 8),
        ([np.inf, np.inf, np.inf, 3, 3, 3, 2, 2], 3),
        ([np.inf, np.inf, np.inf, np.inf, -np.inf, -np.inf, -np.inf, -np.inf], 0),
        ([0.0, -0.0, 0.0, -0.0, 0.0, -0.0, 1, 2], 6),
        ([4, 4, 4, 4, 3, 3, 3, 3], 0),
        ([8, 7, 6, 5, 4, 3, 2, 1], 0),
    ],
)
def test_nodes_of_one_score_on_both_sides_of_the_threshold_are_drawn(scores: list[float], drawn: int) -> None:
    given = {"hidden_0": np.array(scores, np.float64), "hidden_1": np.arange(6.0)}
    assert [row.drawn for row in rows(scored("rated", lambda task: given))] == [drawn, 0]


def test_where_a_network_was_trained_before_nodes_were_rated_there_is_no_number() -> None:
    """Nor is there one for an arm that reads such scores, such as a sanity check."""
    method = METHODS["magnitude_after_training"]
    found = rows(WEEDOUT, control(RANDOM, "independent"), method, *sanity(method, RANDOM))
    assert {row.arm for row in found} >= {method.name, f"{method.name}.inverted"}
    assert {row.near_threshold for row in found} == {None}

"""What a report may call too close: without Hypothesis, and as close as the fitness functions there are."""

import subprocess
import sys

import numpy as np

from weedout_core._algorithm.agreement import FITNESS_AGREEMENT, SCORE_AGREEMENT, score_agreement, too_close
from weedout_core._algorithm.fitness import FITNESS


def test_every_fitness_function_has_its_agreement() -> None:
    assert set(FITNESS_AGREEMENT) == set(FITNESS)
    assert too_close("negative_cross_entropy") == 2e-6
    assert too_close("accuracy") == 0, "a count, whose ties are decided"


def test_scores_agree_by_a_fraction_of_the_largest() -> None:
    assert score_agreement(np.array([[0.5, -4.0], [np.inf, -np.inf]])) == 4 * SCORE_AGREEMENT
    assert score_agreement(np.array([np.inf])) == 0


def test_the_lab_takes_it_without_hypothesis() -> None:
    modules = "weedout_core._algorithm.agreement, weedout_core.lab.report.tables"
    script = f"import sys; sys.modules['hypothesis'] = None; import {modules}"
    subprocess.run([sys.executable, "-c", script], check=True)

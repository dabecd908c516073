"""What a report may call too close: without Hypothesis, and as close as the fitness functions there are."""

import subprocess
import sys

from weedout_core._algorithm.agreement import FITNESS_AGREEMENT, too_close
from weedout_core._algorithm.fitness import FITNESS


def test_every_fitness_function_has_its_agreement() -> None:
    assert set(FITNESS_AGREEMENT) == set(FITNESS)
    assert too_close("negative_cross_entropy") == 2e-6
    assert too_close("accuracy") == 0, "a count, whose ties are decided"


def test_the_lab_takes_it_without_hypothesis() -> None:
    modules = "weedout_core._algorithm.agreement, weedout_core.lab.report.tables"
    script = f"import sys; sys.modules['hypothesis'] = None; import {modules}"
    subprocess.run([sys.executable, "-c", script], check=True)

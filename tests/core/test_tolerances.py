"""What a report may call too close: without Hypothesis, and as close as the fitness functions there are."""

import subprocess
import sys

from weedout_core._fitness import FITNESS
from weedout_core._tolerances import FITNESS_AGREEMENT, too_close


def test_every_fitness_function_has_its_agreement() -> None:
    assert set(FITNESS_AGREEMENT) == set(FITNESS)
    assert too_close("negative_cross_entropy") == 2e-6
    assert too_close("accuracy") == 0, "a count, whose ties are decided"


def test_the_lab_takes_it_without_hypothesis() -> None:
    script = "import sys; sys.modules['hypothesis'] = None; import weedout_core._tolerances, weedout_core.lab.report"
    subprocess.run([sys.executable, "-c", script], check=True)

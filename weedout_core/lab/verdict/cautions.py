"""What a plan of a judgement cannot promise: said before any result is seen, and beside the results."""

from weedout_core.lab.verdict.looks import LOOKS
from weedout_core.lab.verdict.verdicts import percent


def cautions(first_look: int, margin: float, test_examples: int) -> list[str]:
    """A sentence for each weakness of a plan; none where it has none.

    Args:
        first_look: the number of pairs at the first look at the results.
        margin: the smallest difference of accuracy that matters, as a fraction of 1.
        test_examples: in the test split.
    """
    said: list[str] = []
    if first_look < LOOKS[0]:
        said.append(
            f"the first look is after {first_look} repeats: with fewer than {LOOKS[0]} pairs a sentence leans on "
            "differences being normal, which so few pairs cannot show."
        )
    if 1 / test_examples > margin / 2:
        said.append(
            f"the margin is {percent(margin)} points, and one of the {test_examples:,} test examples is worth "
            f"{100 / test_examples:.2g}: whether a difference is above the margin hangs on few examples."
        )
    return said

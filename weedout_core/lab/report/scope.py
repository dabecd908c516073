"""What a report compares: which arms of a run are methods, which is the baseline, which are sanity checks."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.rows import VerdictRow
from weedout_core.lab.report.colours import SERIES


class Versus(NamedTuple):
    """Two arms that are compared. ``check`` says whether the second is a sanity check of the first."""

    first: str
    second: str
    check: bool


class Scope(NamedTuple):
    """The arms of a run, and what each is there for.

    Attributes:
        config: the configuration of the experiment.
        arms: all arms, in the order of the run.
        methods: those that are compared with the baseline.
        baseline: the arm that they are compared with.
        looks: the planned numbers of repeats.
        margin: the smallest difference that matters, as a fraction of 1; None where no verdict is planned.
        look: the number of repeats at the last look; None if there was none.
        family: the number of comparisons whose sentences are to be right together; None means those of the run.
    """

    config: ExperimentConfig
    arms: tuple[str, ...]
    methods: tuple[str, ...]
    baseline: str
    looks: tuple[int, ...]
    margin: float | None
    look: int | None
    family: int | None = None

    @property
    def judged(self) -> bool:
        """Whether the run was planned with verdicts."""
        return self.margin is not None

    @property
    def main(self) -> tuple[str, ...]:
        """The arms that are no sanity checks."""
        checks = {check for method in self.methods for check in self.checks(method)}
        return tuple(arm for arm in self.arms if arm not in checks)

    @property
    def others(self) -> tuple[str, ...]:
        """The arms that are neither sanity checks nor the baseline."""
        return tuple(arm for arm in self.main if arm != self.baseline)

    @property
    def comparisons(self) -> tuple[Versus, ...]:
        """Each method against the baseline, followed by its sanity checks."""
        return tuple(
            one
            for method in self.methods
            for one in (
                Versus(method, self.baseline, False),
                *(Versus(method, check, True) for check in self.checks(method)),
            )
        )

    def checks(self, method: str) -> tuple[str, ...]:
        """The sanity checks of a method."""
        return tuple(arm for arm in self.arms if arm.startswith(f"{method}.") and arm not in self.methods)

    def place(self, arm: str) -> int:
        """The place of an arm: its colour, line and marker. A check has another colour than method and baseline."""
        if arm in self.main:
            return self.main.index(arm)
        method = next(method for method in self.methods if arm in self.checks(method))
        taken = {self.place(one) % SERIES for one in (method, self.baseline)}
        free = [place for place in range(SERIES) if place not in taken]
        rounds, place = divmod(self.checks(method).index(arm), len(free))
        return free[place] + SERIES * (1 + rounds)


def scope_of(config: ExperimentConfig, identity: Mapping[str, Any], verdicts: Sequence[VerdictRow]) -> Scope:
    """The scope of a run.

    Args:
        config: of the experiment.
        identity: of the run, as its record has it: its arms, looks and rules. Without rules, as in the paper's
            experiment, all arms are compared with the last one.
        verdicts: the rows of verdict.csv.
    """
    arms, rules = tuple(arm["name"] for arm in identity["arms"]), identity["rules"]
    return Scope(
        config,
        arms,
        tuple(rules.get("methods", arms[:-1])),
        rules.get("baseline", arms[-1]),
        tuple(identity["looks"]),
        rules.get("margin"),
        max((row.look for row in verdicts), default=None),
        rules.get("family"),
    )

"""Which generations of a search were scored while its winner trained, and at which sparsity."""

from collections.abc import Sequence

from weedout_core._algorithm.gradual import gradual
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.report.section import Table
from weedout_core.lab.report.texts import count
from weedout_core.lab.verdict.verdicts import percent


def said_of_training(config: ExperimentConfig) -> str:
    """Which generations were scored in training; "" where none were. A search may have ended early, so from the end."""
    scored = config.train.generations
    if not scored:
        return ""
    every = config.train.search_epochs
    return (
        f"The last {count(scored, 'generation')} of each search {'was' if scored == 1 else 'were'} scored while its "
        f"winner trained, with the weights as they were by then: one after every {count(every, 'epoch')}. Those before "
        "are of untrained networks."
    )


def rising_table(config: ExperimentConfig, sparsities: Sequence[float]) -> list[Table]:
    """At which sparsity each of these generations was scored, a row for each; nothing where it did not rise."""
    if config.initial_sparsity is None:
        return []
    steps, initial = config.train.generations, config.initial_sparsity
    return [
        Table(
            "The sparsity of what was scored: before training, and after so many epochs of it.",
            ("after epochs", *(f"up to {percent(final)} %" for final in sparsities)),
            [
                (
                    str(step * config.train.search_epochs) if step else "before training",
                    *(f"{100 * gradual({}, initial, final, step, steps):.4g}" for final in sparsities),
                )
                for step in range(steps + 1)
            ],
        )
    ]

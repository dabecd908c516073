"""The figure of the searches: fitness by generation."""

from collections.abc import Sequence

from weedout_core.lab.report.charts import Curve, bands
from weedout_core.lab.report.drawing import Drawing, Entry, Panel
from weedout_core.lab.report.generations import GenerationMean
from weedout_core.lab.report.texts import number, where

_VALUES = ("best", "mean", "worst")


def generations_figure(fitness: str, trained: str, fresh: bool, means: Sequence[GenerationMean]) -> Drawing:
    """Best, mean and worst fitness of each generation, a panel for each sparsity.

    Args:
        fitness: what fitness is in this run.
        trained: of which networks: "untrained" ones, or such as "briefly trained (5 steps)" ones.
        fresh: whether each generation is scored on a batch of its own.
        means: the generations.
    """
    batch = " Each generation is scored on a fresh batch, so that the best fitness may also fall." if fresh else ""
    return Drawing(
        "generations",
        "Fitness by generation",
        f"Fitness is the {fitness} of {trained} networks. Means over the searches of a sparsity.{batch}",
        [
            _panel(fitness, sparsity, [mean for mean in means if mean.sparsity == sparsity])
            for sparsity in sorted({mean.sparsity for mean in means})
        ],
        [Entry(name, place, place, place) for place, name in enumerate(_VALUES)],
    )


def _panel(fitness: str, sparsity: float, means: Sequence[GenerationMean]) -> Panel:
    nothing = [float("nan")] * len(means)
    curves = [
        Curve(
            [mean.generation for mean in means],
            [getattr(mean, name) for mean in means],
            nothing,
            nothing,
            place,
            place,
            place,
        )
        for place, name in enumerate(_VALUES)
    ]
    said = "; ".join(
        f"{name} from {number(getattr(means[0], name), 3)} to {number(getattr(means[-1], name), 3)}" for name in _VALUES
    )
    return Panel(
        where(sparsity),
        f"Fitness by generation at {where(sparsity)}, from the first to the last: {said}.",
        lambda axes: bands(axes, curves, "generation", fitness),
    )

"""How a sparsity, or what fitness is, is written, wherever one is shown."""

from weedout_core import SearchConfig, TrainConfig
from weedout_core._configs.planning import recorded


def named(sparsity: float) -> str:
    """The shortest text that reads back as exactly this sparsity, so that no two share a text: 0, 0.8, 1e-09."""
    return repr(float(sparsity)).removesuffix(".0")


def fitness_named(search: SearchConfig) -> str:
    """What fitness is: "negative cross entropy", or "package.module:function" for one of the user's."""
    name = str(recorded(search).fitness)
    return name if ":" in name else name.replace("_", " ")


def trained_before(search: SearchConfig, train: TrainConfig) -> str:
    """Of which networks fitness is: "untrained" ones, or such as "briefly trained (5 steps)" ones."""
    steps, epochs = search.training_steps, train.search_epochs
    if epochs:
        return f"partly trained (scored every {f'{epochs} epochs' if epochs > 1 else 'epoch'})"
    return f"briefly trained ({steps} step{'s' * (steps > 1)})" if steps else "untrained"

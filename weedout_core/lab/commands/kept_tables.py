"""How many nodes each site keeps, as tables to print."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table

from weedout_core import Network
from weedout_core.backend import SitePlan, search_plan
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.names import named

_ACROSS = 5  # sparsities that stand side by side in 80 columns
_MOST = 40  # sites with a row each; of deeper networks those of equal numbers share one


def kept_tables(config: ExperimentConfig, net: Network) -> Iterator[Table]:
    """Site, nodes, and the nodes kept at each sparsity; what is to be expected where candidates differ in it."""
    plans = [search_plan(net, sparsity, config.search) for sparsity in config.sparsity]
    title = "Nodes kept" if all(plan.counts for plan in plans) else "Nodes kept (expected)"
    for first in range(0, len(plans), _ACROSS):
        some = slice(first, first + _ACROSS)
        table = Table(title=title, show_edge=False)
        table.add_column("site", overflow="fold")
        for name in ("nodes", *map(named, config.sparsity[some])):
            table.add_column(name, justify="right", no_wrap=True)
        for name, *numbers in _rows([*zip(*(plan.sites for plan in plans[some]), strict=True)]):
            table.add_row(name, *(f"{number:,}" for number in numbers))
        table.add_section()
        table.add_row("all", f"{plans[0].nodes:,}", *(f"{plan.nodes_kept:,}" for plan in plans[some]))
        yield table


def _rows(sites: Sequence[Sequence[SitePlan]]) -> list[tuple[Any, ...]]:
    """(name, nodes, the nodes kept at each sparsity) of each site, or of all sites of equal numbers."""
    rows = [(some[0].site, some[0].nodes, *(one.kept for one in some)) for some in sites]
    if len(rows) <= _MOST:
        return rows
    alike: dict[tuple[int, ...], list[str]] = {}
    for name, *numbers in rows:
        alike.setdefault(tuple(numbers), []).append(name)
    return [(_joined(names), *numbers) for numbers, names in alike.items()]


def _joined(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1:,} like it"

"""How many nodes each site keeps, as tables to print."""

from collections.abc import Iterator

from rich.table import Table

from weedout_core import Network
from weedout_core.backend import search_plan
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.names import named

_ACROSS = 5  # sparsities that stand side by side in 80 columns


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
        for sites in zip(*(plan.sites for plan in plans[some]), strict=True):
            table.add_row(sites[0].site, f"{sites[0].nodes:,}", *(f"{site.kept:,}" for site in sites))
        table.add_section()
        table.add_row("all", f"{plans[0].nodes:,}", *(f"{plan.nodes_kept:,}" for plan in plans[some]))
        yield table

"""``weedout plan``: what an experiment would take, before any of it is run.

Sizes and counts are exact. Hours come from a short measurement on this device, and memory from the compiler, if the
backend's framework can report it.
"""

import math
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from weedout_core import Network, costs, key, load_backend, mask_space
from weedout_core._phases.together import trained_smaller
from weedout_core.backend import Backend, compacted, likely_room, search_plan
from weedout_core.errors import ConfigError
from weedout_core.lab.commands.amounts import Work, experiment_of, work
from weedout_core.lab.commands.hours import Measured, hours, with_workers
from weedout_core.lab.commands.kept_tables import kept_tables
from weedout_core.lab.commands.options import PlanOptions
from weedout_core.lab.commands.probe import Probe, measure
from weedout_core.lab.commands.progress import write_line
from weedout_core.lab.commands.running import model_of
from weedout_core.lab.data.datasets import Dataset, load_dataset
from weedout_core.lab.experiment.configuration import ExperimentConfig, checked_network
from weedout_core.lab.experiment.decided import decide
from weedout_core.lab.experiment.names import named
from weedout_core.lab.experiment.own_functions import with_own
from weedout_core.random import split

_ALIKE = 1.1  # numbers of multiply-adds that differ by less than this factor take about the same time


def run_plan(options: PlanOptions, out: Console, err: Console) -> int:
    """Print the plan. Returns the exit code, 0.

    Raises:
        WeedoutError: the options, the data or the backend are refused, as by ``weedout paper``; or a topology is asked
            for, and the backend compiles no program ahead of time.
    """
    config, probe = with_own(options.config), options.probe
    dataset = load_dataset(config.dataset, probe.data_dir, config.train_examples, config.test_examples)
    backend = load_backend(config.backend, config.device, config.devices, config.threads)
    if probe.topology is not None and backend.compiled_memory is None:
        raise ConfigError(f"topology has no effect on {backend.name}, which compiles nothing ahead. Leave it out.")
    experiment = experiment_of(config)
    net = checked_network(config, dataset, backend, model_of(config, backend, err), experiment.at_once)
    decided = decide(config, net, backend, len(dataset.train.y) + len(dataset.test.y), experiment.networks)
    amount = work(config, dataset, decided.together)
    write_line(out, f"{config.network} on {config.dataset}: {_sizes(net)}")
    for table in kept_tables(config, net):
        out.print(table)
    out.print(_sparsities(config, net))
    for line in _amounts(amount, dataset, config, decided.chunk):
        write_line(out, line)
    for line in _memory(backend, net, config, amount, len(dataset.train.y), probe.topology):
        write_line(out, line)
    measured: list[Measured] = []
    for sparsities in alike(config, net):
        write_line(err, f"measuring {backend.name} on {backend.device} at sparsity {named(sparsities[0])} …")
        measured.append(Measured(sparsities, _measure(backend, net, config, amount, sparsities[0])))
    for line in hours(amount, measured, backend):
        write_line(out, line)
    if probe.workers is not None:
        groups = len(experiment.groups) // len(config.sparsity)
        for line in with_workers(amount, measured, backend, groups, probe.workers, probe.price):
            write_line(out, line)
    return 0


def alike(config: ExperimentConfig, net: Network) -> list[list[float]]:
    """Group the sparsities at which about as much is computed. The first of a list is measured for the whole list."""
    found, macs = list[list[float]](), list[int]()
    # In descending order, so that sparsity 0, which draws and applies no mask, is not measured for others.
    for sparsity in reversed(config.sparsity):
        needed = costs(_compacted(config, net, sparsity)).macs
        if macs and needed <= _ALIKE * macs[-1]:
            found[-1].append(sparsity)
        else:
            found.append([sparsity])
            macs.append(needed)
    return found


def _compacted(config: ExperimentConfig, net: Network, sparsity: float) -> Network:
    """The network that a search at a sparsity computes."""
    return compacted(net, likely_room(net, search_plan(net, sparsity, config.search))).net


def _sizes(net: Network) -> str:
    cost, nodes = costs(net), sum(map(math.prod, mask_space(net).values()))
    return (
        f"{cost.parameters / 1e6:.2f} million parameters, {cost.macs / 1e6:,.1f} million multiply-adds an example "
        f"(forward), {nodes:,} nodes at {len(mask_space(net))} sites"
    )


def _sparsities(config: ExperimentConfig, net: Network) -> Table:
    """What a mask of each sparsity leaves active. One mask is drawn: masks of the same sparsity differ little."""
    numpy = load_backend("numpy")
    table = Table(title="What stays active under a mask, and the multiply-adds that are computed", show_edge=False)
    computed = "computed in the search", "computed in training"
    for name in ("sparsity", "active parameters", "active multiply-adds", *computed):
        table.add_column(name, justify="right", max_width=8 if name in computed else None)  # all of it in 80 columns
    for sparsity in config.sparsity:
        plan = search_plan(net, sparsity, config.search)
        masks = numpy.masks_from_keys(split(key(config.seed), 1), plan)
        cost = costs(net, {site: numpy.to_numpy(mask)[0] for site, mask in masks.items()})
        trained = _compacted(config, net, sparsity) if trained_smaller(net, config.train) and plan.counts else net
        sizes = _compacted(config, net, config.searched_at(sparsity)), trained
        table.add_row(
            named(sparsity),
            _part(cost.active_parameters, cost.parameters),
            _part(cost.active_macs, cost.macs),
            *(_share(costs(one).macs, cost.macs) for one in sizes),
        )
    return table


def _part(some: int, whole: int) -> str:
    return f"{some:,} ({_share(some, whole)})"


def _share(some: int, whole: int) -> str:
    return f"{100 * some / whole:.0f} %"


def _amounts(amount: Work, dataset: Dataset, config: ExperimentConfig, chunk: int) -> Iterator[str]:
    splits, groups = (len(dataset.train.y), len(dataset.validation.y), len(dataset.test.y)), len(config.sparsity)
    yield "{:,} training, {:,} validation and {:,} test examples".format(*splits)
    scored = "ended by patience alone"
    if amount.evaluations is not None:
        scored = f"at most {groups * amount.evaluations:,} candidates"
    before = f" after {amount.limited:,} steps with {amount.batch_size:,} each" if amount.limited else ""
    yield f"search: {scored}, each on {amount.batch:,} examples{before}, {chunk} masks at once"
    steps = groups * amount.parts * amount.epochs * amount.steps
    yield f"training: {steps:,} steps of {amount.networks} networks with {amount.batch_size:,} examples each"
    yield (
        f"evaluation: each network on {amount.evaluated:,} examples, the test split after each epoch, and it and the "
        "training split at the end"
    )


def _memory(
    backend: Backend, net: Network, config: ExperimentConfig, amount: Work, examples: int, topology: str | None
) -> Iterator[str]:
    if backend.compiled_memory is None:
        yield f"memory: unknown, because {backend.name} has no compiler that reports it"
        return
    # At the lowest sparsity the compacted networks are the largest, also where the search goes on from there.
    least = config.searched_at(min(config.sparsity))
    found = backend.compiled_memory(net, least, config.search, config.train, examples, amount.networks, topology)
    where = topology or backend.device
    for program, size in found.items():
        yield f"memory of {program} at sparsity {named(least)}, a device of {where}: {size / 2**30:.2f} GiB"


def _measure(backend: Backend, net: Network, config: ExperimentConfig, amount: Work, sparsity: float) -> Probe:
    return measure(
        backend, net, sparsity, config.search, config.train, batch=amount.batch, batch_size=amount.batch_size,
        steps=amount.steps, networks=amount.networks, tested=amount.tested, searched_at=config.searched_at(sparsity),
    )  # fmt: skip

"""``weedout plan``: what an experiment would take, before any of it is run.

Sizes and counts are exact; hours come from a short measurement on this device, memory from the compiler where the
backend's framework can tell.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from weedout_core._backend import Backend
from weedout_core._config import SearchConfig
from weedout_core._costs import costs
from weedout_core._loading import load_backend
from weedout_core._networks import Network, mask_space
from weedout_core._random import key
from weedout_core._schedule import train_plan
from weedout_core.lab.data.datasets import Dataset, load_dataset
from weedout_core.lab.experiment import ExperimentConfig, network, resolve_chunk, with_chunk
from weedout_core.lab.options import PlanOptions
from weedout_core.lab.probe import Probe, measure
from weedout_core.lab.progress import write_line


class Work(NamedTuple):
    """What the whole experiment amounts to.

    Attributes:
        evaluations: the most candidates that are scored, over all sparsities and repeats; None where a search has no
            end but patience.
        batch: validation examples a candidate is scored on.
        steps: training steps, each of all networks of a sparsity.
        networks: trained together.
        batch_size: examples a step, of each network.
        evaluated: examples that each network is evaluated on, over all sparsities: the test split after each epoch,
            and at the end the training and the test split.
    """

    evaluations: int | None
    batch: int
    steps: int
    networks: int
    batch_size: int
    evaluated: int


def run_plan(options: PlanOptions, out: Console, err: Console) -> int:
    """Print the plan. Returns 0.

    Raises:
        WeedoutError: the options do not fit together, as for ``weedout paper``.
    """
    config, probe = options.config, options.probe
    dataset = load_dataset(config.dataset, probe.data_dir, config.train_examples, config.test_examples)
    backend = load_backend(config.backend, config.device, config.devices)
    net = network(config, dataset)
    config = with_chunk(config, resolve_chunk(config, net))
    amount = work(config, dataset)
    write_line(out, f"{config.network} on {config.dataset}: {_sizes(net)}")
    out.print(_sparsities(config, net))
    for line in _amounts(amount, dataset, config):
        write_line(out, line)
    for line in _memory(backend, net, config, dataset, probe.topology):
        write_line(out, line)
    write_line(err, f"measuring {backend.name} on {backend.device} …")
    search = config.search_at(max(config.sparsity))
    sizes = amount.batch, amount.batch_size, amount.networks, len(dataset.test.y)
    measured = measure(backend, net, search, config.train, *sizes)
    for line in _hours(amount, measured, backend):
        write_line(out, line)
    return 0


def work(config: ExperimentConfig, dataset: Dataset) -> Work:
    """Count an experiment's evaluations and steps."""
    plan, groups = train_plan(config.train, len(dataset.train.y)), len(config.sparsity)
    tested = len(dataset.test.y)
    batch = len(dataset.validation.y)
    if config.search.batch_policy != "whole":
        batch = min(config.search.batch, batch)
    scored = evaluations(config.search)
    return Work(
        None if scored is None else groups * config.repeats * scored,
        batch,
        groups * config.train.epochs * plan.steps,
        2 * config.repeats,
        plan.batch_size,
        groups * (config.train.epochs * tested + len(dataset.train.y) + tested),
    )


def evaluations(search: SearchConfig) -> int | None:
    """The most candidates that one search scores; None where only patience ends it."""
    ends = [] if search.budget is None else [search.budget]
    if search.generations is not None:
        later = search.population - (1 if search.elite == "cache" else 0)
        rescored = search.generations if search.winner == "rescored" else 0
        ends.append(search.population + (search.generations - 1) * later + rescored)
    return min(ends, default=None)


def _sizes(net: Network) -> str:
    cost, nodes = costs(net), sum(_nodes(net).values())
    return (
        f"{cost.parameters / 1e6:.2f} million parameters, {cost.macs / 1e6:,.1f} million multiply-adds an example "
        f"(forward), {nodes:,} nodes at {len(mask_space(net))} sites"
    )


def _nodes(net: Network) -> dict[str, int]:
    return {site: math.prod(shape) for site, shape in mask_space(net).items()}


def _sparsities(config: ExperimentConfig, net: Network) -> Table:
    """What a mask of each sparsity leaves active. Masks of one sparsity differ little: one is drawn."""
    numpy = load_backend("numpy")
    table = Table(title="What acts under a mask (what is computed stays dense)")
    for name in ("sparsity", "active parameters", "active multiply-adds"):
        table.add_column(name, justify="right")
    for sparsity in config.sparsity:
        masks = numpy.sample_masks(key(config.seed), mask_space(net), sparsity, 1, config.search.sampling)
        cost = costs(net, {site: numpy.to_numpy(mask)[0] for site, mask in masks.items()})
        table.add_row(
            f"{sparsity:g}",
            f"{cost.active_parameters:,} ({100 * cost.active_parameters / cost.parameters:.0f} %)",
            f"{cost.active_macs:,} ({100 * cost.active_macs / cost.macs:.0f} %)",
        )
    return table


def _amounts(amount: Work, dataset: Dataset, config: ExperimentConfig) -> Iterator[str]:
    splits = (len(dataset.train.y), len(dataset.validation.y), len(dataset.test.y))
    yield "{:,} training, {:,} validation and {:,} test examples".format(*splits)
    scored = "no end but patience" if amount.evaluations is None else f"at most {amount.evaluations:,} candidates"
    yield f"search: {scored}, each on {amount.batch:,} examples, {config.search.chunk} masks at once"
    yield f"training: {amount.steps:,} steps of {amount.networks} networks with {amount.batch_size:,} examples each"
    yield (
        f"evaluation: each network on {amount.evaluated // len(config.sparsity):,} examples, the test split after "
        "each epoch, and it and the training split at the end"
    )


def _memory(
    backend: Backend, net: Network, config: ExperimentConfig, dataset: Dataset, topology: str | None
) -> Iterator[str]:
    if backend.compiled_memory is None:
        yield f"memory: {backend.name} has no compiler that could tell"
        return
    search, examples = config.search_at(max(config.sparsity)), len(dataset.train.y)
    found = backend.compiled_memory(net, search, config.train, examples, 2 * config.repeats, topology)
    where = topology or backend.device
    for program, size in found.items():
        yield f"memory of {program}, a device of {where}: {size / 2**30:.2f} GiB"


def _hours(amount: Work, measured: Probe, backend: Backend) -> Iterator[str]:
    yield (
        f"measured on {backend.device}: {_time(measured.candidate)} a candidate, {_time(measured.step)} a step, "
        f"{_time(measured.thousand)} an evaluation on 1,000 examples, {_time(measured.compiling)} compiling"
    )
    training, evaluation = amount.steps * measured.step, amount.evaluated / 1000 * measured.thousand
    search = None if amount.evaluations is None else amount.evaluations * measured.candidate
    known = f"training: {_time(training)}; evaluation: {_time(evaluation)}"
    yield f"search: {'unknown' if search is None else _time(search)}; {known}"
    if search is not None:
        whole = search + training + evaluation
        yield f"together about {_time(whole)} on this machine, if all of it runs at this speed"


def _time(seconds: float) -> str:
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.3g} s"

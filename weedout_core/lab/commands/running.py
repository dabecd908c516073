"""Running groups: what ``weedout paper`` and ``weedout judge`` share, from a checked experiment to committed groups."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from weedout_core import Network, load_backend
from weedout_core.backend import Backend
from weedout_core.lab.code.functions import Function, imported, placed
from weedout_core.lab.commands.options import RunOptions
from weedout_core.lab.commands.progress import warn, warnings_said, write_line
from weedout_core.lab.data.datasets import Dataset, load_dataset
from weedout_core.lab.engines.lockstep import Lead, follow
from weedout_core.lab.engines.on_ray import imported_ray
from weedout_core.lab.experiment.allocation import check_allocation
from weedout_core.lab.experiment.configuration import ExperimentConfig, checked_network
from weedout_core.lab.experiment.experiment import Experiment
from weedout_core.lab.experiment.groups import joined
from weedout_core.lab.experiment.memory import check_workers
from weedout_core.lab.experiment.model import Model, own_model
from weedout_core.lab.experiment.threads import check_threads
from weedout_core.lab.run.opening import open_run
from weedout_core.lab.run.record import Record, new_record
from weedout_core.lab.run.run_folder import RunFolder


class Running(NamedTuple):
    """A run in its folder, which is locked: what it computes with, and where it says how far it is.

    The user's own executor computes it, if there is one. The lead is of the processes that compute along.
    """

    experiment: Experiment
    net: Network
    run: RunOptions
    loaded: "Loaded"
    folder: RunFolder
    err: Console
    executor: Executor | None
    lead: Lead


class Loaded(NamedTuple):
    """The data and the backend of a configuration, and the user's own model if it names one.

    Data that the user's function made, which was handed in, has that function.
    """

    dataset: Dataset
    backend: Backend
    model: Model | None
    own: Function | None


def with_functions(
    config: ExperimentConfig, model: Function | None, dataset: Function | None
) -> tuple[ExperimentConfig, dict[str, Function]]:
    """A configuration that names the functions that were handed in, and these by their places, for :func:`load`."""
    own = {what: one for what, one in (("network", model), ("dataset", dataset)) if one is not None}
    places = {what: placed(one, "model" if what == "network" else what) for what, one in own.items()}
    return replace(config, **places), {places[what]: one for what, one in own.items()}


def load(
    config: ExperimentConfig,
    run: RunOptions,
    err: Console,
    functions: Mapping[str, Function] = {},
    read: Callable[..., Dataset] = load_dataset,
) -> Loaded:
    """Load the data and the backend, and make the model. Raises WeedoutError if one of them cannot be had.

    Args:
        config: the experiment.
        run: where the data lie, and compiled programs.
        err: the console for progress.
        functions: the user's functions by their places, where they were handed in.
        read: gives the data, as ``load_dataset``; several runs of the same data may read it once.
    """
    own = functions.get(config.dataset)
    dataset = read(config.dataset, run.data_dir, config.train_examples, config.test_examples, own)
    cache = None if run.cache is None else run.cache.absolute()
    given = {"cache": cache, "coordinator": run.coordinator, "processes": run.processes, "process": run.process}
    options = {name: value for name, value in given.items() if value is not None}
    backend = load_backend(config.backend, config.device, config.devices, config.threads, **options)
    err.quiet = backend.peers.number > 0  # process 0 prints
    return Loaded(dataset, backend, model_of(config, backend, err, functions.get(config.network)), own)


def model_of(config: ExperimentConfig, backend: Backend, err: Console, own: Function | None = None) -> Model | None:
    """The user's own model that a configuration names; None if it names a network of this library.

    Args:
        config: the experiment.
        backend: what computes.
        err: the console for progress.
        own: its function, where that was handed in.
    """
    if ":" not in config.network:
        return None
    make = imported(config.network, "model") if own is None else own
    write_line(err, f"making the model {config.network} three times, to see that its seed decides the weights alone")
    return own_model(config.network, make, config.seed, backend)


def checked(
    experiment: Experiment, run: RunOptions, loaded: Loaded, arguments: Sequence[str], err: Console
) -> tuple[Network, Record]:
    """Check an experiment, and give its network and the record of its run.

    Raises:
        WeedoutError: the network, the backend or the engine are refused.
    """
    dataset, backend, model, _ = loaded
    net = checked_network(experiment.config, dataset, backend, model, experiment.at_once)
    check_workers(min(run.workers or 1, len(experiment.groups)))
    if run.engine == "ray":
        imported_ray()
    with warnings_said(err):
        check_allocation(experiment.config, net)  # warns if a sparsity would remove the last node of a site
        return net, new_record(experiment, dataset, net, backend, arguments, run.data_dir)


@contextmanager
def opened(
    experiment: Experiment,
    run: RunOptions,
    loaded: Loaded,
    arguments: Sequence[str],
    err: Console,
    executor: Executor | None = None,
) -> Iterator[Running]:
    """Check an experiment, and begin it in its folder or continue it there.

    Raises:
        WeedoutError: the network, the backend or the folder are refused, before anything is written.
        KeyboardInterrupt: the user interrupted; it says what is kept.
        SystemExit: this process has computed along with process 0, which alone goes on from here.
    """
    net, record = checked(experiment, run, loaded, arguments, err)
    backend = loaded.backend
    if backend.peers.number:
        follow(experiment, net, record, loaded.dataset, backend, run.allow_other_versions)
        raise SystemExit(0)
    path = run.out or Path("runs") / f"{experiment.config.dataset.replace(':', '.')}-{record.digest[:12]}"
    with open_run(path, record, run.allow_other_versions) as folder:
        if run.workers is None and run.engine != "ray" and executor is None:
            check_threads(folder.record.threads, backend)
        write_line(err, f"{path}: {len(folder.committed)} of {len(folder.groups)} groups done")
        if run.save_parameters and (sentence := _without_parameters(folder)):
            warn(err, sentence)
        try:
            with Lead(backend.peers, folder.record) as lead:
                yield Running(experiment, net, run, loaded, folder, err, executor, lead)
        except KeyboardInterrupt as error:
            folder.check_place()
            error.args = (f"{kept_groups(folder)}, and the same command continues.",)
            raise


def kept_groups(folder: RunFolder) -> str:
    """How many groups of a run are done, as a clause."""
    return f"{len(folder.committed)} of {len(folder.groups)} groups are done; all progress is kept in {folder.path}"


def how_to_report(folder: Path) -> str:
    """A line on how a page of a run is made."""
    return f"A page with all figures and numbers: weedout report {shlex.quote(str(folder))}"


def _without_parameters(folder: RunFolder) -> str | None:
    """A sentence on the groups that are done and whose weights were not kept; None if there are none."""
    missing = folder.without_parameters
    if not missing:
        return None
    return (
        f"{joined(missing)}: computed without "
        "--save-parameters, so that the weights were not kept. To get them, give another --out, where everything is "
        "computed again."
    )

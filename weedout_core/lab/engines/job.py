"""What is sent to workers, and what a worker makes of it: a group's rows and arrays, or a sentence on why not."""

import math
import platform
import warnings
from functools import partial
from pathlib import Path
from typing import NamedTuple

from weedout_core import load_backend
from weedout_core._guard.failures import told
from weedout_core.backend import Backend
from weedout_core.errors import RunError, WeedoutWarning
from weedout_core.lab.arms.own import same_sources
from weedout_core.lab.code.functions import Function
from weedout_core.lab.data.datasets import Dataset, load_dataset
from weedout_core.lab.engines.telling import tell
from weedout_core.lab.engines.unit import Computed, compute_group
from weedout_core.lab.experiment.configuration import network
from weedout_core.lab.experiment.experiment import Experiment
from weedout_core.lab.experiment.groups import Group
from weedout_core.lab.experiment.model import own_model
from weedout_core.lab.experiment.own_functions import same_own
from weedout_core.lab.experiment.threads import check_threads
from weedout_core.lab.run.checkpoints import Checkpoints, Pace
from weedout_core.lab.run.record import Record, environment, other_versions
from weedout_core.lab.run.run_folder import LOCK


class Job(NamedTuple):
    """A run, as every worker is told of it. All of it can be pickled.

    Attributes:
        experiment: the experiment, without a model of the user's own.
        model, dataset: the user's functions that make these, where the configuration names some.
        record: of the run, with what was decided when it began.
        folder: of the run. A worker that sees it writes checkpoints there, and nothing else.
        mark: what the lock of that folder looks like, by which a worker knows it.
        checkpoints: the folder of the checkpoints of all groups.
        pace: how often one is written.
        told: the folder in which workers that see it tell how far they are.
        data_dir: where data lie, if it was given.
        cache: a folder for compiled programs, for backends that keep some.
        save_parameters: whether trained weights are wanted.
        allow_other_versions: whether a worker may compute under other versions of libraries.
    """

    experiment: Experiment
    model: Function | None
    dataset: Function | None
    record: Record
    folder: Path
    mark: tuple[int, int]
    checkpoints: Path
    pace: Pace
    told: Path
    data_dir: Path | None
    cache: Path | None
    save_parameters: bool
    allow_other_versions: bool


class Done(NamedTuple):
    """A group that a worker has computed, under what environment, and what is to be said about its checkpoints."""

    computed: Computed
    environment: dict[str, str]
    said: tuple[str, ...]


class Failed(NamedTuple):
    """A group that a worker could not compute: on which host, and why, in a sentence."""

    host: str
    why: str


class _Place(NamedTuple):
    """What a worker computes with."""

    experiment: Experiment
    dataset: Dataset
    backend: Backend


#: What this process computes with, by the digest of the run: loaded once, for all groups of it.
_places: dict[str, _Place] = {}


def mark(folder: Path) -> tuple[int, int]:
    """What the lock of a run's folder looks like: no other file has both numbers, on whatever host it is seen."""
    found = (folder / LOCK).stat()
    return found.st_ino, found.st_mtime_ns


def compute(job: Job, dataset: Dataset | None, group: Group) -> Done | Failed:
    """Compute a group in a worker.

    Args:
        job: the run.
        dataset: its data, if the engine brings them; None reads them here.
        group: the group.
    Raises:
        KeyboardInterrupt: the worker is asked to end.
    """
    said: list[str] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", WeedoutWarning)  # the driver has said them
            place = _places.get(job.record.digest) or _load(job, dataset)
            kept, decided = _checkpoints(job, group, place, said), job.record.decided(group)
            on_event = partial(tell, job.told)
            found = compute_group(place.experiment, decided, group, place.dataset, place.backend, kept, on_event)
        if not job.save_parameters:
            found = found._replace(result=found.result._replace(parameters={}))
        return Done(found, environment(place.backend), tuple(said))
    except MemoryError:
        return Failed(platform.node(), "memory ran out.")
    except (Exception, SystemExit) as error:  # of a library, of the system or of the user's own code
        return Failed(platform.node(), told(error))


def _load(job: Job, dataset: Dataset | None) -> _Place:
    """Load what the worker computes with. Raises WeedoutError if it would compute anything else than other workers."""
    config, record = job.experiment.config, job.record
    data = dataset or load_dataset(
        config.dataset, job.data_dir, config.train_examples, config.test_examples, job.dataset
    )
    if data.digest != record.identity["dataset_digest"]:
        raise RunError(f"the data {config.dataset} must be those of the run; here they are others. Copy its files.")
    options = {} if job.cache is None else {"cache": job.cache}
    backend = load_backend(config.backend, config.device, config.devices, record.threads, **options)
    if not job.allow_other_versions and (other := other_versions(record.environment, environment(backend))):
        raise RunError(
            f"a worker must have the versions of the run; it has others: {'; '.join(other)}. Install those, or give "
            "--allow-other-versions; results may then differ in the last bits."
        )
    check_threads(record.threads, backend)
    same_sources(job.experiment.arms)
    same_own(config.search, record.identity)
    model = None if job.model is None else own_model(config.network, job.model, config.seed, backend)
    if model is not None and model.source != record.identity["model"]:
        raise RunError(f"the model {config.network} must be that of the run; here its files are others. Copy them.")
    _places.clear()
    _places[record.digest] = _Place(job.experiment._replace(model=model), data, backend)
    return _places[record.digest]


def _checkpoints(job: Job, group: Group, place: _Place, said: list[str]) -> Checkpoints:
    """The checkpoints of a group; where the run's folder is not seen, a folder with none, in which none is written."""

    def seen() -> bool:
        try:
            return mark(job.folder) == job.mark
        except OSError:
            return False

    def check_place() -> None:
        if not seen():
            raise RunError(f"{job.folder} is not the folder in which this run began, and gets no checkpoint.")

    net = network(place.experiment.config, place.dataset, place.experiment.model)
    path, pace = (job.checkpoints / group.folder, job.pace) if seen() else (Path("/nowhere"), Pace(math.inf, None))
    return Checkpoints(path, job.record.owner(group), net, pace, said.append, check_place)

"""The record of a run, which is the content of ``config.json``.

The *identity* is everything that decides the results: two runs with the same identity are the same run. The command
line, the folders and the library versions are recorded beside it. Versions and the device may change floats in their
last bits, so a run is continued only under the same ones, unless the user allows others.
"""

import json
import platform
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import weedout_core
from weedout_core import SAMPLER_VERSION, Network, choices
from weedout_core.backend import Backend
from weedout_core.errors import RunError
from weedout_core.lab.data.datasets import Dataset
from weedout_core.lab.experiment.decided import Decided, decide
from weedout_core.lab.experiment.experiment import Experiment
from weedout_core.lab.experiment.groups import Group
from weedout_core.lab.experiment.own_functions import recorded_config
from weedout_core.lab.files import read_file, sha256
from weedout_core.lab.run.sealed import DamagedError, sealed, unsealed
from weedout_core.nn import network_to_json


class Record(NamedTuple):
    """The contents of ``config.json``.

    Attributes:
        digest: SHA-256 of the identity, in hexadecimal.
        identity: the configuration, the arms, the dataset's digest and the sizes of its splits, the network and the
            version of the sampler.
        choices: what was chosen where the paper leaves a point open, by row of docs/choices.md.
        chunk: the number of candidates whose masks exist at once, decided when the run began.
        threads: the number of threads that compute a group on a CPU, decided when the run began; None on another
            device.
        groups: for each group its sparsity and its repeats (the first, and the one after the last), and the number of
            networks trained together, decided when the run began.
        environment: the versions of Python and of the libraries that compute, the device, and the kind of CPU.
        other_environments: the environments under which the run was continued, or a worker computed: on another kind of
            CPU, or under other versions with --allow-other-versions.
        command: the command line.
        data_dir: the folder from which the data was read; None if it was not given.
        other_files: the MD5 of each of its files whose content is not the one that is published under its name.
    """

    digest: str
    identity: dict[str, Any]
    choices: list[dict[str, Any]]
    chunk: int
    threads: int | None
    groups: list[dict[str, Any]]
    environment: dict[str, str]
    other_environments: list[dict[str, str]]
    command: str
    data_dir: str | None
    other_files: dict[str, str]

    @property
    def planned(self) -> list[Group]:
        """The groups of the run, in the order in which they are computed."""
        return [Group(one["sparsity"], one["first"], one["end"]) for one in self.groups]

    @property
    def together(self) -> dict[Group, int]:
        """The number of networks that each group trains together."""
        return {group: one["trained_together"] for group, one in zip(self.planned, self.groups, strict=True)}

    def owner(self, group: Group) -> dict[str, Any]:
        """What the files of a group say that they belong to, and how they were computed."""
        return self.owners[group]

    @property
    def owners(self) -> dict[Group, dict[str, Any]]:
        """The same for all groups: a run may have thousands."""
        fixed = {"run": self.digest, "chunk": self.chunk, "threads": self.threads}
        return {
            group: {**fixed, "group": group.folder, "trained_together": together}
            for group, together in self.together.items()
        }

    def decided(self, group: Group) -> Decided:
        """What was decided for a group when the run began."""
        return Decided(self.chunk, self.together[group], self.threads)


def new_record(
    experiment: Experiment,
    dataset: Dataset,
    net: Network,
    backend: Backend,
    arguments: Sequence[str],
    data_dir: Path | None,
) -> Record:
    """The record of a run that is about to begin. Warns as ``resolve_together`` does."""
    config, identity = experiment.config, _identity(experiment, dataset, net)
    said = recorded_config(config)
    decided = decide(config, net, backend, len(dataset.train.y) + len(dataset.test.y), experiment.networks)
    return Record(
        digest=_digest(identity),
        identity=identity,
        choices=[_plain(choice._asdict()) for choice in choices(said, said.search, said.train)],
        chunk=decided.chunk,
        threads=decided.threads,
        groups=[{**group._asdict(), "trained_together": decided.together} for group in experiment.groups],
        environment=environment(backend),
        other_environments=[],
        command=shlex.join(["weedout", *arguments]),
        data_dir=None if data_dir is None else str(data_dir),
        other_files=dict(dataset.other_files),
    )


def _identity(experiment: Experiment, dataset: Dataset, net: Network) -> dict[str, Any]:
    identity = experiment.identity
    identity |= {
        "dataset_digest": dataset.digest,
        "examples": {split: len(getattr(dataset, split).y) for split in ("train", "validation", "test")},
        "network": json.loads(network_to_json(net)),
        "sampler_version": SAMPLER_VERSION,
    }
    return _plain(identity)


def _digest(identity: dict[str, Any]) -> str:
    return sha256(json.dumps(identity, sort_keys=True).encode())


def _plain(value: Any) -> Any:
    """A value after a round trip through JSON."""
    return json.loads(json.dumps(value, allow_nan=False))


def environment(backend: Backend) -> dict[str, str]:
    """The versions of Python and of the libraries that compute, by distribution, the device and the kind of CPU."""
    own = {"python": platform.python_version(), "weedout-core": weedout_core.__version__}
    libraries = {library: version(library) for library in sorted({"numpy", *backend.libraries})}
    return {**own, **libraries, "device": backend.device, "cpu": cpu()}


@cache
def cpu() -> str:
    """The kind of CPU of this machine, as its system names it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def version(distribution: str) -> str:
    """The version of an installed distribution, or "not installed"."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def with_environment(record: Record, environment: dict[str, str]) -> Record:
    """The record, which tells of an environment too."""
    if environment in (record.environment, *record.other_environments):
        return record
    return record._replace(other_environments=[*record.other_environments, environment])


def differences(first: Any, second: Any, path: str = "") -> list[str]:
    """Where two JSON values differ: for each place a text ``path (value there, value here)``."""
    if _are_named(first) and _are_named(second):
        names = [[one["name"] for one in some] for some in (first, second)]
        if different := _only(*names):
            return [f"{path} ({different})"]
        first, second = (
            names if names[0] != names[1] else (dict(zip(names[0], some, strict=True)) for some in (first, second))
        )
    if isinstance(first, dict) and isinstance(second, dict):
        keys = [*first, *(key for key in second if key not in first)]
        return [
            line
            for key in keys
            for line in differences(first.get(key), second.get(key), f"{path}.{key}" if path else str(key))
        ]
    return [] if first == second else [f"{path} ({_short(first)} there, {_short(second)} here)"]


def _only(there: list[str], here: list[str]) -> str:
    """The names that are in one of two lists alone; "" for none."""
    only = [
        ([name for name in there if name not in here], "there"),
        ([name for name in here if name not in there], "here"),
    ]
    return "; ".join(f"only {where}: {', '.join(names)}" for names, where in only if names)


def other_versions(there: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """Where two environments differ, but for the kind of CPU, which is recorded and refused nowhere."""
    return differences({**there, "cpu": ""}, {**here, "cpu": ""})


def _are_named(value: Any) -> bool:
    """Whether a value is a list of dictionaries that have a name, as the arms of a run."""
    return isinstance(value, list) and all(isinstance(one, dict) and "name" in one for one in value)


def _short(value: Any) -> str:
    if isinstance(value, str) and len(value) > 57:
        return json.dumps(f"{value[:54]}...")
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def record_to_json(record: Record) -> bytes:
    """The content of ``config.json``."""
    return sealed(record._asdict())


_REMEDY = "Restore it, or choose another folder."


def read_record(path: Path) -> Record:
    """The record in a file. Raises RunError, naming it, if it cannot be read or is not as it was written."""
    try:
        content = read_file(path)
    except RunError as error:
        raise RunError(f"{error} {_REMEDY}") from error
    return record_from_json(content, path)


def record_from_json(content: bytes, path: Path) -> Record:
    """The record from the content of a file. Raises RunError, naming the file, if it is not as it was written."""
    fields = unsealed(content, path, _REMEDY)
    if set(fields) != set(Record._fields):
        raise DamagedError(f"{path} is damaged: it is another file, and does not describe a run.", _REMEDY)
    return Record(**fields)

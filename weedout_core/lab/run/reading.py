"""A run as far as it is done, read from its folder: without its lock, and without writing anything there.

Groups are written whole and never changed, so that what is read is consistent while another process goes on.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from weedout_core import SearchConfig, TrainConfig, choices
from weedout_core.errors import ConfigError, RunError, WeedoutWarning
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.groups import Group
from weedout_core.lab.experiment.ledger import LedgerRow
from weedout_core.lab.experiment.rows import (
    CurveRow,
    LeftOutRow,
    ResultRow,
    SearchRow,
    TimingRow,
    VerdictRow,
    from_csv,
    to_csv,
)
from weedout_core.lab.experiment.run_so_far import RunSoFar
from weedout_core.lab.experiment.thresholds import ThresholdRow
from weedout_core.lab.files import exists, read_file
from weedout_core.lab.run.record import Record, read_record
from weedout_core.lab.run.run_folder import TABLES, RunFolder


def read_run(path: Path) -> RunSoFar:
    """Read what is done of a run, finished or not.

    Raises:
        RunError: the folder holds no run, a file of it cannot be read, or one is damaged.
        WeedoutWarning: a table of the whole run has rows that its groups, from which all is read, do not have.
    """
    config = path / "config.json"
    if not exists(config):
        what, remedy = "there is no such folder", "Name another folder: weedout paper and judge make one."
        if path.is_dir():
            what, remedy = "it has no config.json", remedy.replace("Name", "Restore it, or name")
        if runs := sorted(str(one.parent) for one in path.glob("*/config.json")):
            remedy = f"Name one in it: {', '.join(runs)}."
        raise RunError(f"{path} must be the folder of a run; {what}. {remedy}")
    record = read_record(config)
    # Before the groups, so that all that these were made of are among them.
    verdicts = _verdicts(path / "verdict.csv")
    assembled = {name: _made_anew(path / name) for name in TABLES if exists(path / name)}
    folder = RunFolder(path, record)
    folder.check()
    done = tuple(sorted(folder.committed))
    if edited := [name for name, content in assembled.items() if not _is_of_groups(folder, done, name, content)]:
        _warn_of_edited(path, edited)
    return RunSoFar(
        _config(record, config),
        record._asdict(),
        folder.groups,
        done,
        folder.rows("results.csv", ResultRow, done),
        folder.rows("curves.csv", CurveRow, done),
        folder.rows("search.csv", SearchRow, done),
        folder.rows("ledger.csv", LedgerRow, done),
        folder.rows("left_out.csv", LeftOutRow, done),
        folder.rows("thresholds.csv", ThresholdRow, done),
        folder.rows("timings.csv", TimingRow, done),
        verdicts,
        partial(_masks, folder),
    )


def _made_anew(path: Path) -> bytes:
    """The content of a file that is made of the groups. Raises RunError, with what to do, if it cannot be read."""
    try:
        return read_file(path)
    except RunError as error:
        raise RunError(f"{error} Remove it: the command of the run writes it again.") from error


def _is_of_groups(folder: RunFolder, done: Sequence[Group], name: str, content: bytes) -> bool:
    """Whether a table has all rows of some groups; it lacks some where a process was killed, or goes on."""
    there = {*content.split(b"\n")}
    whole = [group for group in done if there & {*folder.read(group, name).split(b"\n")[1:-1]}]
    return content == to_csv(TABLES[name], folder.rows(name, TABLES[name], whole)).encode()


def _warn_of_edited(path: Path, names: Sequence[str]) -> None:
    have, them = ("has", "that table") if len(names) == 1 else ("have", "those tables")
    warnings.warn(
        f"{path / ', '.join(names)} {have} been edited, or {have} rows of a group that was removed. All that is shown "
        f"is of the groups; the command of the run writes {them} again.",
        WeedoutWarning,
        stacklevel=3,
    )


def _masks(folder: RunFolder, group: Group) -> Mapping[str, np.ndarray]:
    """The masks of a group that is done. Raises RunError if they are damaged."""
    try:
        return load(folder.read(group, "masks.safetensors"))
    except SafetensorError as error:
        raise RunError(f"the masks of {group} in {folder.path} cannot be read ({error}).") from error


def _verdicts(path: Path) -> list[VerdictRow]:
    if not exists(path):
        return []
    return from_csv(VerdictRow, _made_anew(path).decode(errors="replace"), str(path))


def _config(record: Record, path: Path) -> ExperimentConfig:
    """The configuration, of which the record keeps the fields, and the name of the network among the choices."""
    try:
        values = {item.name: record.identity[item.name] for item in fields(ExperimentConfig)}
        network = next((one["value"] for one in record.choices if one["field"] == "ExperimentConfig.network"), None)
        train = {**values["train"], "step_epochs": tuple(values["train"]["step_epochs"])}
        values |= {name: tuple(values[name]) for name in ("hidden", "sparsity") if values[name] is not None}
        values |= {"network": network, "search": SearchConfig(**values["search"]), "train": TrainConfig(**train)}
        config = ExperimentConfig(**values)
        chosen = [one._asdict() for one in choices(config, config.search, config.train)]
        if record.choices != json.loads(json.dumps(chosen)):
            raise ConfigError("its choices are not those of its identity")
        return config
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise RunError(f"{path} must describe a run, and is damaged ({error}). Restore it.") from error

"""The folder of a sweep: a folder of an ordinary run for each point, and ``sweep.json``, which says what they are."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from weedout_core.errors import RunError
from weedout_core.lab.files import PARTIAL, listed, read_file, sha256, write_file
from weedout_core.lab.run.opening import agreed, check_outside, locked
from weedout_core.lab.run.record import Record, differences
from weedout_core.lab.run.run_folder import LOCK
from weedout_core.lab.run.sealed import DamagedError, sealed, unsealed

SWEEP = "sweep.json"


class SweepRecord(NamedTuple):
    """The contents of ``sweep.json``.

    Attributes:
        digest: SHA-256 of the identity, in hexadecimal.
        identity: "varied", each option with its values; "points", the folder of each with the digest of its run.
        command: the command line.
    """

    digest: str
    identity: dict[str, Any]
    command: str


def sweep_record(varied: Mapping[str, Sequence[str]], runs: Mapping[str, Record], command: str) -> SweepRecord:
    """The record of a sweep.

    Args:
        varied: the options with their values as they are typed.
        runs: the record of each point's run, by its folder in the sweep's.
        command: the command line.
    """
    identity = {
        "varied": {option: list(values) for option, values in varied.items()},
        "points": {folder: run.digest for folder, run in runs.items()},
    }
    return SweepRecord(sha256(json.dumps(identity, sort_keys=True).encode()), identity, command)


@contextmanager
def open_sweep(
    path: Path, record: SweepRecord, runs: Mapping[str, Record], allow_other_versions: bool = False
) -> Iterator[None]:
    """Begin a sweep in a new or empty folder, or continue the same sweep in its folder, which is locked meanwhile.

    Args:
        path: the folder.
        record: the sweep that is wanted.
        runs: the record of each point's run, by its folder in the sweep's.
        allow_other_versions: whether to continue under other library versions.
    Raises:
        RunError: the folder holds another sweep or other files, or lies in the folder of a run; the folder of a point
            holds another run, or was computed with other versions; a file is damaged; or another process uses it.
            Nothing is written then.
    """
    check_outside(path)
    _check(path, record, runs, allow_other_versions)  # before locking, which writes a file
    with locked(path):
        if not _check(path, record, runs, allow_other_versions):
            write_file(path / SWEEP, sealed(record._asdict()))
        yield


def _check(path: Path, record: SweepRecord, runs: Mapping[str, Record], allow_other_versions: bool) -> bool:
    """Whether a folder holds the sweep; it is then new or empty. Raises RunError if it holds something else."""
    try:
        names = listed(path)
    except RunError as error:
        raise RunError(f"{error} Choose another folder with --out.") from error
    if SWEEP not in names:
        # A process killed before it wrote sweep.json leaves these two.
        if strangers := [name for name in names if name not in (LOCK, SWEEP + PARTIAL)]:
            raise RunError(
                f"{path} must be empty or hold a sweep with its {SWEEP}; it holds {strangers[0]!r}. Choose another "
                "with --out."
            )
        return False
    remedy = "Restore it, or choose another folder with --out."
    found = unsealed(read_file(path / SWEEP), path / SWEEP, remedy)
    if {*found} != {*SweepRecord._fields}:
        raise DamagedError(f"{path / SWEEP} is damaged: it is another file, and does not describe a sweep.", remedy)
    if {*names} <= {LOCK, SWEEP}:
        return False  # nothing was begun
    there, here = found["identity"], record.identity
    different = differences(there["varied"], here["varied"])
    for folder, run in () if different else runs.items():
        agreed(path / folder, run, allow_other_versions)
    if different := different or differences(there["points"], here["points"])[:1]:
        raise RunError(
            f"{path} holds a different sweep: {'; '.join(different)}. Give the same options as its {SWEEP} says, or "
            "another --out."
        )
    return True

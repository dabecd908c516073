"""A run as far as it is done: what its folder holds, and what a report is made from."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.groups import Group
from weedout_core.lab.experiment.ledger import LedgerRow
from weedout_core.lab.experiment.rows import CurveRow, LeftOutRow, ResultRow, SearchRow, TimingRow, VerdictRow
from weedout_core.lab.experiment.thresholds import ThresholdRow


class RunSoFar(NamedTuple):
    """A run as far as it is done.

    Attributes:
        config: the configuration of the experiment.
        record: the content of config.json, as plain values.
        planned: the groups of the run.
        done: those that were done when reading began, by sparsity, and within one by repeat.
        results, curves, searches, ledger, left_out, thresholds, timings: the rows of the groups that are done.
        verdicts: the rows of verdict.csv; none if there was no look yet.
        masks: gives the masks of a group that is done, {arm/repeat/site: bool ``shape``}.
    """

    config: ExperimentConfig
    record: Mapping[str, Any]
    planned: Sequence[Group]
    done: Sequence[Group]
    results: Sequence[ResultRow]
    curves: Sequence[CurveRow]
    searches: Sequence[SearchRow]
    ledger: Sequence[LedgerRow]
    left_out: Sequence[LeftOutRow]
    thresholds: Sequence[ThresholdRow]
    timings: Sequence[TimingRow]
    verdicts: Sequence[VerdictRow]
    masks: Callable[[Group], Mapping[str, np.ndarray]]

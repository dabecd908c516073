"""What a report is made from: the record of a run, and the rows of what is done of it."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from weedout_core import mask_space
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.groups import Group
from weedout_core.lab.experiment.ledger import LedgerRow
from weedout_core.lab.experiment.rows import CurveRow, LeftOutRow, ResultRow, SearchRow, TimingRow, VerdictRow
from weedout_core.lab.experiment.thresholds import ThresholdRow
from weedout_core.lab.report.scope import Scope, scope_of
from weedout_core.nn import network_from_json


class Source(NamedTuple):
    """A run as far as it is done.

    Attributes:
        config: the configuration of the experiment.
        record: the content of config.json, as plain values.
        planned, done: the groups of the run, and those that are done.
        results, curves, searches, ledger, left_out, thresholds, timings, verdicts: the rows of its tables.
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

    @property
    def scope(self) -> Scope:
        """What is compared with what."""
        return scope_of(self.config, self.record["identity"], self.verdicts)

    @property
    def sites(self) -> list[str]:
        """The places of the parent where a mask acts, in the order of its layers."""
        return list(mask_space(network_from_json(json.dumps(self.record["identity"]["network"]))))

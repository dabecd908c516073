"""What a report is made from: a run as far as it is done, and what the sections ask of it."""

import json
from collections.abc import Mapping

from weedout_core import Network, mask_space
from weedout_core.lab.experiment.run_so_far import RunSoFar
from weedout_core.lab.report.scope import Scope, scope_of
from weedout_core.nn import network_from_json


class Source(RunSoFar):
    """A run as far as it is done, as a report reads it."""

    @property
    def scope(self) -> Scope:
        """What is compared with what."""
        return scope_of(self.config, self.record["identity"], self.verdicts)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to compute: all groups are done, or every comparison was decided at a look."""
        last = [row.verdict for row in self.verdicts if row.look == self.scope.look]
        return len(self.done) == len(self.planned) or (bool(last) and "undecided" not in last)

    @property
    def net(self) -> Network:
        """The parent."""
        return network_from_json(json.dumps(self.record["identity"]["network"]))

    @property
    def sites(self) -> list[str]:
        """The places of the parent where a mask acts, in the order of its layers."""
        return list(mask_space(self.net))

    @property
    def examples(self) -> Mapping[str, int]:
        """The number of examples of each split: train, validation and test."""
        return self.record["identity"]["examples"]

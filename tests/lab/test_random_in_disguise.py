"""Judged as a method, a random mask is hardly ever called better or worse than a random mask: the promise of verdicts.

Two judgements by default, which see that it runs. With --judgements 200 they are those that docs/verdict.md tells of,
which took seven minutes in two processes.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import weedout_core as wc
from weedout_core import lab
from weedout_core.lab.arms.judged import JudgeConfig
from weedout_core.lab.commands.options import RunOptions
from weedout_core.lab.experiment.arms import Task

pytestmark = pytest.mark.slow

_ERROR, _CHANCE = 0.05, 0.99


def disguised(task: Task) -> Mapping[str, np.ndarray]:
    """Scores that say nothing: a random mask under another key than the baseline's."""
    rng = np.random.default_rng(task.key)
    return {site.site: rng.random(site.shape) for site in task.plan.sites}


def test_random_in_disguise_is_seldom_called_better_or_worse(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """Disjoint: each judgement has its own seed, and so its own weights, masks and orders."""
    judgements = pytestconfig.option.judgements
    judging = JudgeConfig("random", sparsity=(0.5,), sanity=False)
    verdicts = [_verdict(seed, judging, tmp_path / str(seed)) for seed in range(judgements)]
    called = [verdict for verdict in verdicts if verdict not in ("undecided", "equivalent")]
    # The most that a right promise gives in 99 of 100 such tests; 18 of 200.
    most = int(stats.binom.ppf(_CHANCE, judgements, _ERROR))
    assert len(called) <= most, f"{len(called)} of {judgements} called: {sorted(called)}"


def _verdict(seed: int, judging: JudgeConfig, out: Path) -> str:
    config = lab.ExperimentConfig(hidden=(32,), backend="jax", seed=seed, train=wc.TrainConfig(epochs=5, batch_size=64))
    judgement = lab.judge(disguised, config, judging, RunOptions(out=out))
    (finding,) = judgement.decision.findings
    assert finding.paired.pairs == judgement.decision.look, "no training diverged"
    return finding.verdict

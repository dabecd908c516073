"""A strategy and a fitness of one's own in an experiment: by their places, in paper and judge, the record, the page."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

import weedout_core as wc
from tests.lab.arms.tasks import CONFIG
from weedout_core._configs.search_config import FitnessName, StrategyName
from weedout_core.backend import compacted, counted_room
from weedout_core.errors import ConfigError, RunError
from weedout_core.lab.commands.fields import _NAMED
from weedout_core.lab.experiment.arms import Work
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.experiment import Experiment
from weedout_core.lab.experiment.ledger import Meter
from weedout_core.lab.experiment.own_functions import recorded_config, same_own, with_own

Weedout = Callable[..., int]
MODULE = '''
from array_api_compat import array_namespace
import weedout_core as wc

def margin(logits, labels):
    """The largest logit, less the mean."""
    xp = array_namespace(logits)
    return xp.mean(xp.max(logits, axis=-1) - xp.mean(logits, axis=-1), axis=-1)

def whole(logits, labels):
    return 1

def half(logits):
    return 0.5

def neighbours(key, plan, masks, fitness, count, mutation):
    elite = int(wc.ask_tell.select(fitness))
    copies = {site: mask[[elite] * count] for site, mask in masks.items()}
    return wc.ask_tell.mutated(wc.random.split(key, count), copies, plan, mutation)

def clones(key, plan):
    return {}

def weighted(weight):
    def fitness(logits, labels):
        return weight * margin(logits, labels)
    return fitness

mild, strong = weighted(0.1), weighted(10)

def ends(*given):
    raise SystemExit("no more")
'''
SMALL = (
    *("--backend", "numpy", "--hidden", "8", "--sparsity", "0.5", "--repeats", "2", "--population", "4"),
    *("--generations", "2", "--validation-batch", "32", "--epochs", "1", "--train-examples", "100"),
    *("--strategy", "my_search:neighbours", "--fitness", "my_search:margin", "--out", "run"),
)


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "my_search.py").write_text(MODULE)
    yield
    sys.modules.pop("my_search", None)


def searched(**search: Any) -> ExperimentConfig:
    return replace(CONFIG, search=replace(CONFIG.search, **search))


@pytest.mark.parametrize(("field", "names"), [("strategy", StrategyName), ("fitness", FitnessName)])
def test_the_help_names_what_there_is(field: str, names: Any) -> None:
    assert _NAMED[wc.SearchConfig][field] == (*get_args(names), "MODULE:FUNCTION")
    config = searched(**{field: get_args(names)[1]})
    assert with_own(config) is config
    assert f"{field}_files" not in Experiment(config, (), (2,)).identity


@pytest.mark.parametrize(("field", "place"), [("strategy", "my_search:neighbours"), ("fitness", "my_search:margin")])
def test_a_function_is_recorded_by_its_place_and_the_digest_of_its_files(
    field: str, place: str, tmp_path: Path
) -> None:
    config = with_own(searched(**{field: place}))
    assert callable(getattr(config.search, field))
    assert recorded_config(config) == searched(**{field: place})
    identity = Experiment(config, (), (2,)).identity
    assert identity["search"][field] == place
    assert len(identity[f"{field}_files"]) == 64
    json.dumps(identity)
    same_own(config.search, identity)
    (tmp_path / "my_search.py").write_text(MODULE + "\n# another\n")
    with pytest.raises(RunError, match=rf"the {field} {place} must be that of the run; here its files are others"):
        same_own(config.search, identity)


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"fitness": "my_search:missing"}, r"the fitness my_search:missing does not exist: my_search has no missing"),
        ({"fitness": "my_search:half"}, r"the fitness my_search:half must take two arguments, the logits and the lab"),
        (
            {"strategy": "my_search:clones"},
            r"the strategy my_search:clones must take six arguments, the key, the plan, the masks, the fitness, the nu",
        ),
        (
            {"fitness": "my_search:mild"},
            r"the fitness my_search:fitness must be defined at the top of its module.*weighted\.<locals>\.fitness\.",
        ),
        (
            {"fitness": "my_search:margin.x"},
            r"a fitness of your own must be package\.module:function, .*margin\.x'\. Write my_s",
        ),
    ],
)
def test_what_cannot_be_called_is_refused(search: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        with_own(searched(**search))


@pytest.mark.slow
def test_a_run_tells_of_the_functions_and_goes_on_with_no_others(
    weedout: Weedout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert weedout("paper", *SMALL) == 0
    assert "Fitness (my_search:margin)" in " ".join(capsys.readouterr().out.split())
    identity = json.loads((tmp_path / "run" / "config.json").read_text())["identity"]
    assert (identity["search"]["strategy"], identity["search"]["fitness"]) == (
        "my_search:neighbours",
        "my_search:margin",
    )
    capsys.readouterr()
    (tmp_path / "my_search.py").write_text(MODULE + "\n# another\n")
    assert weedout("paper", *SMALL) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert 'strategy_files ("' in said
    assert 'fitness_files ("' in said


def test_a_judgement_searches_by_them_too(weedout: Weedout, tmp_path: Path) -> None:
    assert weedout("judge", "magnitude", *SMALL) == 0
    identity = json.loads((tmp_path / "run" / "config.json").read_text())["identity"]
    assert {"strategy_files", "fitness_files"} < set(identity)


def test_a_fitness_that_fails_at_once_ends_the_run_by_its_name(
    weedout: Weedout, capsys: pytest.CaptureFixture[str]
) -> None:
    line = [one.replace("my_search:margin", "my_search:whole") for one in SMALL]
    assert weedout("paper", *line) != 0
    said = " ".join(capsys.readouterr().err.split())
    assert "the arm weedout failed at sparsity 0.5, repeat 0: the fitness my_search:whole must return floats" in said


@pytest.mark.parametrize("option", ["--fitness", "--strategy", "--allocation"])
def test_one_that_ends_a_script_ends_the_run_by_its_name_and_line(
    option: str, weedout: Weedout, capsys: pytest.CaptureFixture[str]
) -> None:
    assert weedout("paper", *SMALL, option, "my_search:ends") == 2
    said, line = " ".join(capsys.readouterr().err.split()), len(MODULE.splitlines())
    assert f"the {option[2:]} my_search:ends failed, in my_search.py, line {line}: SystemExit: no more" in said


@pytest.mark.parametrize("drawn", [{"sampling": "bernoulli"}, {"allocation": "global"}], ids=["bernoulli", "global"])
def test_bred_candidates_that_differ_in_what_they_keep_are_billed_one_by_one(drawn: dict[str, Any]) -> None:
    """Of 6 inputs, 12 and 8 nodes and 3 classes; computed with room for the fullest of each site."""
    net = wc.mlp(6, (12, 8), 3)
    masks = wc.backend.masks_from_keys(wc.random.split(wc.key(2), 5), wc.mask_plan(wc.mask_space(net), 0.5, **drawn))
    meter = Meter(wc.load_backend("numpy"), Work())
    x, y = np.zeros((7, 6), np.float32), np.zeros(7, np.int32)
    meter.backend.score(net, meter.backend.initialise(net, wc.key(0)), masks, x, y)
    a, b = (masks[site].sum(axis=1) for site in ("hidden_0", "hidden_1"))
    assert len(set(a)) > 1
    active = int((6 * a + a * b + 3 * b).sum())
    room = compacted(net, counted_room(net, None, {"hidden_0": int(a.max()), "hidden_1": int(b.max())})).net
    assert meter.work == Work(5, 0, 7 * 5 * (6 * 12 + 12 * 8 + 8 * 3), 7 * active, 7 * 5 * wc.costs(room).macs)

"""Models and data of the user's own in an experiment: judged, resumed, and refused with what differs."""

import html
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import weedout_core as wc
from tests.lab.test_resume import finished, wait_until
from weedout_core import lab
from weedout_core.errors import ConfigError, DataError
from weedout_core.lab.data.datasets import load_dataset
from weedout_core.lab.experiment.model import own_model

jax = pytest.importorskip("jax")

pytestmark = pytest.mark.slow

MODULE = """
import jax
import numpy as np
import weedout_core as wc

def apply(params, x):
    h = jax.nn.relu(x.reshape(len(x), -1) @ params["first"])
    return h @ params["last"]

def made(apply, first, shape=(8, 8, 1)):
    last = jax.random.normal(jax.random.key(1), (first.shape[1], 10)) / 3
    return wc.adopt((apply, {"first": np.asarray(first, np.float32), "last": last}), shape, backend="jax")

def first(seed, width=12):
    return jax.random.normal(jax.random.key(seed), (64, width)) / 8

def model(seed):
    return made(apply, first(seed))

def flat(seed):
    return made(apply, first(seed), (64,))

def wider(seed):
    return made(apply, first(seed, 8 + seed % 5))

def unseeded(seed):
    return made(apply, np.random.normal(size=(64, 12)))

def unmoved(seed):
    return made(apply, first(0))

def turned(seed):
    turn = np.asarray(jax.random.normal(jax.random.key(seed), (64, 64)))
    return made(lambda params, x: apply(params, x.reshape(len(x), -1) @ turn), first(seed))

KEPT = 3, 4

class Seeded:
    def __init__(self, seed):
        self.seed = seed

def layers(seed):
    return wc.mlp((8, 8, 1), (8, 6), 10)

def other_layers(seed):
    return wc.mlp((8, 8, 1), (8 + seed % 5, 6), 10)

def failing(seed):
    raise ArithmeticError("no model today")

def nothing(seed):
    return None

def two(seed, other):
    return None

def data():
    x, y = np.random.default_rng(0).normal(size=(66, 3)).astype(np.float32), np.arange(66) % 3
    return (x[:60], y[:60]), [(x[60:62], y[60:62]), (x[62:], y[62:])]

def narrow(seed):
    return wc.mlp(3, (8, 6), 3)

def counted():
    (x, y), _ = data()
    return (x, y + 1), (x, y + 1)

def one_split():
    return np.zeros((9, 3)), np.zeros(9, int)

def unsound():
    return (np.zeros((9, 3)), np.zeros(9)), (np.zeros((9, 3)), np.zeros(9))

def few():
    return (np.zeros((5, 3)), np.zeros(5, int)), (np.zeros((9, 3)), np.zeros(9, int))
"""

KEPT = ("results.csv", "curves.csv", "search.csv", "ledger.csv", "verdict.csv")


def judge(*methods: str, **others: str) -> list[str]:
    some = {"epochs": "2", "population": "3", "generations": "2", "out": "run", "backend": "jax", **others}
    fixed = {"batch-size": "200", "sparsity": "0.5", "repeats": "2"}
    options = [word for name, value in {**some, **fixed}.items() for word in (f"--{name}", *value.split())]
    return ["judge", *methods, *options]


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "mine.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    sys.modules.pop("mine", None)
    yield
    sys.modules.pop("mine", None)


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    import importlib

    sys.path.insert(0, str(tmp_path))
    return importlib.import_module("mine")


def checked(mine: Any, name: str) -> Any:
    return own_model(f"mine:{name}", getattr(mine, name), 0, wc.load_backend("jax"))


def test_an_adopted_model_is_judged_as_a_network_of_the_library(
    weedout: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Each repeat has weights of its own, which all of its arms share, and a fresh initialisation is another again."""
    assert weedout(*judge("snip", "synflow", "dense", model="mine:model"), "--save-parameters") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Whether snip is better than weedout at sparsity 50 %" in said
    assert "synflow chooses the same from shuffled labels" in said
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    assert len(record["identity"]["model"]) == 64
    assert record["identity"]["network"]["layers"][0]["layer"] == "Adopted"
    masks = load_file(tmp_path / "run" / "groups" / "sparsity-0.5" / "masks.safetensors")
    assert {int(mask.sum()) for mask in masks.values()} == {6}
    assert weedout("report", "run") == 0
    page = html.unescape((tmp_path / "run" / "report.html").read_text())
    assert "mine:model" in page
    assert "ExperimentConfig.granularity = the model's own" in page


def test_each_repeat_begins_with_the_weights_of_its_own_seed(mine: Any, capsys: pytest.CaptureFixture[str]) -> None:
    seen = list[lab.Task]()

    def look(task: lab.Task) -> Any:
        seen.append(task)
        return {site.site: np.arange(float(site.nodes)) for site in task.plan.sites}

    run = lab.RunOptions(out=Path("looked"))
    config = lab.ExperimentConfig(
        backend="jax", search=wc.SearchConfig(population=2, generations=1), train=wc.TrainConfig(epochs=0)
    )
    lab.judge(look, config, lab.JudgeConfig(sparsity=(0.5,), repeats=(2,), sanity=False), run, model=mine.model)
    made = ["making the model mine:model three times, to see that its seed decides the weights alone"]
    made += [f"sparsity 0.5 · making the model {number}/2" for number in (1, 2)]
    assert [line for line in capsys.readouterr().err.splitlines() if "making" in line] == made
    first, again, second = seen
    assert (first.repeat, again.repeat, second.repeat) == (0, 0, 1), "an own arm is called twice in the first repeat"
    handed = [*lab.tasks("look", config, lab.JudgeConfig(sparsity=(0.5,), repeats=(2,)), run, model=mine.model)]
    assert capsys.readouterr().err.splitlines() == made
    for task, alike in zip((first, second), handed, strict=True):
        np.testing.assert_equal(alike.params, task.params)
        np.testing.assert_equal((alike.key, alike.root, alike.repeat), (task.key, task.root, task.repeat))
    assert first.net == second.net
    assert not np.array_equal(first.params["first"], second.params["first"])
    np.testing.assert_array_equal(first.params["last"], second.params["last"])
    for task in (first, second):
        layer = wc.backend.adopted(task.net)
        assert layer is not None
        np.testing.assert_array_equal(layer.model.params["first"], task.params["first"])
        found = wc.draw_control(task.net, sparsity=0.5, backend="jax", key=task.root).network
        np.testing.assert_array_equal(found.params["first"], task.params["first"], "what a search draws begins there")
        fresh = task.fresh(task.key).params
        assert not np.array_equal(fresh["first"], task.params["first"])
        assert not fresh["first"].flags.writeable


def test_a_killed_run_of_an_adopted_model_ends_as_an_unkilled_one(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    run = judge("snip", model="mine:model", epochs="75")
    run = [*run, "--no-sanity", "--checkpoint-minutes", "0"]
    whole, killed = ([word if word != "run" else name for word in run] for name in ("whole", "killed"))
    assert finished(start(*whole))[0] == 0
    process = start(*killed)
    folder = tmp_path / "killed" / "checkpoints" / "sparsity-0.5"
    wait_until(lambda: any(int(path.stem) > 20 for path in folder.glob("*.json")), process)  # while it trains
    process.send_signal(signal.SIGKILL)
    assert finished(process)[0] == -signal.SIGKILL
    assert not (tmp_path / "killed" / "groups" / "sparsity-0.5").exists(), "the run was hit before its end"
    code, err = finished(start(*killed))
    assert code == 0, err
    for name in KEPT:
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("wider", r"must be the same network for every seed, but for its weights; it differs in places: \('relu', \("),
        ("other_layers", "must be the same network for every seed, but for its weights; it differs in layers: "),
        ("unseeded", r"it was another the second time: digest: .* as after torch\.manual_seed\(seed\)\."),
        ("turned", "computes something else for another seed with the same weights: the seed decides an array that is"),
        ("failing", r"the model mine:failing failed, in .*mine\.py, line \d+: ArithmeticError: no model today"),
        ("nothing", "must return a network, such as wc.adopt makes; got None"),
        ("two", r"must take one argument, a seed; got two\(seed, other\)"),
    ],
)
def test_a_model_that_is_not_one_network_with_other_weights_is_refused(mine: Any, name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        checked(mine, name)


def test_a_model_whose_seed_has_no_effect_is_warned_of(mine: Any) -> None:
    with pytest.warns(wc.WeedoutWarning, match="mine:unmoved has the same weights for every seed"):
        checked(mine, "unmoved")


@pytest.mark.parametrize(
    ("methods", "options", "said"),
    [
        (["snip"], {"model": "mine:flat"}, "must take the inputs of digits, (8, 8, 1); it takes (64,)"),
        (["snip"], {"model": "mine:narrow", "dataset": "mine:counted"}, "it has 3. The labels begin at 1: subtract it"),
        (["snip"], {"model": "mine:none"}, "the model mine:none does not exist: mine has no none."),
        (["snip"], {"model": "mine"}, 'network must be "mlp"'),
        (["snip"], {"model": "mine.model"}, "such as my_models:small; got 'mine.model'. Write mine:model."),
        (["snip"], {"dataset": "mine.data"}, "such as my_data:faces; got 'mine.data'. Write mine:data."),
        (["snip"], {"model": "mine:KEPT"}, "the model mine:KEPT must be a function; got (3, 4). Wrap it"),
        (["snip"], {"model": "mine:Seeded"}, "the model mine:Seeded must be a function; got the class Seeded. Wrap"),
        (["snip"], {"dataset": "mine:KEPT"}, "the dataset mine:KEPT must be a function; got (3, 4). Wrap it"),
        (["snip"], {"model": "mine.py:model"}, "a model of your own (network) must be package.module:function, such"),
        (["small_dense"], {}, "small_dense makes layers of this library narrower, and cannot do so with apply"),
        (["magnitude"], {}, "the magnitude of weights that lead to a node is known of the library's own layers"),
        (["snip"], {"weights": "per_candidate"}, 'weights="per_candidate" needs a way to draw weights'),
        (["snip"], {"fan": "fan_out"}, "fan='fan_out' has no effect without weights that are drawn"),
        (["snip"], {"augmentation": "crop_flip"}, "augmentation='crop_flip' has no effect"),
        (["snip"], {"hidden": "8"}, "hidden=(8,) has no effect without a network of this library"),
        (["snip"], {"granularity": "channel"}, "granularity='channel' has no effect without a network of this lib"),
        (["snip"], {"batch-norm": "running"}, "batch_norm='running' has no effect without batch normalisation"),
        (["snip"], {"backend": "numpy"}, "which alone computes it; got the backend numpy. Take jax."),
    ],
)  # fmt: skip
def test_what_has_no_meaning_for_an_adopted_model_is_refused_before_any_work(
    methods: list[str],
    options: dict[str, str],
    said: str,
    weedout: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    assert weedout(*judge(*methods, **{"model": "mine:model", **options})) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


def test_another_source_or_other_weights_are_another_run(
    weedout: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = [*judge("snip", model="mine:model"), "--no-sanity"]
    assert weedout(*run) == 0
    (tmp_path / "mine.py").write_text(MODULE.replace("/ 8", "/ 9"))
    sys.modules.pop("mine")
    assert weedout(*run) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "holds a different run: " in said
    assert "model (" in said
    assert "network.layers" in said


@pytest.mark.parametrize("name", ["mine:layers", "mlp"])
def test_data_of_ones_own_are_learned_from(weedout: Callable[..., int], tmp_path: Path, name: str) -> None:
    if name == "mine:layers":
        (tmp_path / "mine.py").write_text(MODULE.replace("wc.mlp((8, 8, 1), (8, 6), 10)", "wc.mlp(3, (8, 6), 4)"))
    run = [word if word != "200" else "10" for word in judge("snip", model=name, dataset="mine:data", backend="numpy")]
    assert weedout(*run, "--no-sanity") == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["identity"]["dataset"] == "mine:data"


def test_a_dataset_of_ones_own_is_split_and_left_as_it_is(mine: Any) -> None:
    data = load_dataset("mine:data")
    assert data.classes == 3
    assert [len(split.y) for split in (data.train, data.validation, data.test)] == [50, 10, 6]
    (x, y), _ = mine.data()
    rows = {tuple(row): label for row, label in zip(x, y, strict=True)}
    for split in (data.train, data.validation):
        assert all(rows.pop(tuple(row)) == label for row, label in zip(split.x, split.y, strict=True))
    assert not rows, "every training example is in one of both"
    assert np.bincount(data.validation.y).tolist() in ([3, 3, 4], [3, 4, 3], [4, 3, 3]), "stratified by class"
    some = load_dataset("mine:data", train_examples=9, test_examples=2, own=mine.data)
    assert (len(some.train.y), len(some.validation.y), len(some.test.y)) == (9, 10, 2)
    assert some.digest != data.digest


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        (
            "one_split",
            DataError,
            r"must return a training and a test split, .*; got one split, \(x, y\)\. Return two\.",
        ),
        ("unsound", DataError, "labels must be integers"),
        ("few", DataError, "must have at least 6 training examples, of which one in 6 is for validation"),
        ("nothing", ConfigError, r"the dataset mine:nothing must take no argument; got nothing\(seed\)"),
        ("missing", ConfigError, "the dataset mine:missing does not exist: mine has no missing"),
    ],
)
def test_what_is_no_dataset_is_refused(mine: Any, name: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        load_dataset(f"mine:{name}")


def test_data_dir_has_no_effect_on_data_of_ones_own(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="data_dir has no effect on mine:data, which is a function of your own"):
        load_dataset("mine:data", tmp_path)


def test_a_plan_measures_an_adopted_model(weedout: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--model", "mine:model", "--backend", "jax", "--sparsity", "0.5", "--epochs", "2", "--batch-size", "200"]
    assert weedout("plan", *options, "--population", "3", "--generations", "2") == 0
    said = capsys.readouterr().out
    assert "mine:model on digits: " in said
    assert "memory of train_epoch at sparsity 0.5" in said
    assert "measured on cpu for sparsity 0.5: " in said


def test_the_papers_experiment_takes_an_adopted_model(weedout: Callable[..., int], tmp_path: Path) -> None:
    options = [word for word in judge(model="mine:model")[1:] if word != "--no-sanity"]
    assert weedout("paper", *options) == 0
    assert (tmp_path / "run" / "figure2.png").exists()

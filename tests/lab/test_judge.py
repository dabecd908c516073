"""``weedout judge``: its verdicts, its sanity checks, where it stops, and what it keeps when something goes wrong."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import weedout_core as wc
from weedout_core import lab
from weedout_core.errors import BackendError
from weedout_core.lab.cli import main
from weedout_core.lab.data.datasets import load_dataset
from weedout_core.lab.experiment.ledger import LedgerRow
from weedout_core.lab.experiment.rows import LeftOutRow, ResultRow, VerdictRow, from_csv
from weedout_core.lab.experiment.thresholds import ThresholdRow
from weedout_core.lab.verdict.decisions import Pairs, decide
from weedout_core.lab.verdict.looks import nominal_level

pytestmark = pytest.mark.slow

Weedout = Callable[..., int]


def judge(*methods: str, sparsity: str = "0.5", repeats: str = "2 3", **others: str) -> list[str]:
    """A judgement that the reference makes in a moment."""
    some = {"hidden": "8 6", "out": "run", "epochs": "2", "population": "4", "generations": "2", **others}
    fixed = {"backend": "numpy", "batch-size": "64", "sparsity": sparsity, "repeats": repeats}
    options = [word for name, value in {**some, **fixed}.items() for word in (f"--{name}", *value.split())]
    return ["judge", *methods, *options]


MODULE = '''
import numpy as np

def first_pixels(task):
    """Keeps the first nodes of each site."""
    return {site.site: -np.arange(float(site.nodes)).reshape(site.shape) for site in task.plan.sites}

def handicapped(task):
    """Keeps the nodes with the smallest weights, and makes all weights small."""
    masks = {site.site: np.arange(site.nodes).reshape(site.shape) < site.kept for site in task.plan.sites}
    import weedout_core as wc
    return wc.Subnetwork(task.net, {path: 0 * value for path, value in task.params.items()}, masks)

def level(task):
    """Rates all nodes nearly alike."""
    return {site: 1 + 1e-9 * score for site, score in first_pixels(task).items()}

def alike(task):
    """Rates all nodes alike."""
    return {site.site: np.full(site.shape, 0.25) for site in task.plan.sites}

def failing(task):
    if (task.sparsity, task.repeat) == (0.5, 1):
        raise ArithmeticError("no masks today")
    return first_pixels(task)

def ending(task):
    raise SystemExit(0)

def leaving(task):
    """Leaves the folder while a checkpoint is written."""
    import os
    import weedout_core as wc
    os.chdir("elsewhere")
    wc.search(
        task.net, task.validation, sparsity=task.sparsity, backend=task.backend, key=task.key, config=task.search,
        on_generation=task.on_generation,
    )
    return first_pixels(task)

def lopsided(task):
    """Keeps one node more at the first site, and one fewer at the last."""
    first, *_, last = task.plan.sites
    more = {first.site: 1, last.site: -1}
    return {one.site: np.arange(one.nodes) < one.kept + more.get(one.site, 0) for one in task.plan.sites}
'''


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "of_the_user.py").write_text(MODULE)
    yield
    sys.modules.pop("of_the_user", None)


def rows(folder: Path, name: str, kind: type) -> list:
    return from_csv(kind, (folder / name).read_text(), name)


def contents(folder: Path) -> dict[str, bytes]:
    """All files whose bytes two equal runs share."""
    named = {"timings.csv", "manifest.json", ".lock"}
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in named
    }


def test_a_judgement_has_a_sentence_for_each_method_and_sparsity(
    weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    methods = ["--no-sanity", "magnitude", "snip", "--arm", "of_the_user:first_pixels"]
    assert weedout(*judge(*methods, sparsity="0.5 0.75")) == 0
    found = rows(tmp_path / "run", "verdict.csv", VerdictRow)
    cells = [(row.look, row.sparsity, row.method) for row in found]
    wanted = [(s, m) for s in (0.5, 0.75) for m in ("magnitude", "snip", "first_pixels")]
    assert cells == [(look, *cell) for look in dict.fromkeys(row.look for row in found) for cell in wanted]
    printed = capfd.readouterr().out
    last = max(row.look for row in found)
    assert f"sentences are {100 * (1 - found[0].alpha):.4g} % intervals: wider than" in " ".join(printed.split())
    for row in found:
        assert (row.sentence in printed) == (row.look == last)
        assert row.baseline == "weedout"


def test_verdicts_are_those_of_decide_on_the_cells(weedout: Weedout, tmp_path: Path) -> None:
    assert weedout(*judge("magnitude", "synflow", "--margin", "0.02")) == 0
    results = rows(tmp_path / "run", "results.csv", ResultRow)

    def accuracies(arm: str) -> list[float]:
        return [row.test_accuracy for row in sorted(results, key=lambda row: row.repeat) if row.arm == arm]

    for look in (2, 3):
        pairs = [
            Pairs(method, "weedout", 0.5, accuracies(method)[:look], accuracies("weedout")[:look])
            for method in ("magnitude", "synflow")
        ]
        decision = decide(pairs, look, (2, 3), 0.02)
        found = [row for row in rows(tmp_path / "run", "verdict.csv", VerdictRow) if row.look == look]
        assert [row.sentence for row in found] == [one.sentence for one in decision.findings]
        assert [row.low for row in found] == [one.paired.low for one in decision.findings]
        if decision.decided:
            break


def test_the_run_stops_at_the_first_look_at_which_all_is_decided(
    weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """An arm that is handicapped on purpose: its weights are 0, so that it learns nothing."""
    handicapped = ["--arm", "of_the_user:handicapped", "--no-sanity"]
    assert weedout(*judge(*handicapped, repeats="5 8", epochs="6", hidden="32")) == 0
    found = rows(tmp_path / "run", "verdict.csv", VerdictRow)
    assert [(row.look, row.verdict) for row in found] == [(5, "worse")]
    assert {row.repeat for row in rows(tmp_path / "run", "results.csv", ResultRow)} == set(range(5))
    printed = capfd.readouterr().out
    assert "1 comparison with weedout after 5 of at most 8 repeats; all are decided." in printed


def test_sanity_checks_are_trained_or_said_to_be_another_arm(
    weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert weedout(*judge("magnitude", "small_dense", "--arm", "of_the_user:lopsided")) == 0
    trained = {row.arm for row in rows(tmp_path / "run", "results.csv", ResultRow)}
    checks = {"shuffled", "reinitialised", "inverted", "corrupted"}
    left = {(row.arm, row.same_as) for row in rows(tmp_path / "run", "left_out.csv", LeftOutRow)}
    assert left == {
        ("magnitude.shuffled", "random"),
        ("magnitude.corrupted", "magnitude"),
        ("lopsided.inverted", ""),
        ("lopsided.corrupted", "lopsided"),
    }
    assert trained == {"weedout", "random", "magnitude", "small_dense", "lopsided"} | {
        f"{method}.{check}" for method in ("magnitude", "lopsided") for check in checks
    } - {arm for arm, _ in left}
    printed = " ".join(capfd.readouterr().out.split())
    assert "lopsided gives masks, and no scores that could be inverted" in printed
    assert "magnitude keeps as many nodes at each site as random masks do" in printed


def test_nodes_that_another_backend_may_keep_instead_are_counted_and_said(
    weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert weedout(*judge("--arm", "of_the_user:level", "of_the_user:first_pixels", "--no-sanity", repeats="2")) == 0
    found = rows(tmp_path / "run", "thresholds.csv", ThresholdRow)
    assert [(row.arm, row.repeat, row.site, row.near_threshold) for row in found] == [
        (arm, repeat, site, nodes if arm == "level" else 0)
        for arm in ("level", "first_pixels")
        for repeat in range(2)
        for site, nodes in (("hidden_0", 8), ("hidden_1", 6))
    ]
    said = "28 of 56 scores are so near the threshold that another backend may keep others there"
    assert f"{said} (level sparsity 0.5 repeat 0, level sparsity 0.5 repeat 1; see" in capfd.readouterr().out
    assert weedout("report", "run") == 0
    assert said in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_nodes_that_scores_do_not_tell_apart_are_counted_and_said(
    weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert weedout(*judge("--arm", "of_the_user:alike", "of_the_user:first_pixels", "--no-sanity", repeats="2")) == 0
    found = rows(tmp_path / "run", "thresholds.csv", ThresholdRow)
    assert {(row.arm, row.site, row.drawn) for row in found} == {
        ("alike", "hidden_0", 8), ("alike", "hidden_1", 6), ("first_pixels", "hidden_0", 0),
        ("first_pixels", "hidden_1", 0),
    }  # fmt: skip
    said = "28 of 56 scores are equal to others on the other side of the threshold: what was kept of these was drawn"
    assert said in capfd.readouterr().out
    assert weedout("report", "run") == 0
    assert said in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_an_arm_that_trains_in_order_to_choose_says_how_far_it_is(
    weedout: Weedout, capfd: pytest.CaptureFixture[str]
) -> None:
    assert weedout(*judge("magnitude_after_training", "--no-sanity", repeats="2", epochs="10")) == 0
    said = [line for line in capfd.readouterr().err.splitlines() if "magnitude_after_training" in line]
    assert [line.rpartition(" · train")[0] for line in said if "epoch" in line] == [
        f"sparsity 0.5 · magnitude_after_training {repeat}/2 · epoch {epoch}/10"
        for repeat in (1, 2)
        for epoch in (2, 4, 6, 8, 10)
    ]


def test_without_sanity_only_what_is_compared_is_trained(weedout: Weedout, tmp_path: Path) -> None:
    assert weedout(*judge("snip", "--no-sanity", "--baseline", "random")) == 0
    assert {row.arm for row in rows(tmp_path / "run", "results.csv", ResultRow)} == {"weedout", "random", "snip"}
    assert {row.baseline for row in rows(tmp_path / "run", "verdict.csv", VerdictRow)} == {"random"}


def test_pairs_share_their_weights_and_their_data(weedout: Weedout, tmp_path: Path) -> None:
    """Training by hand, from the masks in the run's folder, gives the accuracy of its row."""
    assert weedout(*judge("magnitude", "--no-sanity")) == 0
    data, backend = load_dataset("digits"), wc.load_backend("numpy")
    net = wc.mlp(data.input_shape, (8, 6), data.classes)
    masks = load_file(tmp_path / "run" / "masks" / "sparsity-0.5.safetensors")
    results = {(row.arm, row.repeat): row for row in rows(tmp_path / "run", "results.csv", ResultRow)}
    for repeat in range(2):
        key = wc.random.fold_in(wc.key(0), repeat)
        parent = wc.draw_control(net, sparsity=0.5, backend=backend, key=key).network.params
        for arm in ("weedout", "random", "magnitude"):
            mask = {site: masks[f"{arm}/{repeat}/{site}"] for site in wc.mask_space(net)}
            trained = wc.train(
                wc.Subnetwork(net, parent, mask), data.train, backend=backend, key=key,
                config=wc.TrainConfig(epochs=2, batch_size=64),
            )  # fmt: skip
            accuracy = wc.evaluate(trained.network, data.test, backend=backend).accuracy
            assert results[arm, repeat].test_accuracy == accuracy, (arm, repeat)


def test_a_look_adds_repeats_and_changes_none(weedout: Weedout, tmp_path: Path) -> None:
    assert weedout(*judge("magnitude", "--no-sanity")) == 0
    assert sorted(path.name for path in (tmp_path / "run" / "groups").iterdir()) == [
        *("sparsity-0.5", "sparsity-0.5-from-1", "sparsity-0.5-from-2"),
    ]
    assert weedout(*judge("magnitude", "--no-sanity", repeats="3", out="once")) == 0
    looked, straight = (rows(tmp_path / name, "results.csv", ResultRow) for name in ("run", "once"))
    assert sorted(looked, key=str) == sorted(straight, key=str), "to the bit on the reference"


def test_an_arm_that_fails_fails_before_any_search(
    weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert weedout(*judge("--arm", "of_the_user:ending", "--no-sanity")) == 2
    shown = capfd.readouterr().err
    assert "weedout: the arm ending failed at sparsity 0.5, repeat 0, in of_the_user.py, line " in shown
    kept = "0 of 3 groups are done; all progress is kept in run. The same command continues; with an arm that was"
    assert f"SystemExit: 0. {kept}" in shown
    assert "best fitness" not in shown
    # Nothing was computed, so the folder is free for the arm that was mended.
    assert weedout(*judge("--arm", "of_the_user:first_pixels", "--no-sanity")) == 0


def test_an_arm_that_fails_costs_nothing_of_what_others_computed(
    weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert weedout(*judge("magnitude", "--arm", "of_the_user:failing", "--no-sanity", sparsity="0.25 0.5")) == 2
    said = capfd.readouterr().err.splitlines()[-1]
    assert said.startswith("weedout: the arm failing failed at sparsity 0.5, repeat 1, in of_the_user.py, line ")
    assert "ArithmeticError: no masks today. 3 of 6 groups are done; all progress is kept in run." in said
    assert {path.name for path in (tmp_path / "run" / "groups").iterdir()} == {
        *("sparsity-0.25", "sparsity-0.25-from-1", "sparsity-0.5"),
    }


def test_an_arm_that_leaves_the_folder_splits_no_run(weedout: Weedout, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    arguments = judge("--arm", "of_the_user:leaving", "--no-sanity", **{"checkpoint-minutes": "0"})
    assert weedout(*arguments) == 0
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert Path.cwd() == tmp_path
    assert from_csv(ResultRow, (tmp_path / "run" / "results.csv").read_text(), "")


def test_an_arm_may_import_when_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "of_hers.py").write_text("SIGN = -1\n")
    (tmp_path / "late.py").write_text(MODULE.replace("return {", "from of_hers import SIGN\n    return {", 1))
    command = [sys.executable, "-P", "-m", "weedout_core", *judge("--arm", "late:first_pixels", "--no-sanity")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (tmp_path / "of_hers.py").write_text("SIGN = +1\n")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2, "what is imported is part of the run"
    assert "run holds a different run: arms.first_pixels.source (" in done.stderr


def test_another_source_is_another_run(weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = judge("--arm", "of_the_user:first_pixels", "--no-sanity")
    assert weedout(*arguments) == 0
    before = contents(tmp_path / "run")
    sys.modules.pop("of_the_user")
    (tmp_path / "of_the_user.py").write_text(MODULE + "# changed\n")
    assert weedout(*arguments) == 2
    said = capfd.readouterr().err
    assert "run holds a different run: arms.first_pixels.source (" in said
    assert "Give the same options and sources as its config.json says, or another --out." in said
    assert contents(tmp_path / "run") == before


def test_rules_cannot_be_changed_once_a_run_has_begun(weedout: Weedout, capfd: pytest.CaptureFixture[str]) -> None:
    assert weedout(*judge("magnitude", "--no-sanity")) == 0
    others = [
        judge("magnitude", "--no-sanity", "--margin", "0.01"),
        judge("magnitude", "--no-sanity", "--baseline", "random"),
        judge("magnitude", "--no-sanity", repeats="2 4"),
        judge("snip", "--no-sanity"),
        judge("magnitude"),
    ]
    for other in others:
        assert weedout(*other) == 2
        assert "holds a different run" in capfd.readouterr().err


def test_a_folder_of_masks_is_judged(weedout: Weedout, tmp_path: Path) -> None:
    folder = tmp_path / "by_hand"
    folder.mkdir()
    for repeat in range(3):
        masks = {"hidden_0": np.arange(8) % 2 == repeat % 2, "hidden_1": np.arange(6) % 2 == 0}
        save_file(masks, folder / f"sparsity-0.5-repeat-{repeat}.safetensors")
    assert weedout(*judge("--masks", "by_hand")) == 0
    kept = load_file(tmp_path / "run" / "masks" / "sparsity-0.5.safetensors")
    assert np.array_equal(kept["by_hand/1/hidden_0"], np.arange(8) % 2 == 1)
    assert not any(name.startswith("by_hand.corrupted") for name in kept), "files read no labels"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "there must be a method to judge; got none"),
        (("grasp",), "a method must be one of weedout, random"),
        (("weedout",), "weedout is the baseline of the methods"),
        (("snip", "snip"), "each arm needs its own name; got 'snip' twice (snip, snip)"),
        (("snip", "--baseline", "dense"), '--baseline must be "weedout" or "random"; got \'dense\''),
        (("snip", "--budget-of", "magnitude"), "--budget-of must be one of the methods that are judged"),
        (
            ("snip", "magnitude", "--family", "1"),
            "--family must be at least 2, the number of comparisons",
        ),
        (("snip", "--margin", "0"), "--margin must be a finite number above 0 and below 1, a fraction of 1; got 0.0."),
        (
            ("snip", "--margin", "1"),
            "--margin must be a finite number above 0 and below 1, a fraction of 1; got 1.0. Di",
        ),
        (("snip", "--baseline", ""), "--baseline must be text that is not empty"),
        (("snip", "--checkpoint-epochs", "0"), "--checkpoint-epochs must be an integer of at least 1 or None; got 0"),
        (("--arm", "of_nobody:f"), "cannot be imported"),
        (("--arm", "of_the_user"), "an arm of your own must be package.module:function"),
        (("--masks", "nowhere"), "masks must be in a folder; nowhere cannot be read: No such file or directory"),
    ],
)
def test_a_mistake_is_one_sentence_before_any_work(
    weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert weedout(*judge(*arguments)) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("weedout: ")
    assert said in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"repeats": "3 2"}, "--repeats must be numbers of pairs that increase, at least one; got (3, 2)"),
        ({"repeats": "1"}, "--repeats[0] must be an integer of at least 2 pairs; got 1"),
        (
            {"sparsity": "0.5 1"},
            "--sparsity[1] must be a finite number in [0, 1), the fraction removed; got 1.0. Write 80 %",
        ),
    ],
)
def test_what_is_wrong_with_a_judgement_is_named_as_the_option(
    weedout: Weedout, capfd: pytest.CaptureFixture[str], options: dict[str, str], said: str
) -> None:
    assert weedout(*judge("snip", **options)) == 2
    assert capfd.readouterr().err.startswith(f"weedout: {said}")


def test_a_margin_of_points_is_said_once(weedout: Weedout, capfd: pytest.CaptureFixture[str]) -> None:
    assert weedout(*judge("snip", "--no-sanity", "--margin", "0.5")) == 0
    err = capfd.readouterr().err
    assert err.startswith("weedout: warning: margin 0.5 is 50 points of percent, by which methods that are called equi")
    assert err.count("margin") == 1


def test_masks_made_of_tasks_outside_a_run_are_those_of_the_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all that a task has: its weights, its splits and its key; at every sparsity, in the repeats of every look."""
    monkeypatch.chdir(tmp_path)

    def rated(task: lab.Task) -> dict[str, np.ndarray]:
        noise = np.random.default_rng(task.key)
        shift = {site.site: noise.normal(size=site.shape) for site in task.plan.sites}
        images, labels = task.validation
        seen = images.reshape(len(images), -1)[labels == 3].mean(axis=0) @ task.params["dense_0/kernel"]
        return {"hidden_0": shift["hidden_0"] + seen, "hidden_1": shift["hidden_1"] + len(task.train.y)}

    config = lab.ExperimentConfig(
        hidden=(8, 6),
        backend="numpy",
        search=wc.SearchConfig(population=2, generations=1),
        train=wc.TrainConfig(epochs=1),
    )
    judging = lab.JudgeConfig(sparsity=(0.5, 0.75), repeats=(2, 3), margin=1e-6, sanity=False)
    (tmp_path / "rated").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tasks = lab.tasks("rated", config, judging)
        for task in tasks:
            save_file(rated(task), tmp_path / "rated" / f"sparsity-{task.sparsity}-repeat-{task.repeat}.safetensors")
    assert len([*(tmp_path / "rated").iterdir()]) == 6
    runs = [
        lab.judge(method, config, judging, lab.RunOptions(out=Path(out)))
        for method, out in ((rated, "function"), (Path("rated"), "files"))
    ]
    assert runs[0].decision.look == 3
    assert runs[0].results == runs[1].results
    for path in sorted((tmp_path / "function" / "masks").iterdir()):
        assert path.read_bytes() == (tmp_path / "files" / "masks" / path.name).read_bytes()


def test_tasks_outside_a_run_refuse_what_the_run_refuses() -> None:
    """Before the first task is asked for."""
    with pytest.raises(BackendError, match="backend"):
        lab.tasks("rated", lab.ExperimentConfig(backend="nothing"))


@pytest.mark.parametrize(
    ("looks", "margin", "early", "coarse"), [("2", "0.005", 1, 1), ("3 4", "0.02", 1, 0), ("5", "0.005", 0, 1)]
)
def test_what_a_plan_cannot_promise_is_said_once_before_the_work(
    weedout: Weedout, capfd: pytest.CaptureFixture[str], looks: str, margin: str, early: int, coarse: int
) -> None:
    """An arm that ends at once shows that it is before the work."""
    plan = judge("--arm", "of_the_user:ending", "--no-sanity", "--margin", margin, repeats=looks)
    assert weedout(*plan) == 2
    said, failed, _ = capfd.readouterr().err.partition("the arm ending failed")
    assert failed
    assert said.count(f"weedout: warning: the first look is after {looks[0]} repeats: with fewer than 5 pairs") == early
    assert said.count("weedout: warning: the margin is 0.5 points, and one of the 297 test examples") == coarse


@pytest.mark.parametrize("sparsity", ["0", "0.01"])
def test_a_sparsity_that_removes_nothing_is_refused(
    weedout: Weedout, capfd: pytest.CaptureFixture[str], sparsity: str
) -> None:
    assert weedout(*judge("snip", sparsity=sparsity)) == 2
    assert f"sparsity {sparsity} removes no node of this network" in capfd.readouterr().err


@pytest.mark.parametrize("more", [(), ("--strategy", "genetic"), ("--strategy", "genetic", "--rescale")])
def test_the_budget_of_a_method_is_that_of_the_search(weedout: Weedout, tmp_path: Path, more: tuple[str, ...]) -> None:
    assert weedout(*judge("synflow", "--budget-of", "synflow", "--no-sanity", *more)) == 0
    spent = {
        (row.arm, row.repeat): row.computed_macs
        for row in rows(tmp_path / "run", "ledger.csv", LedgerRow)
        if row.phase == "choose"
    }
    for repeat in range(2):
        assert 0 < spent["weedout", repeat] <= spent["synflow", repeat]


def test_random_search_is_judged_in_a_family_of_other_runs(
    weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def of_family(comparisons: str) -> list[str]:
        return judge("weedout", "--baseline", "random", "--family", comparisons)

    assert weedout(*of_family("3")) == 0
    assert "all sentences of a family of 3 comparisons" in " ".join(capfd.readouterr().out.split())
    found = rows(tmp_path / "run", "verdict.csv", VerdictRow)
    assert {(row.method, row.baseline, row.alpha) for row in found} == {("weedout", "random", nominal_level((2, 3), 3))}
    assert weedout("report", "run") == 0, "the verdicts are those of the family"
    page = (tmp_path / "run" / "report.html").read_text()
    assert "all sentences of a family of 3 comparisons" in page
    capfd.readouterr()
    assert weedout(*of_family("4")) == 2
    assert "rules.family (3 there, 4 here)" in capfd.readouterr().err


def test_the_ledger_adds_up(weedout: Weedout, tmp_path: Path) -> None:
    assert weedout(*judge("magnitude_after_training", "--no-sanity")) == 0
    found = rows(tmp_path / "run", "ledger.csv", LedgerRow)
    by_phase = {(row.arm, row.repeat, row.phase): row for row in found}
    data = load_dataset("digits")
    macs, small = 64 * 8 + 8 * 6 + 6 * 10, 64 * 4 + 4 * 3 + 3 * 10
    steps = 2 * (len(data.train.y) // 64)
    for arm in ("weedout", "random", "magnitude_after_training"):
        row = by_phase[arm, 0, "train"]
        seen = 3 * steps * 64
        assert (row.steps, row.dense_macs, row.active_macs) == (steps, seen * macs, seen * small)
        assert row.computed_macs == seen * small, "masks of equal counts are compacted"
        seen = 2 * len(data.test.y) + len(data.train.y) + len(data.test.y)
        assert by_phase[arm, 0, "evaluate"].active_macs == seen * small
    bill = by_phase["magnitude_after_training", 0, "choose"]
    assert (bill.steps, bill.dense_macs) == (steps, 3 * steps * 64 * macs), "the dense training is billed"
    assert by_phase["weedout", 0, "choose"].candidates == 8


def test_a_finished_judgement_is_shown_again_and_not_computed(
    weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert weedout(*judge("snip")) == 0
    first, before = capfd.readouterr().out, contents(tmp_path / "run")
    assert weedout(*judge("snip")) == 0
    assert capfd.readouterr().out == first
    assert contents(tmp_path / "run") == before
    shutil.rmtree(tmp_path / "run" / "groups" / "sparsity-0.5-from-2")
    assert weedout(*judge("snip")) == 0
    assert contents(tmp_path / "run") == before, "a group that is missing is computed again, with equal bytes"


#: A judgement that writes a checkpoint whenever it can, long enough to be hit.
_HIT = [*judge("magnitude_after_training", "snip", epochs="12"), "--checkpoint-minutes", "0", "--threads", "1"]


@pytest.fixture(scope="module")
def unkilled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of that judgement, which nothing has interrupted."""
    folder = tmp_path_factory.mktemp("unkilled") / "run"
    assert main([*_HIT, "--out", str(folder)]) == 0
    return folder


@pytest.mark.parametrize("moment", ["choosing", "training", "second look"])
def test_a_judgement_that_was_killed_ends_with_the_same_bytes(
    weedout: Weedout, start: Callable[..., subprocess.Popen[str]], unkilled: Path, tmp_path: Path, moment: str
) -> None:
    killed = start(*_HIT)
    reached = {
        "choosing": lambda: len(progress().get("chosen", ())) >= 3,
        "training": lambda: bool(progress().get("epochs")),
        "second look": (tmp_path / "run" / "groups" / "sparsity-0.5").exists,
    }[moment]

    def progress() -> dict[str, list[object]]:
        written = sorted((tmp_path / "run" / "checkpoints").rglob("*.json"))
        return json.loads(written[-1].read_text())["progress"] if written else {}

    while not _seen(reached):
        assert killed.poll() is None, "it ended before it was killed"
        time.sleep(0.005)
    killed.kill()
    killed.wait()
    assert not (tmp_path / "run" / "verdict.csv").exists() or moment == "second look"
    assert weedout(*_HIT) == 0
    whole, again = contents(unkilled), contents(tmp_path / "run")
    first, second = (json.loads(files.pop("config.json")) for files in (whole, again))
    assert first.pop("checksum") != second.pop("checksum")
    assert {**first, "command": second["command"]} == second
    assert again == whole


def _seen(reached: Callable[[], bool]) -> bool:
    """Whether a process is so far; False while a file is being replaced."""
    try:
        return reached()
    except FileNotFoundError:
        return False


def test_tables_are_csv_that_others_read(weedout: Weedout, tmp_path: Path) -> None:
    assert weedout(*judge("magnitude")) == 0
    for path in (tmp_path / "run").glob("*.csv"):
        header, *lines = csv.reader(io.StringIO(path.read_text()))
        assert all(len(line) == len(header) for line in lines), path.name


def test_python_judges_as_the_command_does(weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert weedout(*judge("snip", out="command")) == 0
    capfd.readouterr()
    config = lab.ExperimentConfig(
        hidden=(8, 6),
        backend="numpy",
        search=wc.SearchConfig(population=4, generations=2),
        train=wc.TrainConfig(epochs=2, batch_size=64),
    )
    judging = lab.JudgeConfig(sparsity=(0.5,), repeats=(2, 3))
    found = lab.judge("snip", config, judging, lab.RunOptions(out=Path("python")))
    assert capfd.readouterr().out == ""
    assert found.folder == Path("python")
    shown = rows(tmp_path / "command", "verdict.csv", VerdictRow)
    assert [one.sentence for one in found.decision.findings] == [shown[-1].sentence]
    assert list(found.results) == rows(tmp_path / "command", "results.csv", ResultRow)
    other, same = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("command", "python"))
    assert same["digest"] == other["digest"], "it is the same run"


def test_a_function_and_a_folder_are_judged_from_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def first(task: lab.Task) -> dict[str, np.ndarray]:
        return {site.site: np.arange(site.nodes) < site.kept for site in task.plan.sites}

    (tmp_path / "files").mkdir()
    for repeat in range(2):
        save_file({"hidden_0": np.arange(8.0)}, tmp_path / "files" / f"sparsity-0.5-repeat-{repeat}.safetensors")
    config = lab.ExperimentConfig(hidden=(8,), backend="numpy", search=wc.SearchConfig(population=2, generations=1))
    config = replace(config, train=wc.TrainConfig(epochs=1))
    judging = lab.JudgeConfig(sparsity=(0.5,), repeats=(2,), sanity=False)
    found = lab.judge([first, Path("files")], config, judging, lab.RunOptions(out=Path("run")))
    assert [one.method for one in found.decision.findings] == ["first", "files"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"config": lab.JudgeConfig()}, "config must be a ExperimentConfig; got JudgeConfig"),
        ({"judging": lab.ExperimentConfig()}, "judging must be a JudgeConfig; got ExperimentConfig"),
        ({"run": "folder"}, "run must be a RunOptions; got 'folder'"),
    ],
)
def test_a_call_refuses_arguments_of_another_type(tmp_path: Path, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(wc.errors.ConfigError, match=re.escape(said)):
        lab.judge("magnitude", **arguments)
    assert not (tmp_path / "runs").exists()

"""The search throughout training in an experiment: in paper, judge and plan, in the tables, the ledger and the page."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

import weedout_core as wc
from weedout_core._phases.epochs import Shown
from weedout_core.errors import ConfigError
from weedout_core.lab.data.datasets import load_dataset
from weedout_core.lab.experiment.arms import Cell, Start, Work
from weedout_core.lab.experiment.billing import ledger_rows
from weedout_core.lab.experiment.configuration import ExperimentConfig, network
from weedout_core.lab.experiment.ledger import LedgerRow, Meter
from weedout_core.lab.experiment.rows import ResultRow, SearchRow, from_csv
from weedout_core.lab.experiment.searched import after_training

Weedout = Callable[..., int]
SMALL = (
    *("--backend", "numpy", "--hidden", "8", "6", "--sparsity", "0.5", "--repeats", "2", "--population", "4"),
    *("--generations", "2", "--validation-batch", "32", "--epochs", "5", "--batch-size", "300"),
    *("--search-epochs", "2", "--out", "run"),
)
TRAINED, TESTED = 1200, 297  # examples of digits' splits; its validation split has 300
STEPS = TRAINED // 300  # in an epoch


def macs(one: int, two: int) -> int:
    """Of an example through 64 inputs, two hidden layers and ten classes."""
    return 64 * one + one * two + 10 * two


def rows(run: Path, kind: type, name: str) -> list[Any]:
    return from_csv(kind, (run / name).read_text(), name)


def test_the_tables_hold_what_was_found_in_the_end(weedout: Weedout, tmp_path: Path) -> None:
    assert weedout("paper", *SMALL) == 0
    run = tmp_path / "run"
    masks = load_file(run / "masks" / "sparsity-0.5.safetensors")
    searches = rows(run, SearchRow, "search.csv")
    assert [(row.repeat, row.generation) for row in searches] == [(r, g) for r in range(2) for g in range(4)]
    for row in rows(run, ResultRow, "results.csv"):
        kept = {site: int(masks[f"{row.arm}/{row.repeat}/{site}"].sum()) for site in ("hidden_0", "hidden_1")}
        assert kept == {"hidden_0": 4, "hidden_1": 3}
        if row.arm == "weedout":
            last = next(one for one in searches if (one.repeat, one.generation) == (row.repeat, 3))
            assert (row.fitness, row.population_mean_fitness) == (last.best, last.mean)
            assert (row.evaluations, last.final_margin) == (16, last.margin)


@pytest.mark.parametrize("initial", [None, 0.25])
def test_what_is_scored_while_it_trains_is_billed_to_training(
    weedout: Weedout, tmp_path: Path, initial: float | None
) -> None:
    """Two stages of two epochs and one of one; sparsities 0.25, 0.46875 and 0.5 keep 6 and 4, 4 and 3, 4 and 3."""
    given = () if initial is None else ("--initial-sparsity", str(initial))
    assert weedout("paper", *SMALL, *given) == 0
    stages = [(4, 3)] * 3 if initial is None else [(6, 4), (4, 3), (4, 3)]
    billed = {(row.arm, row.phase): row for row in rows(tmp_path / "run", LedgerRow, "ledger.csv") if row.repeat == 0}
    shown, tested = 3 * STEPS * 300, 0
    wanted = 0
    for epochs, kept, scored in zip((2, 2, 1), stages, (0, 4, 4), strict=True):
        wanted += (epochs * shown + scored * 32) * macs(*kept)
        tested += epochs * TESTED * macs(*kept)
    tested += (TRAINED + TESTED) * macs(4, 3)
    row = billed["weedout", "train"]
    assert (row.candidates, row.steps) == (8, 5 * STEPS)
    assert row.dense_macs == (5 * shown + 8 * 32) * macs(8, 6)
    assert row.active_macs == row.computed_macs == wanted
    assert billed["weedout", "evaluate"].computed_macs == tested
    other = billed["control", "train"]
    assert (other.candidates, other.steps, other.computed_macs) == (0, 5 * STEPS, 5 * shown * macs(4, 3))
    first = macs(*stages[0])
    assert billed["weedout", "choose"].computed_macs == 8 * 32 * first, "the search before is of the first sparsity"


@pytest.mark.parametrize(
    "more",
    [
        ("--search-part", "0.6"),
        ("--initial-sparsity", "0"),
        ("--strategy", "one_plus_lambda"),
        ("--sampling", "bernoulli"),
    ],
    ids=["constant", "rising", "bred", "bernoulli"],
)
def test_a_run_goes_on_from_its_checkpoints_with_the_same_bytes(
    weedout: Weedout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    """It is cut off after each epoch of training, until it is done."""
    assert weedout("paper", *SMALL, *more, "--out", "whole") == 0
    epochs, after = 0, Shown.after

    def cut_off(self: Shown, *given: Any) -> Shown:
        nonlocal epochs
        epochs += 1
        if epochs % 2 == 0:
            raise KeyboardInterrupt
        return after(self, *given)

    monkeypatch.setattr(Shown, "after", cut_off)
    cuts = 0
    while not (tmp_path / "run" / "figure2.png").exists():
        weedout("paper", *SMALL, *more, "--checkpoint-minutes", "0")
        cuts += 1
        assert cuts < 30
    assert cuts == 20, "five epochs of each of four networks"
    for name in ("results.csv", "search.csv", "curves.csv", "ledger.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_the_page_and_the_table_say_of_which_networks_fitness_is(
    weedout: Weedout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert weedout("paper", *SMALL) == 0
    assert "partly trained (scored every 2 epochs)" in " ".join(capsys.readouterr().out.split())
    assert weedout("report", "run") == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "partly trained (scored every 2 epochs)" in page
    assert "The last 2 generations of each search were scored while its winner trained" in page
    assert "The sparsity of what was scored" not in page, "it is the same throughout"


def test_the_page_says_at_which_sparsity_each_generation_in_training_was_scored(
    weedout: Weedout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert weedout("paper", *SMALL, "--initial-sparsity", "0.25") == 0
    assert "generation 4 in training" in "".join(capsys.readouterr())
    assert weedout("report", "run") == 0
    page = (tmp_path / "run" / "report.html").read_text()
    cells = re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", page[page.index("The sparsity of what was scored") :])
    wanted = ["before training", "25", "2", "46.88", "4", "50"]  # 50 − 25 · (1 − t/2)³
    assert [cell.strip() for cell in cells[2:8]] == wanted
    assert "in the first generation, which is of sparsity 25 % in each search" in page


def test_it_is_judged_against_random_masks(weedout: Weedout, tmp_path: Path) -> None:
    given = [*SMALL[: SMALL.index("--repeats")], "--repeats", "2", *SMALL[SMALL.index("--repeats") + 2 :]]
    assert weedout("judge", "magnitude", "--baseline", "weedout", "--no-sanity", *given) == 0
    found = rows(tmp_path / "run", ResultRow, "results.csv")
    assert {(row.arm, row.evaluations) for row in found} == {("weedout", 16), ("magnitude", 0), ("random", 0)}


def test_the_plan_counts_what_is_scored_while_it_trains(weedout: Weedout, capsys: pytest.CaptureFixture[str]) -> None:
    assert weedout("plan", *SMALL[: SMALL.index("--out")]) == 0
    shown = capsys.readouterr().out
    assert "search: at most 32 candidates" in shown, "in two repeats four generations of four"
    # each of two networks of two repeats by itself
    assert f"training: {4 * 5 * STEPS} steps" in shown


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"initial_sparsity": 0.2}, "initial_sparsity=0.2 has no effect without search_epochs of at least 1"),
        (
            {"initial_sparsity": 0.6, "train": wc.TrainConfig(search_epochs=2)},
            "initial_sparsity must be at most each sparsity",
        ),
        (
            {
                "initial_sparsity": 0.2,
                "train": wc.TrainConfig(search_epochs=2),
                "search": wc.SearchConfig(fan_counts="kept"),
            },
            'fan_counts="kept" counts the nodes of one sparsity',
        ),
        (
            {"train": wc.TrainConfig(search_epochs=2), "search": wc.SearchConfig(training_steps=3)},
            "needs training_steps=0",
        ),
        (
            {
                "train": wc.TrainConfig(search_epochs=2),
                "search": wc.SearchConfig(elite="cache", batch_policy="fixed"),
            },
            'needs elite="rescore"',
        ),
        (
            {
                "train": wc.TrainConfig(search_epochs=2),
                "search": wc.SearchConfig(strategy="successive_halving"),
            },
            "another strategy than",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_any_work(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ExperimentConfig(sparsity=(0.5,), **given)


@pytest.mark.parametrize("initial", [None, 0.0])
def test_a_search_with_the_budget_of_a_method_goes_on_as_it_began(
    weedout: Weedout, tmp_path: Path, initial: float | None
) -> None:
    """With fewer candidates than were asked for, in the training too, each as large as before the sparsity rises."""
    given = () if initial is None else ("--initial-sparsity", str(initial))
    options = (*SMALL, "--population", "1000", "--budget-of", "synflow", "--no-sanity", *given)
    assert weedout("judge", "synflow", *options) == 0
    billed = {(row.arm, row.repeat, row.phase): row for row in rows(tmp_path / "run", LedgerRow, "ledger.csv")}
    for row in rows(tmp_path / "run", ResultRow, "results.csv"):
        if row.arm != "weedout":
            continue
        chosen, allowed = billed["weedout", row.repeat, "choose"], billed["synflow", row.repeat, "choose"]
        one = chosen.computed_macs // chosen.candidates
        assert one == 32 * (macs(4, 3) if initial is None else macs(8, 6))
        assert 0 <= allowed.computed_macs - chosen.computed_macs < one, "as many as the budget pays for"
        assert 2 < chosen.candidates < 1000
        assert billed["weedout", row.repeat, "train"].candidates == 2 * chosen.candidates, "after 2 and after 4 epochs"
        assert row.evaluations == 3 * chosen.candidates


@pytest.mark.parametrize("rescale", [False, True])
@pytest.mark.parametrize(
    "search",
    [
        {"batch_policy": "whole"},
        {"batch_policy": "whole", "batch_norm": "recalibrated", "validation_batch": 32},
        {"batch_norm": "recalibrated", "validation_batch": 500},
        {"strategy": "genetic"},
    ],
    ids=["whole", "whole-recalibrated", "recalibrated", "genetic"],
)
def test_what_is_billed_to_training_was_computed(search: dict[str, Any], rescale: bool) -> None:
    """Counted at the backend's calls: an epoch's steps, its test, and each candidate's examples at each sparsity."""
    train = wc.TrainConfig(epochs=3, search_epochs=1, batch_size=50, batch_norm_group=50)
    config = ExperimentConfig(
        network="vgg-2", hidden=(), granularity="channel", backend="torch", sparsity=(0.5,), initial_sparsity=0.25,
        search=wc.SearchConfig(population=3, generations=1, **search), train=train, rescale=rescale,
    )  # fmt: skip
    data, key = load_dataset("digits", None, 100, 50), wc.key(1)
    net, backend = network(config, data), wc.load_backend("torch")
    found = wc.search(net, data.validation, sparsity=0.25, backend=backend, key=key, config=config.search)
    meter = Meter(backend, Work())
    trained = wc.train(
        found.network, data.train, backend=meter.backend, key=key, config=train, test=data.test, found=found,
        validation=data.validation, sparsity=0.5,
    )  # fmt: skip
    start = Start(found.network, origin=found.origin, fitness=found.fitness, history=found.history)
    cell = after_training(Cell("weedout", 0, key, start, searched=True), trained)
    billed = {row.phase: row for row in ledger_rows(0.5, cell, config, data, alike=True)}
    after = (100 + 50) * wc.costs(trained.network.compact().net).macs  # in the end both splits are evaluated
    assert billed["train"].computed_macs + billed["evaluate"].computed_macs - after == meter.work.computed_macs
    assert (billed["train"].candidates, billed["train"].steps) == (meter.work.candidates, meter.work.steps) == (6, 6)


def test_the_end_is_billed_by_the_mask_that_was_found(weedout: Weedout, tmp_path: Path) -> None:
    """Under Bernoulli sampling each mask keeps another number of nodes."""
    assert weedout("paper", *SMALL, "--sampling", "bernoulli", "--epochs", "3") == 0
    found = {(row.arm, row.repeat): row for row in rows(tmp_path / "run", ResultRow, "results.csv")}
    for row in rows(tmp_path / "run", LedgerRow, "ledger.csv"):
        if row.phase != "evaluate":
            continue
        stage = found[row.arm, row.repeat].active_macs
        if row.arm == "weedout":  # two epochs under a mask that is not recorded
            assert (row.active_macs - (TESTED + TRAINED + TESTED) * stage) % (2 * TESTED) == 0
            assert row.computed_macs == row.dense_macs, "masks that keep other numbers are trained as the parent"
            assert row.bytes == 4 * wc.costs(wc.mlp(64, (8, 6), 10)).parameters
        else:
            assert row.active_macs == (3 * TESTED + TRAINED + TESTED) * stage


def test_judge_and_sweep_take_an_initial_sparsity_below_their_own(weedout: Weedout, tmp_path: Path, capfd: Any) -> None:
    """Also one above 0, which is among the sparsities of weedout paper."""
    given = (*SMALL, "--epochs", "3")
    assert weedout("judge", "weedout", "--baseline", "random", *given, "--initial-sparsity", "0.25") == 0
    first = next(row for row in rows(tmp_path / "run", LedgerRow, "ledger.csv") if row.arm == "weedout")
    assert first.computed_macs == 8 * 32 * macs(6, 4)
    assert weedout("sweep", *given, "--vary", "initial-sparsity", "0.1", "0.25", "--out", "swept") == 0
    capfd.readouterr()
    assert weedout("judge", "weedout", "--baseline", "random", *given, "--initial-sparsity", "0.75") == 2
    assert "--initial-sparsity must be at most each sparsity" in capfd.readouterr().err


def test_where_all_candidates_are_one_nothing_was_decided(weedout: Weedout, capsys: Any) -> None:
    """Before the sparsity rises from 0, they are; what another backend could decide otherwise comes after that."""
    assert weedout("paper", *SMALL, "--initial-sparsity", "0") == 0
    assert "another backend may elect" not in capsys.readouterr().out
    config = ExperimentConfig(sparsity=(0.5,), initial_sparsity=-0.0, train=wc.TrainConfig(search_epochs=1))
    assert str(config.initial_sparsity) == "0.0", "it makes no other run"

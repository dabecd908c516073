"""The program for an accelerator: it loses nothing that was found, and calls wrong what is wrong."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import weedout_core as wc
from benchmarks.accelerator import clock, program, records, report
from benchmarks.accelerator import processes as bounded
from benchmarks.accelerator.child import Asked
from benchmarks.accelerator.program import Book, Part, parts
from benchmarks.accelerator.records import Notebook, Record
from benchmarks.accelerator.steps import STEPS, Step

ROOT = Path(__file__).parents[2]
MACHINE = {"card": "Test Card 9000", "description": "A machine."}


#: All parts in one process, which imports each framework once; that each has its own, with a bound, is tested below.
IN_ONE_PROCESS = """
import sys
from benchmarks.accelerator import child, processes, program

def run(command, seconds, environment, meanwhile):
    sys.argv = command[2:]
    child.main()
    meanwhile()

processes.run = run
sys.exit(program.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_the_small_mode_goes_through_every_step(tmp_path: Path) -> None:
    for framework in ("jax", "torch"):
        pytest.importorskip(framework)
    data, rng = tmp_path / "cifar", np.random.default_rng(0)
    data.mkdir()
    for name in (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"):
        rows = rng.integers(0, 256, (30, 3073), dtype=np.uint8)
        rows[:, 0] = np.arange(30) % 10
        (data / name).write_bytes(rows.tobytes())
    # More time than the small mode gives itself: another worker has the other core.
    told = {"JAX_PLATFORMS": "cpu", "WEEDOUT_DATA_DIR": str(data)}
    done = subprocess.run(
        [sys.executable, "-c", IN_ONE_PROCESS, "--quick", "--seconds", "900", "--out", str(tmp_path / "out")],
        cwd=ROOT, env=os.environ | told,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert program._environment(data)["WEEDOUT_DATA_DIR"] == str(data), "--data-dir hands the folder to each process"
    (found,) = (tmp_path / "out").glob("accelerator-*.json")
    _, all_of_them = records.load(found)
    assert not [record for record in all_of_them if record.wrong], done.stderr[-3000:]
    assert not [record.row for record in all_of_them if record.row.endswith(" s") and bounded.LATE in record.row]
    assert not [record for record in all_of_them if "note" in record.values], "nobody was unable to do anything"
    wanted = {(name, part) for name, step in STEPS.items() if step.always for part in step.parts}
    assert {(record.step, record.part) for record in all_of_them} == wanted
    text = (tmp_path / "out" / "RESULTS.md").read_text(encoding="utf-8")
    for title in [step.title for step in STEPS.values() if step.always]:
        assert f"\n### {title}\n" in text
    for row in ("| golden masks | equal | equal |", "| weedout jax, vmap, highest |", "| torch.compile, dense |",
                "| JAX vmap of masks, default |", "| η = 0.8, weedout |", "| torch.randperm |"):  # fmt: skip
        assert row in text, row
    assert len(list((tmp_path / "out").iterdir())) == 2, "at most eight files"


@pytest.mark.slow
def test_a_step_that_fails_or_takes_too_long_leaves_what_the_others_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    behave = {
        "fine": "pass",
        "broken": "raise SystemExit(3)",
        "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "slow": "import time; time.sleep(60)",
        "after": "pass",
    }

    def child(part: Part, path: Path, quick: bool) -> list[str]:
        if part.step == "place":
            return [sys.executable, "-c", ""]
        code = (
            "from pathlib import Path; from benchmarks.accelerator.records import Notebook\n"
            f"Notebook(Path({str(path)!r}), {part.step!r}, {part.part!r}).line('found by {part.part}')\n"
        )
        return [sys.executable, "-c", code + behave[part.part]]

    monkeypatch.setattr(program, "child", child)
    shares = {"fine": 10.0, "broken": 10.0, "killed": 10.0, "slow": 1.0, "after": 10.0}
    for module in (program, report):
        monkeypatch.setattr(module, "STEPS", {"one": Step("One", shares)})
    began = time.monotonic()
    assert program.main(["--out", str(tmp_path), "--seconds", "30"]) == 0
    assert time.monotonic() - began < 30
    (path,) = tmp_path.glob("*.json")
    lines = [record.row for record in records.load(path)[1]]
    assert [line for line in lines if line.startswith("found by")] == [f"found by {part}" for part in behave]
    others = [line for line in lines if not line.startswith("found by")]
    assert others[:2] == ["broken: failed with exit status 3", "killed: failed with exit status -9"]
    assert re.fullmatch(rf"slow: {bounded.LATE} of \d s", others[2]), others
    text = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert "Wrong, or failed (2):" in text, "what takes too long is no wrong answer"
    assert "- found by after" in text


@pytest.mark.slow
def test_what_a_process_has_started_ends_with_it(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    code = (
        "import subprocess, sys, time\n"
        "other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(path)!r}, 'w').write(str(other.pid))\n"
        "time.sleep(60)"
    )
    polls: list[float] = []
    said = bounded.run([sys.executable, "-c", code], 3, dict(os.environ), lambda: polls.append(time.monotonic()))
    assert said == f"{bounded.LATE} of 3 s"
    assert len(polls) > 5, "what it writes is read while it runs"
    state = Path(f"/proc/{path.read_text()}/stat")
    deadline = time.monotonic() + 60
    while state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


def test_an_interruption_ends_the_process_and_says_where_everything_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(command: Sequence[str], seconds: float, environment: Any, meanwhile: Any) -> None:
        if command[3] != "place":
            raise KeyboardInterrupt

    monkeypatch.setattr(bounded, "run", interrupted)
    assert program.main(["--out", str(tmp_path), "--only", "sample"]) == 130
    assert f"interrupted; what was found until now is in {tmp_path}" in capsys.readouterr().err


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    assert records.read(path) == []
    notes = Notebook(path, "search", "jax")
    notes.row("table", "row", {"ms": 1.5})
    notes.line("a line", wrong=True)
    with path.open("a") as file:
        file.write('{"step": "sea')
    assert records.read(path) == [
        Record("search", "jax", "table", "row", {"ms": 1.5}),
        Record("search", "jax", "", "a line", {}, True),
    ]


def test_a_later_run_replaces_what_it_measured_and_keeps_the_rest(tmp_path: Path) -> None:
    def one(step: str, row: str) -> Record:
        return Record(step, "jax", "a table", row, {"ms": 1.0})

    first = Book(tmp_path, MACHINE)
    first.replace("search", "jax", [one("search", "old")])
    first.replace("train", "jax", [one("train", "kept")])
    Book(tmp_path, {**MACHINE, "card": "Other"}).replace("search", "jax", [one("search", "of another card")])
    second = Book(tmp_path, MACHINE)
    second.replace("search", "jax", [one("search", "new")])
    assert second.path.name == "accelerator-test-card-9000.json"
    assert [record.row for record in records.load(second.path)[1]] == ["kept", "new"]
    text = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert "| old |" not in text
    mine, theirs = (
        text.partition("## Accelerator: Test Card 9000")[2].split("## Accelerator")[0],
        text.partition("## Accelerator: Other")[2],
    )
    assert "| kept |" in mine
    assert "| new |" in mine
    assert "| of another card |" in theirs
    (tmp_path / "RESULTS.md").unlink()
    assert program.main(["--out", str(tmp_path), "--only"]) == 0, "written again from the two files"
    assert "| new |" in (tmp_path / "RESULTS.md").read_text(encoding="utf-8")


def test_processes_share_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock_ = [0.0]
    monkeypatch.setattr(program.time, "monotonic", lambda: clock_[0])
    monkeypatch.setattr(program, "STEPS", {"a": Step("A", {"x": 1, "y": 1}), "b": Step("B", {"x": 2}, always=False)})
    assert [one.seconds for one in parts(["a"], 100.0)] == [50.0, 100.0], "what the first left is the second's"
    taken = []
    for one in parts(["b", "a"], 100.0):
        taken.append(one)
        clock_[0] += one.seconds
    assert taken == [Part("a", "x", 25.0), Part("a", "y", 25.0), Part("b", "x", 50.0)], "in order of worth"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "warp"], "invalid choice: 'warp'"),
        (["--seconds", "0"], "--seconds must be above 0; got 0."),
        (["--data-dir", "nowhere"], "--data-dir must be a folder; there is none at nowhere."),
    ],
)
def test_options_that_make_no_sense(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        program.main(arguments)
    assert left.value.code == 2
    assert said in capsys.readouterr().err


def test_rows_of_one_name_stand_side_by_side_and_times_are_held_against_the_loop() -> None:
    found = [
        Record("search", "torch", "t", "PyTorch loop, highest", {"ms": 8.0}),
        Record("search", "jax", "t", "weedout jax, map, highest", {"ms": 2.0}),
        Record("search", "jax", "t", "weedout jax, vmap, highest", {"note": "out of | memory"}),
        Record("equal", "torch", "e", "words", {"torch": "equal"}),
        Record("equal", "jax", "e", "words", {"jax": "WRONG: 5 words"}, True),
    ]
    text = report.report(MACHINE, found).text
    assert "| words | equal | WRONG: 5 words |" in text
    assert "| weedout jax, map, highest | 2.00 | 4.00 |  |" in text
    assert "out of \\| memory" in text
    assert "Wrong, or failed (1):\n\n- Equal to the CPU, jax: e, words: WRONG: 5 words" in text
    assert "Nothing was wrong" in report.report(MACHINE, found[:4]).text
    failed = Record("kit", "jax", "The whole kit", "a check", {"jax": "failed: off by 2\n    Failing test case"}, True)
    assert "| a check | failed: off by 2 |" in report.report(MACHINE, [failed]).text, "a row is one line"


def test_nothing_is_timed_before_its_answer_is_right(tmp_path: Path) -> None:
    calls: list[int] = []

    def check(given: int) -> None:
        assert given < 1, "too large"

    assert clock.measure(lambda: calls.append(0) or 0, check, quick=True).first > 0
    assert len(calls) == 2, "the first call, and a round"
    asked = Asked("jax", True, 0.0, Notebook(tmp_path / "notes", "search", "jax"))
    asked.attempt("t", "off", lambda: clock.measure(lambda: calls.append(1) or 1, check, quick=True).columns())
    asked.attempt("t", "cannot", lambda: {}[0])
    asked.attempt("t", "can", lambda: {"ms": 1.0})
    assert len(calls) == 3, "the first call alone"
    off, cannot, can = records.read(tmp_path / "notes")
    assert (off.wrong, off.values) == (True, {"note": "AssertionError: too large"})
    assert (cannot.wrong, cannot.values) == (False, {"note": "KeyError: 0"})
    assert can.values == {"ms": 1.0}


@pytest.mark.filterwarnings("ignore:sparsity:weedout_core.WeedoutWarning")
def test_wrong_words_and_masks_are_seen() -> None:
    pytest.importorskip("hypothesis")
    from benchmarks.accelerator import equal

    right = wc.load_backend("numpy")

    def flipped(keys: Any, plan: wc.backend.MaskPlan) -> Any:
        masks = {site: np.array(mask) for site, mask in right.masks_from_keys(keys, plan).items()}
        last = masks[plan.sites[-1].site].reshape(len(keys), -1)
        last[-1, -1] = ~last[-1, -1]
        return masks

    def off(key: Any, n: int) -> Any:
        return np.asarray(right.random_bits(key, n)) + np.uint32(n > 1000)

    wrong = replace(right, masks_from_keys=flipped, random_bits=off)
    for compare in (equal._words, equal._masks, equal._golden):
        assert list(compare(right, True)) == []
        assert list(compare(wrong, True)), compare.__name__


def test_another_winner_is_wrong_unless_it_was_too_close_to_call() -> None:
    from benchmarks.accelerator import equal

    one = equal.elections(quick=True)[0]
    backend = wc.load_backend("numpy")
    data = equal._data(one)
    wanted = wc.search(one.net, data, sparsity=one.sparsity, backend=backend, key=wc.key(one.seed), config=one.config)
    assert equal.judge(wanted, wanted) == equal.Outcome("equal", 0.0, False)
    generation = wanted.history[-1]
    other = wc.backend.Origin(generation.elite.generation, generation.elite.candidate + 1)
    found = wanted._replace(history=(*wanted.history[:-1], generation._replace(elite=other)))
    assert equal.judge(found, wanted).wrong
    order = np.argsort(generation.fitness)
    near = generation.fitness.copy()
    near[order[-2]] = near[order[-1]] - 1e-6
    close = wanted._replace(history=(*wanted.history[:-1], generation._replace(fitness=near)))
    outcome = equal.judge(found, close)
    assert outcome.answer.startswith("too close to call in generation ")
    assert not outcome.wrong
    network = wanted.network
    assert network.mask
    site, mask = next(iter(network.mask.items()))
    altered = wanted._replace(network=replace(network, mask={**network.mask, site: ~mask}))
    assert equal.judge(altered, wanted) == equal.Outcome("WRONG: the winner's mask", 0.0, True)
    assert len(equal.elections(quick=False)) == 10


def test_the_work_of_a_search_and_a_step_is_what_the_layers_do() -> None:
    pytest.importorskip("jax")
    pytest.importorskip("torch")
    from benchmarks.accelerator import limits

    for net in (wc.mlp(6, (5, 4), 3), wc.wide_resnet(10, 1, 4, (8, 8, 3), granularity="channel")):
        assert sum(layer.macs for layer in limits.weight_layers(net)) == wc.costs(net).macs
    net = wc.mlp(6, (5, 4), 3)
    assert limits.forward(net, 7) == (7 * (30 + 20 + 12), 4 * (7 * (6 + 5 + 5 + 4 + 4 + 3) + 30 + 20 + 12))
    plan = wc.mask_plan(wc.mask_space(net), 0.5)  # keeps 2 of 5 and 2 of 4
    assert limits.search(net, plan, 10, 7).macs == 7 * (30 + 10 * (2 * 2 + 2 * 3))
    assert limits.training_step(net, 7).macs == 7 * (3 * 62 - 30)


def test_epochs_that_fit() -> None:
    from benchmarks.accelerator.cifar import epochs_that_fit
    from weedout_core.lab.experiment.rows import TimingRow

    rows = [
        TimingRow(0.0, "train", None, 12.0, 8.0),
        TimingRow(0.8, "train", None, 3.0, 2.0),
        TimingRow(0.8, "search", 0, 2.0, None),
    ]
    assert epochs_that_fit(rows, 100.0) == 15, "80 s, 2 of them another phase's, 5 an epoch"
    assert epochs_that_fit(rows, 1.0) == 1
    assert epochs_that_fit(rows, 1e6) == 200


def test_the_requirements_are_all_that_is_needed_beyond_the_frameworks() -> None:
    frameworks = {"jax", "torch", "numpy", "scipy", "numba", "hypothesis", "pytest", "optax"}
    path = ROOT / "benchmarks" / "accelerator" / "requirements.txt"
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    carried = {canonicalize_name(Requirement(line).name) for line in lines}
    assert closure({"weedout-core"}, extra="lab") - closure(frameworks) - {"weedout-core"} <= carried
    assert not carried & frameworks


def closure(names: set[str], extra: str = "") -> set[str]:
    """Distributions and what they need here, the first ones with an extra."""
    found, waiting = set[str](), dict.fromkeys(names, extra)
    while waiting:
        name, wanted = waiting.popitem()
        found.add(name)
        with suppress(metadata.PackageNotFoundError):  # of another platform
            for need in map(Requirement, metadata.requires(name) or []):
                if need.marker is None or need.marker.evaluate({"extra": wanted}):
                    waiting |= dict.fromkeys({canonicalize_name(need.name)} - found, "")
    return found


def test_the_instructions_name_steps_that_are_there_and_all_of_them(tmp_path: Path) -> None:
    text = (ROOT / "benchmarks" / "ACCELERATOR.md").read_text(encoding="utf-8").replace("--data-dir cifar", "")
    commands = re.findall(r"`python -m benchmarks accelerator (--out [^`]*)`", text)
    asked = [program._asked(command.split()).only for command in [*commands, "--out found --only kit"]]
    assert len(commands) == 2
    assert [step for steps in asked for step in steps] == list(STEPS), "in order of worth"
    assert "`--only kit --seconds 600`" in text


def test_the_program_itself_imports_no_framework() -> None:
    names = ("jax", "torch", "weedout_core")
    code = (
        f"import json, sys, benchmarks.accelerator.program; print(json.dumps([n for n in {names} if n in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []

"""The benchmarks: their small mode runs, and what they write down is what was measured."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import weedout_core as wc
from benchmarks import alone, results, section, timing

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

#: What the small mode of each group writes: its title, rows, and a line for each thing that was to be reached.
SAID: dict[str, tuple[str, ...]] = {
    "search-mlp": (
        "## Search, MLP",
        "| weedout jax |",
        "| PyTorch loop |",
        "| arithmetic limit |",
        "Connecting, once a process: ",
        "- η = 0.8: weedout jax, times the plain PyTorch loop, at least 20: ",
        "- η = 0.8: weedout jax, times the arithmetic limit, at most 1.5: ",
        "- η = 0.8: weedout torch, times the plain PyTorch loop, at least 10: ",
        "- η = 0.8: weedout jax, times the best peer, at least 1.5: ",
        "- η = 0.8: weedout torch, times the best peer, at least 1.5: ",
    ),
    "search-wrn": (
        "## Search, WRN",
        "| PyTorch loop, channels_last |",
        "| torch.func.vmap, channels_last |",
        "| torch.nn.utils.prune, channels_last |",
        "- torch.nn.utils.prune is left out: ",
        "- channel masks, η = 0.8: weedout jax, times the plain loop, at least 8: ",
        "- channel masks, η = 0.8: weedout torch, times the plain loop, at least 5: ",
        "- node masks, η = 0.8: weedout jax, times the best peer, at least 1: ",
        "- node masks, η = 0.8: weedout torch, times the best peer, at least 1: ",
    ),
    "counts": (
        "## Search, other counts",
        "| weedout torch, Bernoulli |",
        "| PyTorch loop |",
        "- wide: weedout jax, exact, handed in, times exact sampling, at most 1.15: ",
        "- narrow: weedout torch, Bernoulli, times exact sampling, at most 2.2: ",
        "- wide: weedout torch, Bernoulli, times faster than the best masked peer, at least 7: ",
    ),
    "connections": (
        "## Search, connections",
        "| torch.nn.utils.prune |",
        "- weedout jax, times ",
        "- weedout torch, handed in, times ",
    ),
    "sampling": (
        "## Sampling",
        "- weedout jax, times the best of the three, at least 1: ",
        "- weedout torch, times the best of the three, at least 1: ",
    ),
    "engines": (
        "## Engines",
        "| processes |",
        "- processes, ms a group, at most 5: ",
        "- processes, MiB more after 100 groups, at most 20: ",
        "- digits, two workers over one process, at most 1.2: ",
    ),
    "words": (
        "## Random words",
        "- weedout torch, of jax.random.bits's time, at most 2: ",
        "- weedout torch, of weedout jax's time, at most 2: ",
    ),
    "training": (
        "## Training step",
        "| PyTorch eager, dense, channels_last |",
        "- WRN-16-4, compacted at η = 0.8 on jax, times its dense step, at least 4: ",
        "- WRN-16-4, compacted at η = 0.8 on torch, times its dense step, at least 3: ",
        "- MLP, compacted at η = 0.8 on jax, times its dense step, at least 8: ",
        "- MLP, compacted at η = 0.8 on torch, times its dense step, at least 8: ",
        "- MLP, compacted at η = 0.8 on torch, times PyTorch eager, dense: ",
        "- WRN-16-4, compacted at η = 0.8 on jax, times PyTorch eager, dense, channels_last: ",
        "- WRN-16-4, dense step on jax, of PyTorch eager's, at most 1.2: ",
    ),
    "adopted-mlp": (
        "## Adopted, MLP",
        "| weedout jax, adopted |",
        "- η = 0.8: weedout jax, adopted, times `jit` in a loop over masks, at least 4: ",
        "- η = 0.8: weedout jax, adopted, times `jit` of `vmap` over masks: ",
    ),
    "growth": (
        "## Growth",
        "- jax: distance of the exponent in the population from 1, at most 0.05: ",
        "- jax: MiB more at 200 candidates than at 100, one chunk, at most 16: ",
    ),
    "adopted-resnet": (
        "## Adopted, ResNet",
        "| weedout torch, adopted |",
        "- torchvision's stem: weedout torch, adopted, times hooks in a loop, at least 1.4: ",
    ),
    "digits": (
        "## End to end: digits",
        "|  | seconds | compiling | running | the rest |",
        "- weedout paper on digits, 50 cells, on jax, seconds, at most 45: ",
    ),
    "memory": (
        "## Memory",
        "- peak GiB at 4 candidates, at most 6: ",
        "- MiB more at 4 candidates than at 2, the masks of one chunk, at most ",
    ),
}
FIGURES = {
    "search-mlp": ("search-mlp.png", "search-mlp-bars.png", "search-mlp-bars-dark.png"),
    "search-wrn": ("search-wrn.png",),
    "training": ("training.png",),
}


# Two halves that take about as long, so that two workers share them.
@pytest.mark.parametrize(
    "groups",
    [
        ("search-mlp", "search-wrn", "counts", "connections", "sampling", "words", "growth", "engines"),
        ("training", "adopted-mlp", "adopted-resnet", "digits", "memory"),
    ],
)
def test_the_small_mode_runs(groups: tuple[str, ...], tmp_path: Path) -> None:
    pytest.importorskip("jax")
    pytest.importorskip("torch")
    path = os.pathsep.join(str(ROOT / part) for part in (".", "reference", "backends"))
    # A thread each: those of two workers would wait for one another, spinning.
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--out", str(tmp_path), *groups],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": path,
            "JAX_PLATFORMS": "cpu",
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    text = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    for said in (line for group in groups for line in SAID[group]):
        assert f"\n{said}" in text, said
    assert "not measured" not in text, "what is asked is answered"
    for figure in (name for group in groups for name in FIGURES.get(group, ())):
        assert (tmp_path / figure).read_bytes().startswith(b"\x89PNG"), figure


def test_the_small_mode_of_every_group_is_run() -> None:
    pytest.importorskip("jax")
    pytest.importorskip("torch")
    from benchmarks.groups import GROUPS

    assert set(SAID) == set(GROUPS)
    assert list(GROUPS)[-1] == "memory", "the longest one comes last"


def test_pytorchs_peers_compute_in_each_layout_of_images() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("torch_pruning")
    from benchmarks import peers_torch
    from benchmarks.task import search_task

    net = wc.wide_resnet(10, 1, 10, (8, 8, 3), granularity="channel")
    for make in (peers_torch.loop, peers_torch.vmap, peers_torch.prune, peers_torch.torch_pruning):
        laid_out: dict[str, list[bool]] = {}

        def watched(task: Any, given: Any, make: Any = make, laid_out: dict[str, list[bool]] = laid_out) -> Any:
            found = laid_out.setdefault(str(given.layout), [])
            found.append(given.x.is_contiguous(memory_format=given.layout))

            def note(module: Any, inputs: Any) -> None:
                found.append(module.weight.is_contiguous(memory_format=given.layout))

            for module in given.model.modules():
                if isinstance(module, torch.nn.Conv2d):
                    module.register_forward_pre_hook(note)  # copies of the model have it too
            return make(task, given)

        peers = peers_torch.in_each_layout(watched)(search_task(net, 0.8, 2, 4))
        default, channels_last = (peer.run() for peer in peers.values())
        assert list(peers) == ["", ", channels_last"], make
        assert abs(default - channels_last).max() < 1e-4, "float32 sums in other orders"
        assert set(laid_out) == {"torch.contiguous_format", "torch.channels_last"}, make
        assert all(len(found) > 1 and all(found) for found in laid_out.values()), make


def test_processes_take_turns_and_their_memory_is_the_median(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {2: iter([3.0, 1.0, 2.0]), 4: iter([30.0, 10.0, 20.0])}

    def search(asked: alone.Asked) -> alone.Alone:
        took = next(seconds[asked.config.population])
        return alone.Alone(timing.Timed(took, (took,)), 100 * took)

    net, turns = wc.mlp(2, (2,), 2), []
    monkeypatch.setattr(alone, "search_alone", search)
    found = alone.alternately(
        {m: alone.Asked(net, 0.5, wc.SearchConfig(population=m), "numpy") for m in seconds},
        3,
        lambda m, one: turns.append((m, one.peak)),
    )
    assert turns == [(2, 300), (4, 3000), (2, 100), (4, 1000), (2, 200), (4, 2000)]
    assert found == {
        2: alone.Alone(timing.Timed(2.0, (3.0, 1.0, 2.0)), 200.0),
        4: alone.Alone(timing.Timed(20.0, (30.0, 10.0, 20.0)), 2000.0),
    }


def test_the_masks_of_a_chunk_bound_what_more_candidates_take() -> None:
    pytest.importorskip("jax")
    pytest.importorskip("torch")
    from benchmarks.memory import chunk_mib

    net = wc.mlp(2, (2**20,), 2)  # 16 candidates fill a chunk; a node takes 1 + 4 + 4 bytes
    for population, chunk in ((2, 2), (16, 16), (100, 16)):
        assert chunk_mib(net, 0.5, wc.SearchConfig(population=population)) == 9 * chunk


def test_a_run_replaces_its_sections_and_keeps_the_others_in_order(tmp_path: Path) -> None:
    order = ["First", "Second", "Third"]
    for title, text in (("Third", "three"), ("First", "one"), ("Second", "two"), ("First", "uno\n\n### part")):
        results.write(tmp_path, section.Section(title, text, {"figure.png": title.encode()}), order)
    text = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert text.split("\n## ", 1)[1] == "First\n\nuno\n\n### part\n\n## Second\n\ntwo\n\n## Third\n\nthree\n"
    assert (tmp_path / "figure.png").read_bytes() == b"First"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["RESULTS.md", "figure.png"], "nothing half-written"


def test_everybody_is_called_once_a_round_and_every_other_round_goes_backwards() -> None:
    called: list[str] = []
    runs = {name: lambda name=name: called.append(name) or name for name in "abc"}
    given: list[Mapping[str, object]] = []
    timed = timing.alternate(runs, 3, lambda sentence: None, given.append)
    assert "".join(called) == "abc" + "abc" + "cba" + "abc"
    assert given == [{"a": "a", "b": "b", "c": "c"}], "the check sees what the first calls gave"
    assert all(len(one.rounds) == 3 for one in timed.values())


def test_nothing_is_timed_where_candidates_do_not_agree() -> None:
    def check(given: Mapping[str, object]) -> None:
        raise AssertionError(str(given))

    with pytest.raises(AssertionError, match="'a': 1"):
        timing.alternate({"a": lambda: 1}, 1, lambda sentence: None, check)


def test_a_ratio_is_the_median_of_the_rounds_own_ratios_and_their_spread() -> None:
    slow, fast = timing.Timed(9.0, (2.0, 30.0, 8.0)), timing.Timed(9.0, (1.0, 10.0, 2.0))
    assert slow.over(fast) == timing.Ratio(median=3.0, least=2.0, most=4.0)
    assert slow.median == 8.0


@pytest.mark.parametrize(
    ("line", "ends"),
    [
        (section.at_least("faster", 20, 23.1), "faster, at least 20: 23.1, **yes**"),
        (section.at_least("faster", 20, 19.96), "faster, at least 20: 20.0, **no**"),
        (section.at_most("of the limit", 1.5, 1.5), "of the limit, at most 1.5: 1.50, **yes**"),
        (section.at_most("of the limit", 1.5, 1.52), "of the limit, at most 1.5: 1.52, **no**"),
        (section.at_least("faster", 20, None), "faster, at least 20: not measured"),
        (section.at_most("more", 136.3795, 12), "more, at most 136.4: 12.0, **yes**"),
        (
            section.at_least("faster", 1, timing.Ratio(1.02, 0.98, 1.07)),
            "faster, at least 1: 1.02 (0.980 to 1.07), **yes**",
        ),
        (
            section.at_least("faster", 1, timing.Ratio(0.99, 0.98, 1.07)),
            "faster, at least 1: 0.990 (0.980 to 1.07), **no**",
        ),
        (
            section.at_most("of it", 1.2, timing.Ratio(1.1, 0.9, 1.3)),
            "of it, at most 1.2: 1.10 (0.900 to 1.30), **yes**",
        ),
        (section.plainly("faster", timing.Ratio(4.08, 4, 4.2)), "faster: 4.08 (4.00 to 4.20)"),
    ],
)
def test_what_was_to_be_reached_is_answered(line: str, ends: str) -> None:
    assert line == f"- {ends}"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (1234.5, "1,234"),
        (99.96, "100.0"),
        (23.06, "23.1"),
        (1.234, "1.23"),
        (0.0123, "0.0123"),
        (0.12, "0.120"),
    ],
)
def test_numbers_have_three_digits_that_count(value: float, shown: str) -> None:
    assert section.number(value) == shown

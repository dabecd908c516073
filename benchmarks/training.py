"""A training step, dense, masked and compacted, against PyTorch eager dense."""

from collections.abc import Callable, Mapping

import numpy as np

import weedout_core as wc
from benchmarks import machine
from benchmarks.eager import eager
from benchmarks.figures import Panel, draw
from benchmarks.networks_torch import layouts
from benchmarks.ours import our_epoch
from benchmarks.section import Section, at_least, at_most, number, plainly, table
from benchmarks.timing import Ratio, Say, Timed, alternate
from benchmarks.work import BATCH, Work, work

_BACKENDS = ("jax", "torch")
_EAGER = "PyTorch eager, dense"
_MASKED = 0.8  # the sparsity at which masks are measured: what is masked is computed, whatever the sparsity
_AGREEMENT = 1e-3  # float32 gradients in other orders, over a few steps


def run(quick: bool, say: Say) -> Section:
    """784-1024-1024-10 and WRN-16-4 with channel masks, batch 128."""
    if quick:
        mlp, wide = wc.mlp(16, (32, 32), 10), wc.wide_resnet(10, 1, 10, (8, 8, 3), granularity="channel")
        sizes, rounds, sparsities = (3, 2), 2, {"mlp": (0.8,), "wide": (0.8,)}
    else:
        mlp, wide = wc.mlp(784, (1024, 1024), 10), wc.wide_resnet(16, 4, 10, granularity="channel")
        # Several steps an epoch: each call of a program takes its memory anew, and Linux clears it page by page.
        sizes, rounds = (20, 4), 7
        sparsities = {"mlp": (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9), "wide": (0.2, 0.5, 0.8, 0.9)}
    parts: list[str] = []
    panels: list[Panel] = []
    all_of_them: dict[str, dict[str, Timed]] = {}
    names = {"mlp": "784-1024-1024-10", "wide": "WRN-16-4, channel masks"}
    for (which, net), steps in zip({"mlp": mlp, "wide": wide}.items(), sizes, strict=True):
        say(f"training {'a small network' if quick else names[which]}")
        timed = compare(work(net, steps), sparsities[which], rounds, say)
        all_of_them[which] = timed
        label = "A small network" if quick else names[which]
        parts.append(_part(label, timed, steps))
        panels.append(_panel(label, timed, steps, sparsities[which]))
    text = [
        f"Batch {BATCH}, SGD with Nesterov momentum and decay, one network; float32. Times are those of an epoch of a "
        "few steps over its steps. Masked is measured at η = 0.8. The losses of all that train the same network were "
        "the same within 0.1 % before any timing.",
        machine.description(),
        machine.connecting(),
        *parts,
        "\n".join(_accepted(all_of_them["mlp"], all_of_them["wide"])),
    ]
    return Section("Training step", "\n\n".join(text), {"training.png": draw("Training step", panels)})


def compare(task: Work, sparsities: tuple[float, ...], rounds: int, say: Say) -> dict[str, Timed]:
    """Time epochs; their losses must agree where the network is the same."""
    runs: dict[str, Callable[[], np.ndarray]] = {
        f"{_EAGER}{added}": eager(task, layout) for added, layout in layouts(task.x).items()
    }
    for name, backend in machine.load_backends(_BACKENDS, say).items():
        runs[f"weedout {name}, dense"] = our_epoch(backend, task, None, compacted=False)
        runs[f"weedout {name}, masked"] = our_epoch(backend, task, _MASKED, compacted=False)
        for sparsity in sparsities:
            runs[f"weedout {name}, compacted at {sparsity}"] = our_epoch(backend, task, sparsity, compacted=True)

    def check(given: Mapping[str, np.ndarray]) -> None:
        wanted: dict[str, np.ndarray] = {}
        for name, losses in given.items():
            kind = name.split(", ")[1].replace("masked", f"compacted at {_MASKED}")
            np.testing.assert_allclose(losses, wanted.setdefault(kind, losses), rtol=_AGREEMENT, err_msg=name)

    return alternate(runs, rounds, say, check)


def _part(label: str, timed: dict[str, Timed], steps: int) -> str:
    rows = [
        [
            name,
            number(1e3 * one.median / steps),
            number(timed[_EAGER].over(one).median),
            number(timed[f"{name.partition(', ')[0]}, dense"].over(one).median),
            number(one.first),
        ]
        for name, one in timed.items()
    ]
    head = [label, "ms a step", "× PyTorch eager dense", "× own dense", "first call, s"]
    return table(head, rows)


def _panel(label: str, timed: dict[str, Timed], steps: int, sparsities: tuple[float, ...]) -> Panel:
    lines: dict[str, dict[float, float]] = {}
    for name, one in timed.items():
        who, _, at = name.partition(" at ")
        where = [float(at)] if at else sparsities
        lines[who] = lines.get(who, {}) | dict.fromkeys(where, 1e3 * one.median / steps)
    return Panel("sparsity η", f"{label}: ms a step", lines)


def _accepted(mlp: dict[str, Timed], wide: dict[str, Timed]) -> list[str]:
    return [
        *_compacted("WRN-16-4", wide, "jax", 4),
        *_compacted("WRN-16-4", wide, "torch", 3),
        *(line for name in _BACKENDS for line in _compacted("MLP", mlp, name, 8)),
        at_most("WRN-16-4, dense step on jax, of PyTorch eager's", 1.2, _over(wide, "weedout jax, dense", _EAGER)),
    ]


def _compacted(network: str, timed: dict[str, Timed], backend: str, least: float) -> list[str]:
    """How many times a backend's own dense step, which is asked for, and how many times PyTorch's, which is not."""
    what, name = f"{network}, compacted at η = 0.8 on {backend}, times", f"weedout {backend}, compacted at 0.8"
    return [
        at_least(f"{what} its dense step", least, _over(timed, f"weedout {backend}, dense", name)),
        *(plainly(f"{what} {other}", _over(timed, other, name)) for other in timed if other.startswith(_EAGER)),
    ]


def _over(timed: dict[str, Timed], one: str, other: str) -> Ratio | None:
    return timed[one].over(timed[other]) if one in timed and other in timed else None

"""The search: scoring one population, against peers and against the arithmetic limit."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

import weedout_core as wc
from benchmarks import machine
from benchmarks.chart import charts
from benchmarks.figures import Panel, draw
from benchmarks.ours import our_search
from benchmarks.peers_search import LOOP, search_peers
from benchmarks.section import Section, at_least, at_most, number, table
from benchmarks.task import Task, search_task
from benchmarks.timing import Ratio, Say, Timed, alternate

_BACKENDS = ("jax", "torch", "torch_xla")
_COMPILED_SOON = ("jax", "torch")
_AGREEMENT = 1e-4  # float32 sums in other orders


class Compared(NamedTuple):
    """One search by everybody.

    Attributes:
        timed: by name; ours are called "weedout" and the backend.
        left_out: peers that cannot, and why.
        limit: what the multiply-adds alone would take.
        size: candidates.
        gflops: the matrix speed of the same rounds.
    """

    timed: dict[str, Timed]
    left_out: dict[str, str]
    limit: Timed
    size: int
    gflops: float

    @property
    def peers(self) -> dict[str, Timed]:
        return {name: timed for name, timed in self.timed.items() if not name.startswith(_OURS)}

    @property
    def ours(self) -> dict[str, Timed]:
        return {name: timed for name, timed in self.timed.items() if name.startswith(_OURS)}

    def over_loop(self, name: str) -> Ratio | None:
        return self.timed[LOOP].over(self.timed[name]) if name in self.timed else None

    def over_best_peer(self, name: str) -> Ratio | None:
        best = min(self.peers.values(), key=lambda timed: timed.median)
        return best.over(self.timed[name]) if name in self.timed else None

    def of_limit(self, name: str) -> Ratio | None:
        return self.timed[name].over(self.limit) if name in self.timed else None


_OURS = "weedout "
_MATRICES = "2048³"


def run_mlp(quick: bool, say: Say) -> Section:
    """784-1024-1024-10, 100 candidates, batch 1,024."""
    net = wc.mlp(16, (32, 32), 10) if quick else wc.mlp(784, (1024, 1024), 10)
    size, batch = (4, 64) if quick else (100, 1024)
    backends, compared = _COMPILED_SOON if quick else _BACKENDS, dict[float, Compared]()
    for sparsity in (0.8,) if quick else (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        say(f"sparsity {sparsity}")
        rounds = 2 if quick else 9 if sparsity == 0.8 else 3
        compared[sparsity] = compare(search_task(net, sparsity, size, batch), rounds, backends, say)
    at = compared[0.8]
    accepted = [
        at_least("η = 0.8: weedout jax, times the plain PyTorch loop", 20, at.over_loop("weedout jax")),
        at_most("η = 0.8: weedout jax, times the arithmetic limit", 1.5, at.of_limit("weedout jax")),
        at_least("η = 0.8: weedout torch, times the plain PyTorch loop", 10, at.over_loop("weedout torch")),
        *(
            at_least(f"η = {sparsity}: {name}, times the best peer", 1.5, found.over_best_peer(name))
            for name in ("weedout jax", "weedout torch")
            for sparsity, found in compared.items()
        ),
    ]
    what = f"{_layers(net)}, {size} candidates, batch {batch:,}; float32."
    text = _text(what, [_part("", compared)], accepted, compared.values())
    figure = _figure("Search, MLP", {"": compared})
    return Section("Search, MLP", text, {"search-mlp.png": figure, **charts(text)})


def run_wide_resnet(quick: bool, say: Say) -> Section:
    """WRN-16-4 with channel masks and with node masks, batch 256."""
    depth, width, shape, size, batch = (10, 1, (8, 8, 3), 2, 8) if quick else (16, 4, (32, 32, 3), 2, 256)
    backends = _COMPILED_SOON if quick else _BACKENDS
    found: dict[str, dict[float, Compared]] = {"channel": {}, "node": {}}
    settings = {"channel": (0.8,) if quick else (0.5, 0.8, 0.9), "node": (0.8,)}
    for granularity, by_sparsity in found.items():
        net = wc.wide_resnet(depth, width, 10, shape, granularity=granularity)  # pyright: ignore[reportArgumentType]
        for sparsity in settings[granularity]:
            say(f"{granularity} masks, sparsity {sparsity}")
            rounds = 2 if quick else 7 if sparsity == 0.8 else 3  # as often as something is asked of it
            by_sparsity[sparsity] = compare(search_task(net, sparsity, size, batch), rounds, backends, say)
    channel, node = found["channel"][0.8], found["node"][0.8]
    accepted = [
        at_least("channel masks, η = 0.8: weedout jax, times the plain loop", 8, channel.over_loop("weedout jax")),
        at_least("channel masks, η = 0.8: weedout torch, times the plain loop", 5, channel.over_loop("weedout torch")),
        *(
            at_least(f"node masks, η = 0.8: {name}, times the best peer", 1, node.over_best_peer(name))
            for name in ("weedout jax", "weedout torch")
        ),
    ]
    parts = [_part(f"{granularity.capitalize()} masks. ", by_sparsity) for granularity, by_sparsity in found.items()]
    what = f"WRN-{depth}-{width}, {size} candidates, batch {batch:,}; float32, statistics of the batch."
    text = _text(what, parts, accepted, [one for by_sparsity in found.values() for one in by_sparsity.values()])
    panels = {f"{granularity} masks: ": by_sparsity for granularity, by_sparsity in found.items()}
    return Section("Search, WRN", text, {"search-wrn.png": _figure("Search, WRN", panels)})


def compare(task: Task, rounds: int, backends: tuple[str, ...], say: Say) -> Compared:
    """Time everybody, after a check that all give one fitness."""
    peers, left_out = search_peers(task)
    loaded = machine.load_backends(backends, say)
    peers = {f"{_OURS}{name}": our_search(backend, task) for name, backend in loaded.items()} | peers
    for name, reason in left_out.items():
        say(f"{name} is left out: {reason}")

    def check(given: Mapping[str, Any]) -> None:
        wanted = given[LOOP]
        for name, peer in peers.items():
            fitness = given[name] if peer.check is None else peer.check()
            np.testing.assert_allclose(fitness, wanted, rtol=_AGREEMENT, atol=_AGREEMENT, err_msg=name)

    # Beside ours, forwards and backwards: the machine's speed is that of the same moment.
    runs = machine.matrix_runs() | {name: peer.run for name, peer in peers.items()}
    timed = alternate(runs, rounds, say, check)
    limit = machine.limit(timed, needed_macs(task))
    speed = machine.matrix_speed(timed)
    timed = {name: value for name, value in timed.items() if not name.startswith(_MATRICES)}
    return Compared(timed, left_out, limit, task.population.size, speed)


def needed_macs(task: Task) -> int:
    """The multiply-adds of a search: all before the first mask once, the compacted rest for each candidate."""
    _, rest = wc.backend.split_at_first_mask(task.net)
    head = wc.costs(task.net).macs - wc.costs(rest).macs
    small = wc.compact(rest, task.plan.counts).net
    return len(task.x) * (head + task.population.size * wc.costs(small).macs)


def _layers(net: wc.Network) -> str:
    widths = [layer.units for layer in net.layers if isinstance(layer, wc.nn.Dense)]
    return "-".join(map(str, (*net.input_shape, *widths)))


Row = Callable[[Compared], str]


def _part(label: str, compared: Mapping[float, Compared]) -> str:
    """Milliseconds a candidate, first calls, and ratios, by sparsity."""
    some = list(compared.values())
    columns = [f"η = {sparsity}" for sparsity in compared]
    names = list(some[0].timed)
    times = [[name, *(_per_candidate(one, one.timed[name]) for one in some)] for name in names]
    times.append(["arithmetic limit", *(_per_candidate(one, one.limit) for one in some)])
    first = [[name, *(number(one.timed[name].first) for one in some)] for name in names]
    ratios: list[list[str]] = []
    for name in some[0].ours:
        ratios.append([f"{name}: × the plain loop", *(_shown(one.over_loop(name)) for one in some)])
        ratios.append([f"{name}: × the best peer", *(_shown(one.over_best_peer(name)) for one in some)])
        ratios.append([f"{name}: of the limit", *(_shown(one.of_limit(name)) for one in some)])
    return "\n\n".join(
        [
            f"{label}Milliseconds a candidate:",
            table(["", *columns], times),
            f"{label}How many times faster, and how many times the limit's time:",
            table(["", *columns], ratios),
            f"{label}The first call, with whatever is compiled at it, seconds for all candidates:",
            table(["", *columns], first),
            *(f"- {name} is left out: {reason}" for name, reason in some[0].left_out.items()),
        ]
    )


def _text(what: str, parts: list[str], accepted: list[str], all_of_them: Iterable[Compared]) -> str:
    speeds = [one.gflops for one in all_of_them]
    limit = (
        "The arithmetic limit is what the multiply-adds take that the search needs (all before the first mask once, "
        "the compacted rest for each candidate) at the speed of a product of 2048 × 2048 in the same rounds: "
        f"{min(speeds):.0f} to {max(speeds):.0f} GFLOP/s. Convolutions count as they are defined: with 2.25 times "
        "fewer multiplications, as on JAX, less than the limit is possible. PyTorch peers are handed their masks, ours "
        "draw them. Where inputs are images, PyTorch peers run in its default layout and in channels_last: the plain "
        "loop is the one in the default layout, the best peer the best of all. Before any timing the fitness of "
        "everybody was the same within 1e-4."
    )
    return "\n\n".join([what, machine.description(), machine.connecting(), limit, *parts, "\n".join(accepted)])


def _per_candidate(one: Compared, timed: Timed) -> str:
    return number(1e3 * timed.median / one.size)


def _shown(ratio: Ratio | None) -> str:
    return "–" if ratio is None else number(ratio.median)


def _figure(title: str, parts: Mapping[str, Mapping[float, Compared]]) -> bytes:
    panels: list[Panel] = []
    for label, compared in parts.items():
        lines: dict[str, dict[float, float]] = {}
        for sparsity, one in compared.items():
            for name, timed in (one.timed | {"limit": one.limit}).items():
                lines.setdefault(name, {})[sparsity] = 1e3 * timed.median / one.size
        panels.append(Panel("sparsity η", f"{label}ms a candidate", lines))
    return draw(title, panels)

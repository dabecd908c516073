"""The search where candidates keep different numbers of nodes, against exact sampling, and against peers."""

from collections.abc import Mapping
from itertools import product
from typing import NamedTuple

import numpy as np

import weedout_core as wc
from benchmarks import machine
from benchmarks.ours import our_search
from benchmarks.peers_search import search_peers
from benchmarks.section import Section, at_least, at_most, number, table
from benchmarks.task import Task, search_task
from benchmarks.timing import Ratio, Say, Timed, alternate
from weedout_core.backend import Population

_BACKENDS = ("jax", "torch")
_ETA = 0.8
_CUT, _EXACT, _GIVEN, _BERNOULLI, _GLOBAL = "Torch-Pruning", "exact", "exact, handed in", "Bernoulli", "global"
#: At most so many times the time of exact sampling.
_MOST = {
    "wide": {_GIVEN: 1.15, _BERNOULLI: 1.6, _GLOBAL: 1.6},
    "narrow": {_BERNOULLI: 2.2, _GLOBAL: 2.2},
}
#: At least so many times faster than Torch-Pruning, and than the best peer that masks.
_LEAST = {"jax": (4, 10), "torch": (2.5, 7)}


class Timings(NamedTuple):
    """What each took, by its name; ours are called by backend and sampling."""

    timed: Mapping[str, Timed]
    size: int
    left_out: Mapping[str, str]

    def over(self, name: str, other: str) -> Ratio | None:
        return self.timed[name].over(self.timed[other]) if name in self.timed and other in self.timed else None

    def over_masked(self, name: str) -> Ratio | None:
        """How many times faster than the best peer that masks."""
        masked = [one for peer, one in self.timed.items() if not peer.startswith(("weedout", _CUT))]
        return min(masked, key=lambda one: one.median).over(self.timed[name]) if name in self.timed else None


def run(quick: bool, say: Say) -> Section:
    """784-1024-1024-10, and 784-1024-100-10, whose narrow site has little room to spare."""
    nets = {"wide": wc.mlp(784, (1024, 1024), 10), "narrow": wc.mlp(784, (1024, 100), 10)}
    if quick:
        nets = {"wide": wc.mlp(16, (64, 64), 10), "narrow": wc.mlp(16, (64, 32), 10)}
    size, batch, rounds = (4, 64, 2) if quick else (100, 1024, 9)
    names = [f"weedout {backend.name}" for backend in machine.load_backends(_BACKENDS, say).values()]
    found: dict[str, Timings] = {}
    for which, net in nets.items():
        say(f"the {which} network")
        found[which] = _timed(search_task(net, _ETA, size, batch), which == "wide", rounds, say)
    accepted = [
        at_most(f"{which}: {name}, {sampling}, times exact sampling", most, one.over(*_pair(name, sampling)))
        for which, one in found.items()
        for name in names
        for sampling, most in _MOST[which].items()
    ]
    wide = found["wide"]
    for name, sampling in product(names, (_BERNOULLI, _GLOBAL)):
        cut, masked = _LEAST[name.removeprefix("weedout ")]
        mine = f"{name}, {sampling}"
        if _CUT in wide.timed:
            accepted.append(at_least(f"wide: {mine}, times faster than {_CUT}", cut, wide.over(_CUT, mine)))
        accepted.append(
            at_least(f"wide: {mine}, times faster than the best masked peer", masked, wide.over_masked(mine))
        )
    what = (
        f"Wide is {_widths(nets['wide'])}, narrow {_widths(nets['narrow'])}; {size} candidates, η = {_ETA}, batch "
        f"{batch:,}; float32. Peers are handed exact masks: how many nodes a mask keeps changes no time of theirs but "
        f"{_CUT}'s, which it changes little."
    )
    parts = [f"Milliseconds a candidate, {which}:\n\n{_rows(one)}" for which, one in found.items()]
    accepted += [f"- {name} is left out: {reason}" for name, reason in wide.left_out.items()]
    text = "\n\n".join([what, machine.description(), *parts, "\n".join(accepted)])
    return Section("Search, other counts", text, {})


def _pair(name: str, sampling: str) -> tuple[str, str]:
    return f"{name}, {sampling}", f"{name}, {_EXACT}"


def _timed(task: Task, peers: bool, rounds: int, say: Say) -> Timings:
    """Everybody's times; ours give the same fitness for masks that are handed in as for those that are drawn."""
    space, drawn = wc.mask_space(task.net), task.population
    populations: dict[str, Population] = {
        _EXACT: drawn,
        _GIVEN: Population(drawn.size, None, None, None, task.masks),
        _BERNOULLI: drawn._replace(plan=wc.mask_plan(space, _ETA, "bernoulli")),
        _GLOBAL: drawn._replace(plan=wc.mask_plan(space, _ETA, allocation="global")),
    }
    ours = {
        f"weedout {name}, {sampling}": our_search(backend, task._replace(population=population))
        for name, backend in machine.load_backends(_BACKENDS, say).items()
        for sampling, population in populations.items()
    }
    theirs, left_out = search_peers(task) if peers else ({}, {})

    def check(given: Mapping[str, np.ndarray]) -> None:
        for name in _BACKENDS:
            pair = [given[f"weedout {name}, {sampling}"] for sampling in (_EXACT, _GIVEN)]
            np.testing.assert_allclose(*pair, rtol=1e-4, atol=1e-4)  # float32 sums in other orders

    runs = {name: peer.run for name, peer in (ours | theirs).items()}
    return Timings(alternate(runs, rounds, say, check), drawn.size, left_out)


def _rows(one: Timings) -> str:
    rows = [[name, number(1e3 * timed.median / one.size), number(timed.first)] for name, timed in one.timed.items()]
    return table(["", "ms", "first call, s"], rows)


def _widths(net: wc.Network) -> str:
    widths = [layer.units for layer in net.layers if isinstance(layer, wc.nn.Dense)]
    return "-".join(map(str, (*net.input_shape, *widths)))

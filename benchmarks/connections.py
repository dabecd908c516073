"""The search over masks of single weights, against peers: masks that are drawn, and masks that are handed in."""

from collections.abc import Mapping

import numpy as np

import weedout_core as wc
from benchmarks import machine
from benchmarks.ours import our_search
from benchmarks.peers_evosax import evosax
from benchmarks.peers_weights import weight_peers
from benchmarks.section import Section, at_most, number, table
from benchmarks.task import Task, search_task
from benchmarks.timing import Say, Timed, alternate
from weedout_core.backend import Population

_BACKENDS = ("jax", "torch")
_ETA = 0.8
_DRAWING = "PyTorch loop, drawing"
_EVOSAX = "JAX vmap, evosax"


def run(quick: bool, say: Say) -> Section:
    """784-1024-1024-10, a bit for each of its 1.9 million weights."""
    net = wc.mlp(16, (32, 32), 10, granularity="connection")
    if not quick:
        net = wc.mlp(784, (1024, 1024), 10, granularity="connection")
    size, batch, rounds = (4, 64, 2) if quick else (20, 1024, 7)
    task = search_task(net, _ETA, size, batch)
    timed = _timed(task, rounds, say)
    peers = {peer for peer in timed if not peer.startswith("weedout")}
    drawing = {_DRAWING, _EVOSAX} & peers
    accepted: list[str] = []
    for name in machine.load_backends(_BACKENDS, say):
        for mine, rivals in ((f"weedout {name}", drawing), (f"weedout {name}, handed in", peers - drawing)):
            best = min(rivals, key=lambda peer: timed[peer].median)
            accepted.append(at_most(f"{mine}, times {best}, the best of these", 1, timed[mine].over(timed[best])))
    weights = sum(mask[0].size for mask in task.masks.values())
    what = (
        f"A bit for each of {weights:,} weights, {size} candidates, η = {_ETA}, batch {batch:,}; float32. *Handed in* "
        "are masks that exist: so they are to the peers of which nothing else is said. The others draw theirs."
    )
    rows = [[name, number(1e3 * one.median / size), number(one.first)] for name, one in timed.items()]
    timings = table(["", "ms a candidate", "first call, s"], rows)
    return Section("Search, connections", "\n\n".join([what, machine.description(), timings, "\n".join(accepted)]), {})


def _timed(task: Task, rounds: int, say: Say) -> Mapping[str, Timed]:
    handed = task._replace(population=Population(task.population.size, None, None, None, task.masks))
    backends = machine.load_backends(_BACKENDS, say)
    ours = {f"weedout {name}": our_search(backend, task) for name, backend in backends.items()}
    ours |= {f"weedout {name}, handed in": our_search(backend, handed) for name, backend in backends.items()}
    theirs = weight_peers(task)
    try:
        theirs[_EVOSAX] = evosax(task)
    except ImportError as error:
        say(f"{_EVOSAX} is left out: {error}")
    same = [name for name in (*ours, *theirs) if name not in (_DRAWING, _EVOSAX)]

    def check(given: Mapping[str, np.ndarray]) -> None:
        for name in same:
            np.testing.assert_allclose(
                given[name], given[same[0]], rtol=1e-4, atol=1e-4
            )  # float32 sums in other orders

    return alternate({name: peer.run for name, peer in (ours | theirs).items()}, rounds, say, check)

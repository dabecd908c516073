"""Scoring a population with other tools, each as its users would write it, well.

PyTorch peers are handed their masks; ours and evosax draw theirs inside the time.
"""

from collections.abc import Callable

from benchmarks import peers_torch
from benchmarks.peer import NotExpressible, Peer
from benchmarks.peers_evosax import evosax
from benchmarks.task import Task

LOOP = "PyTorch loop"

#: What makes a tool's peers of a task, by what is added to the tool's name.
_MAKERS: dict[str, Callable[[Task], dict[str, Peer]]] = {
    LOOP: peers_torch.in_each_layout(peers_torch.loop),
    "torch.func.vmap": peers_torch.in_each_layout(peers_torch.vmap),
    "torch.nn.utils.prune": peers_torch.in_each_layout(peers_torch.prune),
    "JAX vmap, evosax": lambda task: {"": evosax(task)},
    "Torch-Pruning": peers_torch.in_each_layout(peers_torch.torch_pruning),
}


def search_peers(task: Task) -> tuple[dict[str, Peer], dict[str, str]]:
    """The peers that can do this search, and why the others cannot."""
    found: dict[str, Peer] = {}
    left_out: dict[str, str] = {}
    for name, make in _MAKERS.items():
        try:
            found |= {f"{name}{added}": peer for added, peer in make(task).items()}
        except (NotExpressible, ImportError) as error:
            left_out[name] = str(error)
    return found, left_out

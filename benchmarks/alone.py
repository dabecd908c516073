"""A search in a process of its own: its times, and the most memory that the process ever held.

``python -m benchmarks.alone`` is that process: it reads JSON and prints JSON. It imports no more than the search needs.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

import weedout_core as wc
from benchmarks.timing import Timed, timed_call


class Asked(NamedTuple):
    """A search of one generation.

    Attributes:
        net: the network.
        sparsity: of its candidates.
        config: of the search; the batch is standard normal inputs and random labels.
        backend: the backend's name.
        devices: how many a population is shared over; on a CPU as many virtual ones.
        rounds: searches after the first one.
        device: the kind of device; None takes the framework's default.
    """

    net: wc.Network
    sparsity: float
    config: wc.SearchConfig
    backend: str
    devices: int = 1
    rounds: int = 0
    device: str | None = None


class Alone(NamedTuple):
    """What one search took in a process of its own, and the most memory the process held, MiB, libraries included."""

    timed: Timed
    peak: float


Value = TypeVar("Value")


def alternately(
    asked: Mapping[Value, Asked], processes: int, found: Callable[[Value, Alone], None]
) -> dict[Value, Alone]:
    """Each search in so many processes, one after the other in turn; ``found`` hears of each.

    Returns:
        of each search all its rounds, and the medians of its first calls and its peaks.
    """
    alone: dict[Value, list[Alone]] = {value: [] for value in asked}
    for _ in range(processes):
        for value, one in asked.items():
            alone[value].append(search_alone(one))
            found(value, alone[value][-1])
    return {value: _together(ones) for value, ones in alone.items()}


def _together(ones: Sequence[Alone]) -> Alone:
    first = statistics.median(one.timed.first for one in ones)
    rounds = tuple(seconds for one in ones for seconds in one.timed.rounds)
    return Alone(Timed(first, rounds), statistics.median(one.peak for one in ones))


def search_alone(asked: Asked) -> Alone:
    """A search in a fresh process."""
    config = asked.config
    told = {
        "net": wc.nn.network_to_json(asked.net),
        "sparsity": asked.sparsity,
        "config": {name: getattr(config, name) for name in ("population", "generations", "validation_batch", "chunk")},
        "backend": asked.backend,
        "devices": asked.devices,
        "rounds": asked.rounds,
        "device": asked.device,
    }
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={asked.devices}"
    root = Path(__file__).parents[1]
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.alone"], input=json.dumps(told),
        env=os.environ | {"XLA_FLAGS": flags.strip(), "PYTHONPATH": os.pathsep.join(paths)},
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(
            f"the search {told['config']} at {asked.sparsity} on {asked.backend} failed:\n{done.stderr[-2000:]}"
        )
    said = json.loads(done.stdout.splitlines()[-1])
    return Alone(Timed(said["first"], tuple(said["rounds"])), said["peak"] / 2**20)


def main() -> None:
    """The process: what it is asked stands in its standard input."""
    asked = json.load(sys.stdin)
    warnings.simplefilter("ignore", wc.WeedoutWarning)
    net, config = wc.nn.network_from_json(asked["net"]), wc.SearchConfig(**asked["config"])
    rng = np.random.default_rng(0)
    x = rng.normal(size=(config.validation_batch, *net.input_shape)).astype(np.float32)
    y = rng.integers(0, net.output_shape[0], config.validation_batch)
    backend = wc.load_backend(asked["backend"], asked["device"], asked["devices"])

    def search() -> object:
        return wc.search(net, (x, y), sparsity=asked["sparsity"], backend=backend, key=wc.key(0), config=config)

    first = timed_call(search)[0]
    rounds = [timed_call(search)[0] for _ in range(asked["rounds"])]
    print(json.dumps({"first": first, "rounds": rounds, "peak": peak_bytes()}))


def peak_bytes() -> int:
    """The most memory that was resident. Linux counts a parent's to ``ru_maxrss``, so its own file comes first."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


if __name__ == "__main__":
    main()

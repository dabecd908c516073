"""One search in a process of its own: its times and the most memory the process held.

``python -m benchmarks.growth_worker JSON`` prints JSON.
"""

import json
import resource
import sys
import warnings
from pathlib import Path

import numpy as np

import weedout_core as wc
from benchmarks.timing import timed_call

INPUTS = 64
CLASSES = 10
CHUNK = 100


def main() -> None:
    asked = json.loads(sys.argv[1])
    warnings.simplefilter("ignore", wc.WeedoutWarning)
    net = wc.mlp(INPUTS, tuple(asked["hidden"]), CLASSES)
    config = wc.SearchConfig(
        sparsity=asked["sparsity"], population=asked["population"], generations=1, batch=asked["batch"], chunk=CHUNK
    )
    rng = np.random.default_rng(0)
    x = rng.normal(size=(asked["batch"], INPUTS)).astype(np.float32)
    y = rng.integers(0, CLASSES, asked["batch"])
    backend = wc.load_backend(asked["backend"], devices=asked["devices"])

    def search() -> object:
        return wc.search(net, (x, y), config, backend=backend, key=wc.key(0))

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

"""Write the golden file of the current SAMPLER_VERSION: ``python tests/core/golden/regenerate.py``.

The file holds masks, and the index draws that decide winners and training, for a few seeds. A change of it is a change
of version; the files of older versions stay.
"""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

import weedout_core as wc
from weedout_core._random.keys import of_candidates

FOLDER = Path(__file__).parent
SPACE = {"hidden_0": (16, 8), "hidden_1": (100,), "last": (1,)}
SEEDS = (0, 1, 2**32 - 1, 2**64 - 1)
ORIGINS = (wc.backend.Origin(0, 0), wc.backend.Origin(0, 1), wc.backend.Origin(4, 99))
#: (sparsity, sampling, allocation). Of "erk", which needs a network, an entry has the counts too, as it has of all.
WAYS: tuple[tuple[float, Literal["exact", "bernoulli"], str], ...] = (
    (0.0, "exact", "uniform"), (0.45, "exact", "uniform"), (0.45, "bernoulli", "uniform"), (0.45, "exact", "global"),
    (0.9, "exact", "global"), (0.45, "exact", "erk"), (0.45, "bernoulli", "erk"),
)  # fmt: skip
#: A network with the sites and the nodes of the space: kernels of 3 x 3 x 5 x 8, of 128 x 100 and of 100 x 1.
NET = wc.Network(
    (
        wc.nn.Conv("conv", 8), wc.nn.Flatten(), wc.nn.Mask("hidden_0"), wc.nn.Dense("dense", 100),
        wc.nn.Mask("hidden_1"), wc.nn.Dense("one", 1), wc.nn.Mask("last"), wc.nn.Dense("out", 2),
    ),
    (4, 4, 5),
)  # fmt: skip
ALLOCATIONS: dict[str, Any] = {"erk": lambda _, sparsity: wc.erk(NET)(wc.mask_space(NET), sparsity)}

#: A network whose sites are weights: kernels of 3 x 3 x 2 x 6, of 6 x 10 and of 10 x 3.
WEIGHTS = wc.nn.with_connections(
    wc.Network(
        (
            wc.nn.Conv("conv", 6), wc.nn.Relu(), wc.nn.GlobalAveragePool(), wc.nn.Dense("dense", 10), wc.nn.Relu(),
            wc.nn.Dense("logits", 3),
        ),
        (4, 4, 2),
    )
)  # fmt: skip
WAYS_OF_WEIGHTS: tuple[tuple[float, Literal["exact", "bernoulli"], str], ...] = (
    (0.45, "exact", "uniform"), (0.45, "bernoulli", "uniform"), (0.45, "exact", "global"), (0.45, "exact", "erk"),
    (0.45, "bernoulli", "erk"), (0.45, "exact", "smart_ratio"), (0.45, "bernoulli", "smart_ratio"),
)  # fmt: skip
ALLOCATIONS_OF_WEIGHTS: dict[str, Any] = {"erk": wc.erk(WEIGHTS), "smart_ratio": wc.smart_ratio(WEIGHTS)}


def golden_file() -> Path:
    """The golden file of the current version."""
    return FOLDER / f"masks_v{wc.SAMPLER_VERSION}.json"


def packed(mask: np.ndarray) -> dict[str, Any]:
    """A mask as hexadecimal bytes, first node in the highest bit, and their CRC-32."""
    data = np.packbits(np.ravel(mask)).tobytes()
    return {"hex": data.hex(), "crc32": zlib.crc32(data)}


def mask_entries() -> list[dict[str, Any]]:
    """The masks of a few candidates: how each is drawn, and what is drawn."""
    return [
        _entry(seed, origin, sparsity, sampling, allocation, SPACE, ALLOCATIONS)
        for seed in SEEDS
        for sparsity, sampling, allocation in WAYS
        for origin in (ORIGINS if sparsity else ORIGINS[:1])
    ]


def entries_of_weights() -> list[dict[str, Any]]:
    """The same of a space of weights, for two seeds and two candidates."""
    return [
        _entry(seed, origin, *way, wc.mask_space(WEIGHTS), ALLOCATIONS_OF_WEIGHTS)
        for seed in SEEDS[::3]
        for way in WAYS_OF_WEIGHTS
        for origin in ORIGINS[::2]
    ]


def _entry(
    seed: int,
    origin: wc.backend.Origin,
    sparsity: float,
    sampling: Literal["exact", "bernoulli"],
    allocation: str,
    space: Mapping[str, tuple[int, ...]],
    of_network: Mapping[str, Any],
) -> dict[str, Any]:
    plan = wc.mask_plan(space, sparsity, sampling, of_network.get(allocation, allocation))
    key = of_candidates(wc.key(seed), wc.random.Stream.MASKS, [origin])[0]
    return {
        "seed": seed,
        "generation": origin.generation,
        "candidate": origin.candidate,
        "sparsity": sparsity,
        "sampling": sampling,
        "allocation": allocation,
        "kept": plan.kept,
        "masks": {site: packed(mask) for site, mask in wc.backend.masks_from_keys(key, plan).items()},
    }


def draws() -> list[dict[str, Any]]:
    """What else is drawn from a seed in whole numbers."""
    entries: list[dict[str, Any]] = []
    for seed in SEEDS:
        key = wc.key(seed)
        batch = wc.ask_tell.validation_batch(key, 3, 50, wc.SearchConfig(validation_batch=8))
        calibration = wc.ask_tell.calibration_batch(key, 3, 50, wc.SearchConfig(validation_batch=8))
        batches = wc.backend.epoch_batches(
            [key], 2, wc.backend.train_plan(wc.TrainConfig(batch_size=5, augmentation="crop_flip"), 10)
        )
        assert batches.crops is not None
        entries.append(
            {
                "seed": seed,
                "bits": wc.random.bits(key, 4).tolist(),
                "fold_in 7": wc.random.fold_in(key, 7).tolist(),
                "validation batch": batch.tolist(),
                "calibration batch": calibration.tolist(),
                "epoch order": batches.order[0].tolist(),
                "epoch crops": batches.crops[0].tolist(),
            }
        )
    return entries


def contents() -> dict[str, Any]:
    """All that the golden file holds, as drawn now."""
    return {
        "sampler_version": wc.SAMPLER_VERSION,
        "space": {site: list(shape) for site, shape in SPACE.items()},
        "masks": mask_entries(),
        "draws": draws(),
        "space of weights": {site: list(shape) for site, shape in wc.mask_space(WEIGHTS).items()},
        "masks of weights": entries_of_weights(),
    }


def text(data: dict[str, Any]) -> str:
    """JSON with one entry a line."""
    parts: list[str] = []
    for name, value in data.items():
        if isinstance(value, list):
            lines = ",\n".join("  " + json.dumps(entry) for entry in value)  # pyright: ignore[reportUnknownVariableType]
            parts.append(f"{json.dumps(name)}: [\n{lines}\n]")
        else:
            parts.append(f"{json.dumps(name)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    golden_file().write_text(text(contents()))

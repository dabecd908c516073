"""Every derivation of a key in a search, a training or an experiment, as one tree.

::

    looks                                 the levels of intervals that are looked at several times: one key for all,
                                          below seed 0, so that the levels are constants
    seed                                  key(seed)
    ├─ intervals                          the bootstrap of an experiment's intervals
    └─ repeat                             a repeat of an experiment: the root of a search and of what follows it.
       │                                  Without an experiment the seed's key itself is the root
       ├─ WEIGHTS ─┬─ path                the parent's initial weights, a parameter at a time
       │           └─ generation ─ candidate ─ path        weights of a candidate's own
       ├─ MASKS ───── generation ─ candidate ─ site        a candidate's masks, a site at a time
       ├─ VALIDATION_BATCHES ─ generation ─┬─              the batch (a fixed one is that of generation 0)
       │                                   └─ 1            the batch that statistics are recalibrated on
       ├─ DATA_ORDER ─── epoch
       ├─ AUGMENTATION ─ epoch
       ├─ NOISE ──────── epoch            what dropout and the like of an adopted model draw from, a word for a step
       ├─ CONTROL ─┬─                     which member of the first generation is the control
       │           └─ MASKS, WEIGHTS ─ 0 ─ 0     an independent control: a candidate of a root of its own
       ├─ SELECTION ──── generation ─┬─ 0            the parents that a strategy which breeds chooses
       │                             └─ 1, 2 ─ child ─ site      how a child mutates, and is crossed
       ├─ LIMITED_TRAINING ─ generation   the root of the steps that its candidates take before they are scored
       ├─ THINNING ─ generation ─ candidate ─ site      the nodes that bred masks lose where the sparsity rises
       ├─ SCORES                          the training examples on which nodes are rated
       ├─ ARMS ─── arm                    what an arm of an experiment draws, other than the paper's two
       └─ SANITY ─ arm                    what a sanity check of an arm draws: masks, weights, an order of labels

Each step down the tree is ``fold_in`` of a number: the number of the stream, of the generation or epoch, or of the
candidate, or the CRC-32 of the path of a site or parameter, or of the name of an arm. A candidate is therefore
reproducible from its root, its generation and its number in it. From generation 1 on fresh candidates are numbers
1 … m−1: place 0 is the survivor's.
"""

import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any

import numpy as np

from weedout_core._random.annotations import Key, Keys
from weedout_core._random.stream import fold_in, key
from weedout_core.errors import ConfigError


class Stream(IntEnum):
    """The named streams that descend from one seed, each by ``fold_in`` of its number."""

    WEIGHTS = 0
    MASKS = 1
    VALIDATION_BATCHES = 2
    DATA_ORDER = 3
    AUGMENTATION = 4
    CONTROL = 5
    SELECTION = 6
    SCORES = 7
    ARMS = 8
    SANITY = 9
    NOISE = 10
    LIMITED_TRAINING = 11
    THINNING = 12


def of_repeat(seed: int, repeat: int) -> Key:
    """The root of a repeat of an experiment: all arms have it, so that they can be compared in pairs."""
    return fold_in(key(seed), repeat)


def of_intervals(seed: int) -> Key:
    """The key from which the bootstrap of an experiment's intervals draws."""
    return fold_in(key(seed), path_code("intervals"))


def of_looks() -> Key:
    """What the levels of intervals that are looked at several times are simulated with: of no experiment's seed."""
    return fold_in(key(0), path_code("looks"))


def of_parent(root: Key) -> Key:
    """The weights of the parent, which candidates share."""
    return fold_in(root, int(Stream.WEIGHTS))


def of_candidates(root: Key, stream: Stream, origins: Sequence[tuple[int, int]]) -> Keys:
    """The keys of candidates in the stream of masks or of weights: m × (generation, candidate) → uint32 ``(m, 2)``."""
    generation, candidate = np.asarray(origins, dtype=np.uint32).T
    return fold_in(fold_in(fold_in(root, int(stream)), generation), candidate)


def of_site(keys: Any, code: int) -> Any:
    """The keys of a site from those of candidates, uint32 ``(*batch, 2)``; code: :func:`path_code` of its name."""
    return fold_in(keys, code)


def of_validation_batch(root: Key, generation: int) -> Key:
    """The validation batch of a generation."""
    return fold_in(fold_in(root, int(Stream.VALIDATION_BATCHES)), generation)


def of_calibration_batch(root: Key, generation: int) -> Key:
    """The batch of a generation on which batch normalisation takes its statistics anew."""
    return fold_in(of_validation_batch(root, generation), 1)


def of_data_order(root: Key, epoch: int) -> Key:
    """The order of the examples in an epoch."""
    return fold_in(fold_in(root, int(Stream.DATA_ORDER)), epoch)


def of_augmentation(root: Key, epoch: int) -> Key:
    """The crops and flips of an epoch."""
    return fold_in(fold_in(root, int(Stream.AUGMENTATION)), epoch)


def of_noise(root: Key, epoch: int) -> Key:
    """What an adopted model's dropout draws from in an epoch."""
    return fold_in(fold_in(root, int(Stream.NOISE)), epoch)


def of_control(root: Key) -> Key:
    """The control: it draws which member is the control, or is the root of an independent control's draws."""
    return fold_in(root, int(Stream.CONTROL))


def of_selection(root: Key, generation: int) -> Key:
    """What the strategy draws after a generation is scored."""
    return fold_in(fold_in(root, int(Stream.SELECTION)), generation)


def of_limited_training(root: Key, generation: int) -> Key:
    """The training whose first steps the candidates of a generation take before they are scored."""
    return fold_in(fold_in(root, int(Stream.LIMITED_TRAINING)), generation)


def of_thinning(root: Key, generation: int) -> Key:
    """Which nodes the bred masks of a generation lose before it is scored, where the sparsity rises during training."""
    return fold_in(fold_in(root, int(Stream.THINNING)), generation)


def of_scores(root: Key) -> Key:
    """Which examples a score is computed on."""
    return fold_in(root, int(Stream.SCORES))


def of_arm(root: Key, arm: str) -> Key:
    """What an arm draws in a repeat."""
    return fold_in(fold_in(root, int(Stream.ARMS)), path_code(arm))


def of_sanity(root: Key, arm: str) -> Key:
    """What a sanity check of an arm draws in a repeat."""
    return fold_in(fold_in(root, int(Stream.SANITY)), path_code(arm))


def path_code(path: str) -> int:
    """The number that stands for a site, a parameter or an arm in the tree: the CRC-32 of its path or name."""
    return zlib.crc32(path.encode())


def check_names(names: Iterable[str]) -> None:
    """Raise ConfigError if two names are equal: one array that is handed in by name would be taken for both."""
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ConfigError(f"two layers are named {twice[0]!r}; each needs its own name.")


def check_codes(paths: tuple[str, ...]) -> None:
    """Raise ConfigError if two paths have one CRC-32: they would share their random numbers."""
    seen: dict[int, str] = {}
    for path in paths:
        code = path_code(path)
        if code in seen:
            raise ConfigError(f"{seen[code]!r} and {path!r} have the same CRC-32 and would share draws. Rename one.")
        seen[code] = path

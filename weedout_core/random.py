"""The random stream: keys, random words (uint32), and the named streams that descend from one seed."""

from weedout_core._random.annotations import Key, Keys
from weedout_core._random.keys import Stream
from weedout_core._random.stream import SAMPLER_VERSION, bits, bits_at, fold_in, key, permutation, split

__all__ = [
    "SAMPLER_VERSION",
    "Key",
    "Keys",
    "Stream",
    "bits",
    "bits_at",
    "fold_in",
    "key",
    "permutation",
    "split",
]


def __dir__() -> list[str]:
    return __all__

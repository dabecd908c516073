"""IDX files, the format of MNIST and Fashion-MNIST, read strictly: a file that contradicts its header is an error.

An IDX file consists of a magic number (the bytes 0, 0, 8 for the type "unsigned byte", and the number of dimensions),
each dimension as a big-endian 32-bit integer, and the values.
"""

import gzip
import io
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from weedout_core.errors import DataError
from weedout_core.lab.data.images import checksum
from weedout_core.lab.data.reading import AGAIN, MOST, read_first

_UNPACKED = 1032  # bytes that gzip makes of one, at most


class Idx(NamedTuple):
    """An IDX file: its usual name, its path, its values uint8 ``shape``, and the MD5 of its content, unpacked."""

    name: str
    path: Path
    values: np.ndarray
    md5: str


def read_images(folder: Path, part: str) -> Idx:
    """The image file of a part: pixels uint8 ``(images, rows, columns)``."""
    found = _read(folder, part, "images", 3)
    if found.values.size == 0:
        raise DataError(f"{found.path} must hold at least one pixel; its header says {found.values.shape}. {AGAIN}")
    return found


def read_labels(folder: Path, part: str, classes: int) -> Idx:
    """The label file of a part: labels uint8 ``(labels,)`` in [0, classes)."""
    found = _read(folder, part, "labels", 1)
    outside = np.flatnonzero(found.values >= classes)
    if outside.size:
        raise DataError(
            f"{found.path} must hold labels in [0, {classes}); got {found.values[outside[0]]} at example "
            f"{outside[0]}. {AGAIN}"
        )
    return found


def _read(folder: Path, part: str, what: str, dimensions: int) -> Idx:
    """Read a file, plain or ``.gz``. The other usual name has a dot: train-images.idx3-ubyte."""
    usual = f"{part}-{what}-idx{dimensions}-ubyte"
    dotted = usual.replace("-idx", ".idx")
    wanted = f"the file {usual} or {dotted}, plain or .gz"
    path, content = read_first(folder, [one + end for end in ("", ".gz") for one in (usual, dotted)], wanted)
    packed = io.BytesIO(content)
    with _whole(path), gzip.GzipFile(fileobj=packed) if path.suffix == ".gz" else packed as file:
        header = file.read(4 + 4 * dimensions)
        shape = _shape(path, header, dimensions)
        count = math.prod(shape)
        if count > MOST:
            raise DataError(f"{path} must hold at most {MOST:,} values; its header says {shape}. {AGAIN}")
        # No more, however much it unpacks to; and no room for more than it can unpack to, whatever its header says.
        values = file.read(min(count + 1, _UNPACKED * len(content)))
    if len(values) != count:
        got = f"{len(values)}: it is truncated" if len(values) < count else "more: there are bytes after its end"
        raise DataError(f"{path} must have {count} values after its header, for its shape {shape}; got {got}. {AGAIN}")
    return Idx(usual, path, np.frombuffer(values, np.uint8).reshape(shape), checksum(header, values))


def _shape(path: Path, header: bytes, dimensions: int) -> tuple[int, ...]:
    magic = 0x00000800 + dimensions
    found = struct.unpack(">I", header[:4])[0] if len(header) >= 4 else magic
    if found != magic:
        raise DataError(
            f"{path} must begin with the magic number 0x{magic:08x}; got 0x{found:08x}: it is not an IDX file of "
            f"unsigned bytes with {dimensions} dimension{'s' if dimensions > 1 else ''}. {AGAIN}"
        )
    if len(header) < 4 + 4 * dimensions:
        raise DataError(
            f"{path} must begin with a header of {4 + 4 * dimensions} bytes; it is truncated at {len(header)} bytes. "
            f"{AGAIN}"
        )
    return struct.unpack(f">{dimensions}I", header[4:])


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} must be a whole gzip file; it is truncated or damaged ({error}). {AGAIN}") from error

"""IDX files, the format of MNIST and Fashion-MNIST, read strictly: a file that contradicts its header is an error.

An IDX file consists of a magic number (the bytes 0, 0, 8 for the type "unsigned byte", and the number of dimensions),
each dimension as a big-endian 32-bit integer, and the values.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from weedout_core.errors import DataError
from weedout_core.lab.data.reading import AGAIN, read_first

_IMAGES_MAGIC, _LABELS_MAGIC = 0x00000803, 0x00000801


def read_images(folder: Path, name: str) -> tuple[Path, np.ndarray]:
    """The path of an image file (plain or ``.gz``) and its pixels, uint8 ``(images, rows, columns)``."""
    path, images = _read(folder, name, _IMAGES_MAGIC)
    if images.size == 0:
        raise DataError(f"{path} must hold at least one pixel; its header says {images.shape}. {AGAIN}")
    return path, images


def read_labels(folder: Path, name: str, classes: int) -> tuple[Path, np.ndarray]:
    """The path of a label file (plain or ``.gz``) and its labels, uint8 ``(labels,)`` in [0, classes)."""
    path, labels = _read(folder, name, _LABELS_MAGIC)
    outside = np.flatnonzero(labels >= classes)
    if outside.size:
        raise DataError(
            f"{path} must hold labels in [0, {classes}); got {labels[outside[0]]} at example {outside[0]}. {AGAIN}"
        )
    return path, labels


def _read(folder: Path, name: str, magic: int) -> tuple[Path, np.ndarray]:
    path, content = read_first(folder, (name, f"{name}.gz"), f"the file {name} or {name}.gz")
    if path.suffix == ".gz":
        content = _unpacked(path, content)
    dimensions = magic & 0xFF
    header = 4 + 4 * dimensions
    found = struct.unpack(">I", content[:4])[0] if len(content) >= 4 else None
    if found is not None and found != magic:
        raise DataError(
            f"{path} must begin with the magic number 0x{magic:08x}; got 0x{found:08x}: it is not an IDX file of "
            f"unsigned bytes with {dimensions} dimension{'s' if dimensions > 1 else ''}. {AGAIN}"
        )
    if len(content) < header:
        raise DataError(
            f"{path} must begin with a header of {header} bytes; it is truncated at {len(content)} bytes. {AGAIN}"
        )
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    wanted = header + math.prod(shape)
    if len(content) != wanted:
        wrong = "it is truncated" if len(content) < wanted else "there are bytes after its end"
        raise DataError(f"{path} must be {wanted} bytes for its shape {shape}; got {len(content)}: {wrong}. {AGAIN}")
    return path, np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _unpacked(path: Path, content: bytes) -> bytes:
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} must be a whole gzip file; it is truncated or damaged ({error}). {AGAIN}") from error

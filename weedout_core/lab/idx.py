"""IDX files, the format of MNIST and its kin, read strictly: what is not exactly as its header says is an error.

An IDX file is a magic number (0, 0, the type 8 for unsigned bytes, the number of dimensions), each dimension as
a big-endian 32-bit integer, and the bytes.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from weedout_core._errors import DataError

_IMAGES_MAGIC, _LABELS_MAGIC = 0x00000803, 0x00000801
_AGAIN = "Get the file again from its source."


def read_images(folder: Path, name: str) -> tuple[Path, np.ndarray]:
    """The path of an image file (plain or ``.gz``) and its pixels, uint8 ``(images, rows, columns)``."""
    path = _find(folder, name)
    images = _read(path, _IMAGES_MAGIC)
    if images.size == 0:
        raise DataError(f"{path} must hold at least one pixel; its header says {images.shape}. {_AGAIN}")
    return path, images


def read_labels(folder: Path, name: str, classes: int) -> tuple[Path, np.ndarray]:
    """The path of a label file (plain or ``.gz``) and its labels, uint8 ``(labels,)`` in [0, classes)."""
    path = _find(folder, name)
    labels = _read(path, _LABELS_MAGIC)
    outside = np.flatnonzero(labels >= classes)
    if outside.size:
        raise DataError(
            f"{path} must hold labels in [0, {classes}); got {labels[outside[0]]} at example {outside[0]}. {_AGAIN}"
        )
    return path, labels


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise DataError(
        f"{folder} must hold the file {name} or {name}.gz, and does not. Put it there, or correct --data-dir."
    )


def _read(path: Path, magic: int) -> np.ndarray:
    content = _content(path)
    dimensions = magic & 0xFF
    header = 4 + 4 * dimensions
    found = struct.unpack(">I", content[:4])[0] if len(content) >= 4 else None
    if found is not None and found != magic:
        raise DataError(
            f"{path} must begin with the magic number 0x{magic:08x}; got 0x{found:08x}: it is no IDX file of "
            f"unsigned bytes with {dimensions} dimension{'s' if dimensions > 1 else ''}. {_AGAIN}"
        )
    if len(content) < header:
        raise DataError(
            f"{path} must begin with a header of {header} bytes; it is truncated at {len(content)}. {_AGAIN}"
        )
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    wanted = header + math.prod(shape)
    if len(content) != wanted:
        wrong = "it is truncated" if len(content) < wanted else "there are bytes after its end"
        raise DataError(f"{path} must be {wanted} bytes for its shape {shape}; got {len(content)}: {wrong}. {_AGAIN}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _content(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} must be a whole gzip file; it is truncated or damaged ({error}). {_AGAIN}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error

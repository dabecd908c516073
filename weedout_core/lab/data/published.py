"""Where the datasets are published, and the checksums of their files.

A mirror need not be trusted: a file whose checksum differs is never used.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Published(NamedTuple):
    """The files of a dataset.

    Attributes:
        folder: the folder of the files in the cache.
        mirrors: addresses, tried in order; the name of a file is appended to each.
        md5: the checksum of each file by its name.
        members: if the only file is a tar archive of this folder, the files that are taken from it; empty if the files
            themselves are wanted.
    """

    folder: str
    mirrors: tuple[str, ...]
    md5: Mapping[str, str]
    members: tuple[str, ...] = ()


_MNIST = Published(
    "mnist",
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ),
    {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
)

_FASHION_MNIST = Published(
    "fashion-mnist",
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
)

_CIFAR_MIRRORS = (
    "https://www.cs.toronto.edu/~kriz/",
    "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/",
)

_CIFAR10 = Published(
    "cifar-10-batches-bin",
    _CIFAR_MIRRORS,
    {"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"},
    (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"),
)

_CIFAR100 = Published(
    "cifar-100-binary",
    _CIFAR_MIRRORS,
    {"cifar-100-binary.tar.gz": "03b5dce01913d631647c71ecec9e9cb8"},
    ("train.bin", "test.bin"),
)

PUBLISHED: Mapping[str, Published] = MappingProxyType(
    {"mnist": _MNIST, "fashion-mnist": _FASHION_MNIST, "cifar10": _CIFAR10, "cifar100": _CIFAR100}
)

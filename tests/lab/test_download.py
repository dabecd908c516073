"""Downloads, from a server of the test's own: what is damaged is never used and never left, and mirrors take turns."""

import gzip
import hashlib
import io
import os
import socket
import sys
import tarfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from rich.console import Console

from weedout_core.errors import DataError
from weedout_core.lab.data import download, download_bar, transfer
from weedout_core.lab.data.cifar import read_cifar10
from weedout_core.lab.data.datasets import load_dataset
from weedout_core.lab.data.mnist import read_mnist
from weedout_core.lab.data.published import PUBLISHED, Published
from weedout_core.lab.data.unpack import unpack

Idx = Callable[[np.ndarray], bytes]


SLOW, LARGE = "slower than 65,536 bytes in 0.3 seconds", "more than 1,048,576 bytes"
#: What a server may do that a reader must not wait for, and why the next mirror is asked.
ENDLESS = {
    "header-byte-by-byte": SLOW, "byte-by-byte": SLOW, "silent": SLOW,
    "fast": LARGE, "said-to-be-large": LARGE, "packed": LARGE,
}  # fmt: skip


class Server(ThreadingHTTPServer):
    """Serves ``good`` under every folder: ``/good/`` as it is, ``/truncated/`` to its half, and so on."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.good: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.stopped = threading.Event()

    def mirror(self, how: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{how}/"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        _, how, name = self.path.split("/")
        self.server.asked.append(self.path)
        content = self.server.good.get(name)
        if how == "missing" or content is None:
            self.send_error(404)
            return
        if how in ENDLESS:
            with suppress(OSError):  # whoever asked has had enough
                self._without_end(how, content)
            return
        self.send_response(200)
        if how != "cut":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if how == "corrupted":
            content = content[:-1] + bytes([content[-1] ^ 1])
        self.wfile.write(content[: len(content) // 2] if how in ("truncated", "cut") else content)

    def _without_end(self, how: str, content: bytes) -> None:
        """Send something that does not end, at its speed, as long as somebody takes it."""
        assert isinstance(self.server, Server)
        head = "HTTP/1.0 200 OK\r\n"
        match how:
            case "header-byte-by-byte":
                head, piece, pause = f"{head}X-Long: ", b"x", 0.01
            case "byte-by-byte":
                head, piece, pause = f"{head}Content-Length: {len(content)}\r\n\r\n", b"x", 0.01
            case "silent":
                head, piece, pause = "", b"", 0.01
            case "said-to-be-large":
                head, piece, pause = f"{head}Content-Length: {10**15}\r\n\r\n", bytes(1 << 16), 0.01
            case "packed":
                head, piece, pause = f"{head}Content-Encoding: gzip\r\n\r\n", gzip.compress(bytes(1 << 24)), 0
            case _:
                head, piece, pause = f"{head}\r\n", bytes(1 << 16), 0
        self.wfile.write(head.encode())
        while not self.server.stopped.wait(pause):
            self.wfile.write(piece)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.stopped.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def refused() -> str:
    """A mirror at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("WEEDOUT_CACHE", str(folder))
    return folder


@pytest.fixture
def publish(server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let a dataset be published by the server, or by some mirrors."""

    def change(name: str, files: dict[str, bytes], *mirrors: str) -> None:
        server.good = files
        md5 = {file: hashlib.md5(content).hexdigest() for file, content in files.items()}
        item = PUBLISHED[name]._replace(md5=md5, mirrors=mirrors or (server.mirror("good"),))
        monkeypatch.setattr(download, "PUBLISHED", {name: item})

    return change


def _mnist(idx: Idx) -> dict[str, bytes]:
    generator = np.random.default_rng(0)
    files = {}
    for part, count in (("train", 60), ("t10k", 12)):
        files[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(idx(generator.integers(0, 256, (count, 3, 4))))
        files[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(idx(np.arange(count) % 10))
    return files


def _archive(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    return content.getvalue()


def _cifar100() -> dict[str, bytes]:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 3074), np.uint8)
    pixels[:, :2] = 3
    members = {"train.bin": pixels[:20].tobytes(), "test.bin": pixels[20:].tobytes(), "fine_label_names.txt": b"apple"}
    return {"cifar-100-binary.tar.gz": _archive({f"cifar-100-binary/{name}": data for name, data in members.items()})}


def _files(folder: Path) -> set[str]:
    """The files in a folder and below, but for locks."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {path.relative_to(folder).as_posix() for path in found}


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_idx_files_are_downloaded_once(
    server: Server, cache: Path, publish: Callable[..., None], idx: Idx, name: str
) -> None:
    publish(name, _mnist(idx))
    first = load_dataset(name)
    assert [len(split.y) for split in (first.train, first.validation, first.test)] == [50, 10, 12]
    assert _files(cache) == {f"{name}/{file}" for file in server.good}
    assert len(server.asked) == 4
    assert load_dataset(name).digest == first.digest
    assert len(server.asked) == 4, "the second time the cache serves"


def test_an_archive_is_unpacked_once_and_not_kept(server: Server, cache: Path, publish: Callable[..., None]) -> None:
    publish("cifar100", _cifar100())
    first = load_dataset("cifar100")
    assert [len(split.y) for split in (first.train, first.validation, first.test)] == [18, 2, 10]
    assert _files(cache) == {"cifar-100-binary/train.bin", "cifar-100-binary/test.bin"}
    assert load_dataset("cifar100").digest == first.digest
    assert len(server.asked) == 1


def test_who_comes_second_waits_for_the_first(server: Server, cache: Path, publish: Callable[..., None]) -> None:
    publish("cifar100", _cifar100())
    cache.mkdir()
    lock = cache / "cifar-100-binary.lock"
    said: list[str] = []
    with warnings.catch_warnings(), ThreadPoolExecutor(2) as pool:
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_, **__: said.append(str(message))
        with FileLock(lock):
            both = pool.map(download.downloaded, ["cifar100"] * 2)
            while len(said) < 2:  # each says that it waits, while it waits
                time.sleep(0.01)
            assert server.asked == []
        assert set(both) == {cache / "cifar-100-binary"}
    assert len(server.asked) == 1
    assert said == [f"another process downloads cifar100 and holds {lock}; this one waits."] * 2


@pytest.mark.parametrize("how", ["missing", "truncated", "cut", "corrupted", "refused"])
def test_the_next_mirror_is_tried(
    server: Server, cache: Path, publish: Callable[..., None], refused: str, how: str
) -> None:
    publish("cifar100", _cifar100(), refused if how == "refused" else server.mirror(how), server.mirror("good"))
    assert len(load_dataset("cifar100").test.y) == 10
    assert _files(cache) == {"cifar-100-binary/train.bin", "cifar-100-binary/test.bin"}
    assert server.asked[-1] == "/good/cifar-100-binary.tar.gz"


@pytest.mark.parametrize(("why", "patience"), [(SLOW, 0.3), (LARGE, 30)])
def test_a_mirror_that_does_not_end_is_left_for_the_next(
    server: Server,
    cache: Path,
    publish: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    why: str,
    patience: float,
) -> None:
    for name, value in (("MOST", 1 << 20), ("PATIENCE", patience), ("PIECE", 1 << 16)):
        monkeypatch.setattr(transfer, name, value)
    mirrors = [server.mirror(how) for how, reason in ENDLESS.items() if reason == why]
    publish("cifar100", _cifar100(), *mirrors)
    with pytest.raises(DataError) as error:
        load_dataset("cifar100")
    assert "; ".join(f"{mirror} ({why})" for mirror in mirrors) in str(error.value)
    assert _files(cache) == set()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes among its files")
@pytest.mark.parametrize("name", ["cifar100", "mnist"])
def test_what_is_no_file_in_the_cache_is_named(cache: Path, publish: Callable[..., None], idx: Idx, name: str) -> None:
    publish(name, files := _mnist(idx) if name == "mnist" else _cifar100())
    place = cache / PUBLISHED[name].folder if name == "mnist" else cache
    place.mkdir(parents=True)
    pipe = place / next(iter(files))
    os.mkfifo(pipe)
    with pytest.raises(DataError, match=rf"^{pipe} must be a file; it is a folder, a pipe or a device\. Remove it, or"):
        load_dataset(name)


def test_when_no_mirror_serves_each_is_named_and_nothing_is_left(
    server: Server, cache: Path, publish: Callable[..., None], refused: str, capfd: pytest.CaptureFixture[str]
) -> None:
    bad = [server.mirror(how) for how in ("missing", "truncated", "cut", "corrupted")]
    publish("cifar100", _cifar100(), *bad, refused)
    with pytest.raises(DataError) as error:
        load_dataset("cifar100")
    said = str(error.value)
    md5 = hashlib.md5(server.good["cifar-100-binary.tar.gz"]).hexdigest()
    assert said.startswith("dataset 'cifar100' needs cifar-100-binary.tar.gz, and no mirror gave it: ")
    assert said.endswith("Try again, or download its files by hand and name their folder with --data-dir.")
    assert f"{bad[0]} (HTTP status 404); " in said
    assert f"{bad[1]} (the transfer broke off); " in said
    assert f"{bad[2]} (the MD5 of what it sent is not {md5}); " in said, "a length that is not stated"
    assert f"{bad[3]} (the MD5 of what it sent is not {md5}); " in said
    assert f"{refused} (Connection refused). " in said
    assert _files(cache) == set()
    assert capfd.readouterr() == ("", ""), "the error says it all"


def test_a_file_that_was_damaged_in_the_cache_is_downloaded_anew(
    server: Server, cache: Path, publish: Callable[..., None], idx: Idx
) -> None:
    publish("mnist", _mnist(idx))
    digest = load_dataset("mnist").digest
    path = cache / "mnist" / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-1])
    assert load_dataset("mnist").digest == digest
    assert server.asked[4:] == ["/good/t10k-labels-idx1-ubyte.gz"]


def test_of_a_damaged_unpacked_file_it_is_said_how_to_get_it_anew(cache: Path, publish: Callable[..., None]) -> None:
    publish("cifar100", _cifar100())
    load_dataset("cifar100")
    path = cache / "cifar-100-binary" / "test.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=rf"whole records .* It was downloaded: remove {path.parent}, and the next run"):
        load_dataset("cifar100")


def test_an_interrupted_download_leaves_nothing(
    cache: Path, publish: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(url: str) -> Iterator[transfer.Piece]:
        yield transfer.Piece(b"half", 0)
        raise KeyboardInterrupt

    publish("cifar100", _cifar100())
    monkeypatch.setattr(download, "pieces", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_dataset("cifar100")
    assert _files(cache) == set()


def test_an_interrupted_unpacking_leaves_no_half_a_folder(
    cache: Path, publish: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish("cifar100", _cifar100())
    extract = tarfile.TarFile.extract

    def interrupted(self: tarfile.TarFile, member: tarfile.TarInfo, *arguments: object, **options: object) -> None:
        if member.name.endswith("test.bin"):
            raise KeyboardInterrupt
        extract(self, member, *arguments, **options)  # pyright: ignore[reportArgumentType]

    with monkeypatch.context() as patch:
        patch.setattr(tarfile.TarFile, "extract", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load_dataset("cifar100")
    assert _files(cache) == {"cifar-100-binary.tar.gz"}, "whole, with the right checksum"
    assert len(load_dataset("cifar100").test.y) == 10


def test_a_cache_that_must_not_be_written_is_named_with_the_reason(
    publish: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is the last error, and not one that was met on the way to it."""

    def refuse(*_: object, **__: object) -> None:
        try:
            raise FileNotFoundError(2, "No such file or directory")
        except FileNotFoundError:
            raise OSError(30, "Read-only file system")  # noqa: B904

    publish("cifar100", _cifar100())
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(DataError, match="must be writable, and is not: Read-only file system"):
        load_dataset("cifar100")


def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, publish: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("WEEDOUT_CACHE", str(tmp_path / "file" / "cache"))
    publish("cifar100", _cifar100())
    with pytest.raises(DataError, match=r"file/cache must be writable, and is not: Not a directory. .* WEEDOUT_CACHE"):
        load_dataset("cifar100")


def test_without_pooch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(DataError, match=r"pooch must be installed: pip install 'weedout-core\[lab\]'. .* --data-dir"):
        load_dataset("mnist")


def test_the_cache_is_the_users_own_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import pooch

    monkeypatch.setenv("WEEDOUT_CACHE", "")
    assert download._cache("mnist") == Path(pooch.os_cache("weedout-core"))
    monkeypatch.setenv("WEEDOUT_CACHE", "~/somewhere")
    assert download._cache("mnist") == Path.home() / "somewhere"


def test_progress_is_drawn_on_a_terminal(
    cache: Path, publish: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = io.StringIO()
    console = Console(file=drawn, force_terminal=True, width=100)
    monkeypatch.setattr(download_bar, "Console", lambda stderr: console)
    publish("cifar100", _cifar100())
    load_dataset("cifar100")
    assert "cifar-100-binary.tar.gz" in drawn.getvalue()
    assert "kB" in drawn.getvalue()


def test_only_the_wanted_files_of_an_archive_are_unpacked(tmp_path: Path) -> None:
    path, into = tmp_path / "archive.tar.gz", tmp_path / "into"
    into.mkdir()
    files = {"./set/a.bin": b"a", "set/b.bin": b"b", "set/c.bin": b"c", "../set/a.bin": b"x", "/set/b.bin": b"x"}
    path.write_bytes(_archive(files, {"set/link": "/etc/passwd"}))
    unpack(path, "set", ["a.bin", "b.bin"], into)
    assert _files(tmp_path) == {"archive.tar.gz", "into/set/a.bin", "into/set/b.bin"}
    assert [(into / "set" / name).read_bytes() for name in ("a.bin", "b.bin")] == [b"a", b"b"]


def test_a_link_does_not_pass_for_a_file(tmp_path: Path) -> None:
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(_archive({"set/a.bin": b"a"}, {"set/b.bin": "/etc/passwd"}))
    with pytest.raises(DataError, match=r"archive.tar.gz must hold set/b.bin, and does not"):
        unpack(path, "set", ["a.bin", "b.bin"], tmp_path)
    assert _files(tmp_path) == {"archive.tar.gz"}


def test_what_is_published_is_well_formed() -> None:
    for item in PUBLISHED.values():
        assert isinstance(item, Published)
        assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in item.mirrors)
        assert len(item.mirrors) >= 2
        assert all(len(bytes.fromhex(md5)) == 16 for md5 in item.md5.values())


def test_the_checksums_are_those_of_the_real_files(real_data: Path) -> None:
    published, folder = PUBLISHED["mnist"].md5, real_data / "mnist"
    if missing := [name for name in published if not (folder / name).is_file()]:
        pytest.skip(f"{', '.join(missing)} not in {folder}: set WEEDOUT_DATA_DIR to a folder with all of MNIST")
    found = {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in published}
    assert found == dict(published)


@pytest.mark.slow
def test_the_checksums_of_what_is_read_are_those_of_the_real_files(real_data: Path) -> None:
    for name, read in (("mnist", read_mnist), ("cifar10", read_cifar10)):
        if (folder := real_data / PUBLISHED[name].folder).is_dir():
            train, test = read(folder)
            assert {**train.files, **test.files} == dict(PUBLISHED[name].contents)


def test_a_checksum_is_of_each_file_that_is_read_or_of_none() -> None:
    for name, item in PUBLISHED.items():
        read = item.members or [file.removesuffix(".gz") for file in item.md5]
        assert list(item.contents) == ([] if name == "cifar100" else list(read))
        assert all(len(bytes.fromhex(md5)) == 16 for md5 in item.contents.values())

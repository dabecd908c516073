"""The content of one address, of bounded size and at a bounded speed: whatever the other side sends, it ends."""

from collections.abc import Iterator
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Thread
from typing import NamedTuple

MOST = 1 << 28  # bytes: 256 MiB; the largest published file, of CIFAR-10, has 170 MB
PATIENCE = 30.0  # seconds for each piece, or for the last one: at least 8 kB a second
PIECE = 1 << 18  # bytes
_TIMEOUT = (10, 30)  # seconds to connect, and without any byte
_IN_WORDS = {
    "ConnectTimeout": "no answer",
    "ProtocolError": "the transfer broke off",
    "ReadTimeout": "no answer",
    "ReadTimeoutError": "no answer",
}


class TransferError(Exception):
    """An address did not give its content; the message says why, in a few words."""


class Piece(NamedTuple):
    """The next bytes of a content, and of how many in all; 0 if that was not said. No bytes are its end."""

    content: bytes
    total: int


def pieces(url: str) -> Iterator[Piece]:
    """The content of an address, piece after piece. Raises TransferError if it fails, is too large or comes too slowly.

    A thread receives it, because a server that sends one byte now and then would keep this one waiting, in the header
    too. A thread that nobody waits for ends with its connection.
    """
    arrived: Queue[Piece | Exception] = Queue(2)
    Thread(target=_receive, args=(url, arrived), daemon=True).start()
    size = 0
    while True:
        try:
            piece = arrived.get(timeout=PATIENCE)
        except Empty:
            raise TransferError(f"slower than {PIECE:,} bytes in {PATIENCE:g} seconds") from None
        if isinstance(piece, Exception):
            raise TransferError(reason(piece)) from piece
        size += len(piece.content)
        if max(size, piece.total) > MOST:
            raise TransferError(f"more than {MOST:,} bytes")
        if not piece.content:
            return
        yield piece


def reason(error: BaseException) -> str:
    """The reason for an error: the operating system's own message if one of its causes has one."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP status {response.status_code}"
    name = type(error).__name__
    found, cause = _IN_WORDS.get(name, name), error
    while cause is not None:
        found = getattr(cause, "strerror", None) or found
        cause = cause.__cause__ or cause.__context__
    return found


def _receive(url: str, arrived: "Queue[Piece | Exception]") -> None:
    """Put the pieces of a content, its end or what went wrong, as long as somebody takes them."""
    import requests  # only downloading needs it

    with suppress(Full):
        try:
            # As it is stored: what unpacks itself could be larger than what arrives.
            plain = {"Accept-Encoding": "identity"}
            with requests.get(url, stream=True, timeout=_TIMEOUT, headers=plain) as response:
                response.raise_for_status()
                length = response.headers.get("Content-Length", "")
                total = int(length) if length.isdecimal() else 0
                for content in response.raw.stream(PIECE, decode_content=False):
                    arrived.put(Piece(content, total), timeout=PATIENCE)
            arrived.put(Piece(b"", total), timeout=PATIENCE)
        except Full:
            raise
        except Exception as error:  # of requests, of urllib3, or of what they did not expect of a server
            arrived.put(error, timeout=PATIENCE)

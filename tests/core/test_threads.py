"""Work shared out over threads is done once, whole, and its mistakes are not lost."""

import threading

import pytest

from weedout_core._random import threads as _threads
from weedout_core._random.threads import side_by_side


@pytest.mark.parametrize("cores", [1, 2, 5])
@pytest.mark.parametrize("parts", [0, 1, 2, 7])
def test_every_part_is_done_once(monkeypatch: pytest.MonkeyPatch, cores: int, parts: int) -> None:
    monkeypatch.setattr(_threads, "_cores", lambda: cores)
    done: list[int] = []
    side_by_side(done.append, range(parts))
    assert sorted(done) == list(range(parts))


def test_parts_are_shared_out_over_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_threads, "_cores", lambda: 3)
    together = threading.Barrier(3, timeout=600)  # broken, and an error, unless three threads come to it

    def meet(_: int) -> None:
        together.wait()

    side_by_side(meet, range(3))


def test_one_part_stays_in_this_thread() -> None:
    seen: list[threading.Thread] = []
    side_by_side(lambda _: seen.append(threading.current_thread()), [0])
    assert seen == [threading.current_thread()]


@pytest.mark.parametrize("cores", [1, 2])
def test_what_goes_wrong_is_raised(monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    monkeypatch.setattr(_threads, "_cores", lambda: cores)

    def fail(part: int) -> None:
        if part == 3:
            raise ValueError("part 3")

    with pytest.raises(ValueError, match="part 3"):
        side_by_side(fail, range(5))

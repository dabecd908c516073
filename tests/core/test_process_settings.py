"""Settings of the process: held while any thread is inside, and then as they were."""

from threading import Barrier, Thread
from typing import Any

import pytest

from weedout_core.backend import ProcessSetting, ProcessSettings


class Framework:
    """As PyTorch has the precision of products: an operation without one takes that of its library."""

    def __init__(self) -> None:
        self.set = {"library": "none", "one": "none", "other": "none"}
        self.written: list[str] = []

    def read(self, name: str) -> str:
        return self.set["library"] if self.set[name] == "none" else self.set[name]

    def write(self, name: str, value: str) -> None:
        self.written.append(name)
        self.set[name] = value

    def held(self) -> ProcessSettings:
        return ProcessSettings(
            *(
                ProcessSetting(name, lambda name=name: self.read(name), lambda v, name=name: self.write(name, v), ours)
                for name in self.set
                for ours in [("full", "none")]
            )
        )


@pytest.fixture
def framework() -> Framework:
    return Framework()


def test_nothing_is_written_where_all_will_do(framework: Framework) -> None:
    with framework.held():
        pass
    assert framework.written == []


def test_what_is_inherited_stays_inherited(framework: Framework) -> None:
    framework.set |= {"library": "half", "other": "half"}
    before = dict(framework.set)
    with framework.held():
        assert [framework.read(name) for name in framework.set] == ["full"] * 3
    assert framework.set == before
    assert framework.written == ["library", "other", "other", "library"], "never the one that inherits"
    framework.set["library"] = "full"
    assert framework.read("one") == "full", "a later change still reaches it"


def test_the_last_one_out_restores_after_exceptions_too(framework: Framework) -> None:
    framework.set["one"] = "half"
    held = framework.held()
    with held:
        with pytest.raises(ZeroDivisionError), held:
            raise ZeroDivisionError
        assert framework.read("one") == "full", "somebody is inside still"
    assert framework.read("one") == "half"


def test_what_somebody_else_sets_meanwhile_stays(framework: Framework) -> None:
    framework.set["one"] = "half"
    held = framework.held()
    with held:
        framework.set["one"] = "quarter"
        with held:
            assert framework.read("one") == "full", "but not for whoever enters after"
    assert framework.read("one") == "quarter"


@pytest.mark.parametrize("first_out", ["one", "other"])
def test_threads_in_any_order(framework: Framework, first_out: str) -> None:
    framework.set["one"] = "half"
    held, inside, out = framework.held(), Barrier(2), Barrier(2)
    seen: list[Any] = []

    def run(which: str) -> None:
        with held:
            inside.wait()
            if which != first_out:
                out.wait()
                seen.append(framework.read("one"))
        if which == first_out:
            out.wait()

    threads = [Thread(target=run, args=(which,)) for which in ("one", "other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ["full"]
    assert framework.read("one") == "half"

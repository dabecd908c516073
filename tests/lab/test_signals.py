"""Signals that ask the command to end: it does, in order, with one sentence and the shell's exit code."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from weedout_core import lab
from weedout_core.lab import signals
from weedout_core.lab.commands.options import RunOptions

ROOT = Path(__file__).parents[2]
Start = Callable[..., subprocess.Popen[str]]
CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}
BEGIN = """
import gc, os, signal, sys, time
for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(ending, signal.SIG_DFL)  # whatever the tests were begun with
number = getattr(signal, sys.argv[1])
def ask():
    signal.raise_signal(number)
from weedout_core.lab import signals
"""
COMMAND = """
signals._SAME = 0.3
signals.hear()
code = 0
try:
    work()
except KeyboardInterrupt:
    signals.end_begins()
    code = signals.requested()
signals.leave(code)
"""


def ran(*parts: str, number: str = "SIGTERM") -> tuple[int, str, str]:
    """The exit code of a process that runs parts of a script, what it printed, and what it wrote to stderr."""
    code = BEGIN + "\n".join(parts)
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), *sys.path]))}
    done = subprocess.run([sys.executable, "-c", code, number], env=path, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("number", CODES)
def test_each_signal_is_an_interrupt_with_the_shells_exit_code(number: str) -> None:
    assert ran("def work(): ask(); print('went on')", COMMAND, number=number) == (CODES[number], "", "")


#: Code of others that loses a KeyboardInterrupt, on purpose: what it loses is to be raised again.
SWALLOWS = {
    "a destructor": """
class Swallows:
    def __del__(self): ask()
def swallow():
    Swallows()
""",
    "a callback of the garbage collector": """
def callback(phase, _):
    gc.callbacks.clear(); ask()
def swallow():
    gc.callbacks.append(callback); gc.collect()
""",
    "a bare except": """
def swallow():
    try: ask()
    except: pass
""",
}


@pytest.mark.parametrize("by", SWALLOWS)
def test_a_request_that_other_code_swallows_is_repeated_in_silence(by: str) -> None:
    work = """
def work():
    swallow()
    print('swallowed', flush=True)
    end = time.monotonic() + 30
    while time.monotonic() < end: pass
"""
    assert ran(SWALLOWS[by], work, COMMAND) == (143, "swallowed\n", "")


HALF_MADE = """
class HalfMade:
    def __init__(self): ASKED; self.whole = True
    def __del__(self): print(self.whole)
def work():
    try: HalfMade()
    except ZeroDivisionError: pass
"""


def test_what_a_request_leaves_half_made_fails_in_silence_and_anything_else_aloud() -> None:
    assert ran(HALF_MADE.replace("ASKED", "ask()"), COMMAND) == (143, "", "")
    code, _, err = ran(HALF_MADE.replace("ASKED", "1 / 0"), COMMAND)
    assert code == 0
    assert "has no attribute 'whole'" in err


DEFERRED = """
def work():
    with signals.deferred():
        ask()
        print("noted", signals.noted() == number, flush=True)
        time.sleep(0.4)
        ask()
        print("went on")
"""

OF_ANOTHER = """
def work():
    with signals.deferred():
        try:
            signals.end_as(number)
        finally:
            time.sleep(0.4)
            ask()
            print("its progress is written")
"""


def test_a_request_that_is_deferred_is_noted_and_a_second_one_ends_the_process() -> None:
    assert ran(DEFERRED, COMMAND) == (143, "noted True\n", f"weedout: ended by SIGTERM; {signals.KEPT}\n")


def test_a_request_that_another_process_has_got_first_is_no_second_one() -> None:
    assert ran(OF_ANOTHER, COMMAND) == (143, "its progress is written\n", "")


def test_further_signals_at_once_are_the_same_request() -> None:
    work = """
def work():
    signals._SAME = 60
    try: ask()
    except KeyboardInterrupt:
        signals.end_begins()
        ask(); signal.raise_signal(signal.SIGINT)
        print('kept', flush=True)
        raise
"""
    assert ran(work, COMMAND) == (143, "kept\n", "")


def test_a_signal_that_insists_ends_at_once_what_takes_long_to_end() -> None:
    work = """
def work():
    try: ask()
    except KeyboardInterrupt:
        signals.end_begins()
        time.sleep(0.4)
        ask()
        print('went on', flush=True)
"""
    code, out, err = ran(work, COMMAND)
    assert (code, out) == (143, "")
    assert err == "weedout: ended by SIGTERM; what was saved is kept, and the same command goes on from there.\n"


def test_an_import_is_not_left_halfway(tmp_path: Path) -> None:
    """A module written in C would print the error, and go on with another."""
    (tmp_path / "halfway.py").write_text(
        "import __main__\ntry: __main__.ask()\nexcept BaseException as error: raise ImportError('it failed') from error"
    )
    code, out, err = ran(
        f"sys.path.insert(0, {str(tmp_path)!r})", "def work(): import halfway", COMMAND, number="SIGINT"
    )
    assert (code, out) == (130, "")
    assert err == "weedout: interrupted; what was saved is kept, and the same command goes on from there.\n"


def test_signals_that_are_ignored_or_handled_stay_so() -> None:
    handled = """
signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
signal.signal(signal.SIGTERM, print)
signals.hear()
assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
assert signal.getsignal(signal.SIGTERM) is print
assert signal.getsignal(signal.SIGINT) is signals._handle
"""
    assert ran(handled) == (0, "", "")


def test_a_command_that_is_done_is_done() -> None:
    """Python lets go of its handlers before a process has ended."""
    late = """
class Late:
    def __del__(self, kill=os.kill, me=os.getpid()): kill(me, number); print('late')
late = Late()
def work(): pass
"""
    assert ran(late, COMMAND) == (0, "late\n", "")


def test_other_errors_are_told_as_ever() -> None:
    """Only what is said of the request is kept quiet."""
    work = """
class Fails:
    def __del__(self): raise RuntimeError('in a destructor')
def work():
    Fails()
    raise RuntimeError('in the work')
"""
    code, _, err = ran(work, COMMAND)
    assert code == 1
    assert "RuntimeError: in a destructor" in err
    assert err.endswith("RuntimeError: in the work\n")


@pytest.mark.slow
def test_the_library_and_its_functions_hear_no_signal(tmp_path: Path) -> None:
    """``lab.judge`` in a script, and the command called as a function."""
    from weedout_core.lab.cli import main

    heard = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    hooks = sys.excepthook, sys.unraisablehook
    config = lab.ExperimentConfig(hidden=(4,), backend="numpy", train_examples=64)
    judging = lab.JudgeConfig(sparsity=(0.5,), repeats=(2,))

    def interrupts(task: lab.Task) -> None:
        raise KeyboardInterrupt

    with pytest.raises(
        KeyboardInterrupt,
        match=r"0 of 2 groups are done; all progress is kept in .*run, and the same command continues\.",
    ):
        lab.judge(interrupts, config, judging, RunOptions(out=tmp_path / "run"))
    assert main(["paper", "--population", "1"]) == 2
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == heard
    assert (sys.excepthook, sys.unraisablehook) == hooks


def test_little_is_imported_before_the_command_hears_signals() -> None:
    """Where one came before, Python itself shows a traceback."""
    seen = "before = {*sys.modules}; import weedout_core.lab.signals; print(*({*sys.modules} - before))"
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), *sys.path]))}
    loaded = subprocess.check_output([sys.executable, "-c", f"import sys; {seen}"], env=path, text=True).split()
    assert "weedout_core.lab.signals" in loaded
    assert not {"dataclasses", "inspect", "numpy", "rich", "weedout_core.errors"} & {*loaded}

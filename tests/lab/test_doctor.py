"""The doctor survives whatever is wrong with a backend, and says it in one line."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import weedout_core as wc
from weedout_core.lab.cli import main
from weedout_core.lab.commands import doctor

Weedout = Callable[..., int]

#: Backends by name: what stands in their module, and what is said of them.
FAULTY = {
    "absent": ("import no_such_framework", r"cannot be imported (No module named 'no_such_framework')"),
    "library": (
        "raise OSError('libcudart.so.12: cannot open')",
        "cannot connect: OSError: libcudart.so.12: cannot open.",
    ),
    "exits": ("import sys; sys.exit('no licence')", "cannot connect: SystemExit: no licence."),
    "steers": (r"raise RuntimeError('\x1b[2J\nand more')", r"cannot connect: RuntimeError: \x1b[2J."),
    "nothing": ("def connect(device, devices): pass", "must return a Backend; it returned None."),
    "aborts": ("import os; os.abort()", "connecting to it ends the process, with exit code -6"),
    "silent": ("import os; os._exit(0)", "connecting to it ends the process, with exit code 0"),
    "shadow": ("import os; print('[{}, \"\"]', flush=True); os._exit(0)", "ends the process, with exit code 0"),
}


@pytest.fixture
def announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Installs backends, each a module of one line, and lets the doctor see those named and no others."""

    def install(modules: dict[str, str], *seen: str) -> None:
        info = tmp_path / "site" / "faulty-0.1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 0.1\n")
        points = [f"{name} = faulty_{name}:connect" for name in modules]
        (info / "entry_points.txt").write_text("\n".join(["[weedout_core.backends]", *points]))
        for name, code in modules.items():
            (info.parent / f"faulty_{name}.py").write_text(code)
        monkeypatch.syspath_prepend(info.parent)
        assert {*modules} <= {*wc.backend_names()}
        monkeypatch.setattr(doctor, "backend_names", lambda: [*modules, *seen])

    return install


@pytest.mark.slow
def test_it_says_what_is_here(weedout: Weedout, capfd: pytest.CaptureFixture[str]) -> None:
    assert weedout("doctor") == 0
    text, noise = capfd.readouterr()
    assert f"weedout-core {wc.__version__}" in text
    for name in ("Python", "numpy", "jax", "tyro"):
        assert name in text
    assert noise == "", "what frameworks log is not shown"


@pytest.mark.slow
def test_every_fault_is_one_line(
    weedout: Weedout, announced: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    announced({name: code for name, (code, _) in FAULTY.items()}, "numpy")
    assert weedout("doctor") == 0, "the reference works"
    out, err = capfd.readouterr()
    assert err == ""
    table, _, below = out.partition("└")
    assert [line.split("│")[2].strip() for line in table.splitlines() if line.startswith("│")] == ["no"] * len(
        FAULTY
    ) + ["yes"]
    lines = below.splitlines()[1:]
    assert len(lines) == len(FAULTY)
    for line, (name, (_, said)) in zip(lines, FAULTY.items(), strict=True):
        assert line.startswith(f"{name}: ")
        assert said in line


@pytest.mark.slow
def test_an_interrupt_ends_it_and_what_it_began(
    announced: Callable[..., None], tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "process"
    announced({"hangs": f"import os, time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(999)"})

    def interrupted(process: subprocess.Popen[bytes], timeout: float) -> None:
        while not mark.exists() or not mark.read_text():
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    assert main(["doctor"]) == 130
    assert capfd.readouterr().err.startswith("weedout: interrupted")
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


@pytest.mark.slow
def test_where_no_backend_works_the_exit_code_says_so(
    weedout: Weedout, announced: Callable[..., None], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "PATIENCE", 1.5)
    announced({"hangs": "import time; time.sleep(999)"})
    assert weedout("doctor") == 1
    assert capfd.readouterr().out.endswith("\nhangs: it does not connect within 2 seconds\n")

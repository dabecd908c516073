"""The paper's experiment on digits, end to end, and whether its winners are the CPU's."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.accelerator.child import Asked
from benchmarks.section import number
from benchmarks.timing import timed_call

SMALL = "--sparsity 0 0.8 --repeats 1 --population 4 --generations 1 --epochs 1 --hidden 32"


def run(asked: Asked) -> None:
    """``weedout paper`` on the device, and its searches on the CPU, by PyTorch, which compiles nothing."""
    more = SMALL.split() if asked.quick else []
    with tempfile.TemporaryDirectory() as folder:
        device, cpu = Path(folder, "device"), Path(folder, "cpu")
        seconds, _ = timed_call(lambda: paper(device, ["--backend", asked.part, *more]))
        asked.notes.row("`weedout paper` on digits", f"weedout {asked.part}", {"s": seconds} | _spent(device))
        asked.say(f"the experiment on digits took {seconds:.1f} s")
        paper(cpu, ["--backend", "torch", "--device", "cpu", *more, "--epochs", "1"])
        answer, wrong = _winners(device, cpu)
        asked.say(answer)
        asked.notes.line(f"digits, {asked.part}: {answer}", wrong)


def paper(folder: Path, arguments: list[str]) -> None:
    """Run the command; RuntimeError with what it said last where it fails."""
    command = [sys.executable, "-m", "weedout_core", "paper", "--out", str(folder), *arguments]
    done = subprocess.run(command, env=os.environ, cwd=folder.parent, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"weedout paper {' '.join(arguments)}: {done.stderr.strip()[-1000:]}")


def _spent(folder: Path) -> dict[str, float]:
    """Of these, compiling, and the phases without it."""
    from weedout_core.lab.experiment.rows import TimingRow, from_csv

    rows = from_csv(TimingRow, (folder / "timings.csv").read_text(encoding="utf-8"), "timings.csv")
    compiling = sum(row.compile_seconds or 0.0 for row in rows)
    return {"s, compiling": compiling, "s, searching and training": sum(row.seconds for row in rows) - compiling}


def _winners(device: Path, cpu: Path) -> tuple[str, bool]:
    """Whether both runs elected the same networks, but where two were too close to call; and whether that is wrong."""
    from weedout_core._algorithm.agreement import too_close
    from weedout_core.lab.experiment.rows import ResultRow, SearchRow, from_csv

    mine, theirs = (
        {
            (row.sparsity, row.repeat): (row.origin_generation, row.origin_candidate)
            for row in from_csv(ResultRow, (one / "results.csv").read_text(encoding="utf-8"), "results.csv")
            if row.arm == "weedout"
        }
        for one in (device, cpu)
    )
    close = {
        (row.sparsity, row.repeat)
        for row in from_csv(SearchRow, (cpu / "search.csv").read_text(encoding="utf-8"), "search.csv")
        if row.margin is not None and row.margin < too_close("negative_cross_entropy")
    }
    other = {cell for cell, origin in theirs.items() if mine.get(cell) != origin}
    wrong = sorted(other - close)
    names = ", ".join(f"sparsity {number(sparsity)} repeat {repeat}" for sparsity, repeat in wrong)
    answer = (
        f"{len(theirs) - len(other)} of {len(theirs)} winners equal to the CPU's, {len(other & close)} too close to"
    )
    return f"{answer} call{f'; WRONG: {names}' if wrong else ''}.", bool(wrong)

"""The progress of a download, drawn on a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class _Bar:
    """The progress bar that pooch expects, drawn by rich."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar, self._task = bar, task

    @property
    def total(self) -> float | None:
        return self._bar.tasks[self._task].total

    @total.setter
    def total(self, size: int) -> None:
        self._bar.update(self._task, total=size or None)

    def update(self, size: int) -> None:
        """Advance by ``size`` bytes."""
        self._bar.update(self._task, advance=size)

    def reset(self) -> None:
        """Go back to 0 bytes; pooch calls this before it reports the whole size."""
        self._bar.update(self._task, completed=0)

    def close(self) -> None:
        """Do nothing: the context that made the bar removes it."""


@contextmanager
def download_bar(name: str) -> Iterator[Any]:
    """A progress bar for the download of a file, in the form that pooch takes; False (no bar) without a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield False
        return
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(bar_width=24), DownloadColumn(),
        TimeRemainingColumn(), TextColumn("left"),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        yield _Bar(bar, bar.add_task(name, total=None))

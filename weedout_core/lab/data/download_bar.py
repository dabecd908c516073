"""The progress of a download, drawn on a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def download_bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """What draws how many bytes more of a file have come, and of how many in all (0: not known); only on a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda more, total: None
        return
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(bar_width=24), DownloadColumn(),
        TimeRemainingColumn(), TextColumn("left"),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda more, total: bar.update(task, advance=more, total=total or None)

"""Which device and which versions: the first process of a run, so that the program itself imports no framework."""

from benchmarks.accelerator.child import Asked
from benchmarks.machine import accelerator, description


def run(asked: Asked) -> None:
    """Write down the device's name, and the machine in a sentence."""
    asked.notes.row("machine", "card", {"is": accelerator()})
    asked.notes.row("machine", "description", {"is": description()})

"""``python -m weedout_core`` is the command ``weedout``."""

from typing import NoReturn

from weedout_core.lab import signals


def command() -> NoReturn:
    """Run the command line as a process of its own, which hears signals before it imports what takes time."""
    signals.hear()
    try:
        from weedout_core.lab.cli import main

        code = main()
    except KeyboardInterrupt:
        signals.end_at_once()
    signals.leave(code)


if __name__ == "__main__":
    command()

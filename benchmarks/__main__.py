"""``python -m benchmarks [GROUP ...]``, and ``python -m benchmarks accelerator``: measure, and write what was found.

Needs the extra ``bench``; the program for an accelerator, what its requirements name. Nothing else should run on the
machine meanwhile. ``python -m benchmarks adopted`` adopts models of other libraries, and needs the extra ``test``.
"""

import sys

if __name__ == "__main__":
    if sys.argv[1:2] == ["accelerator"]:
        # It imports no framework: its processes do, one after the other, and hold no memory when they end.
        from benchmarks.accelerator.program import main

        sys.exit(main(sys.argv[2:]))
    if sys.argv[1:2] == ["adopted"]:
        from benchmarks import adopted

        sys.exit(adopted.main(sys.argv[2:]))
    from benchmarks import groups

    groups.main(sys.argv[1:])

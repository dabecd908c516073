"""Options that take several values: mistakes that the parser does not see, or does not explain."""

import re
from collections import Counter
from collections.abc import Collection, Sequence

from weedout_core.errors import ConfigError


def check_several(arguments: Sequence[str], several: Collection[str]) -> None:
    """Raise ConfigError where an option of several values is given twice, or values are not separated by spaces.

    Of an option that is given twice the parser takes the last one. For a single value that is usual; several values
    might be meant to be joined.

    Args:
        arguments: the command line.
        several: the names of those options, without "--".
    """
    given: list[tuple[str, list[str]]] = []
    for word in arguments:
        if word[:2] == "--":
            option, _, word = word[2:].partition("=")
            given.append((option.replace("_", "-"), []))
        if given and word:
            given[-1][1].append(word)
    times = Counter(option for option, _ in given)
    for option, words in given:
        if option not in several:
            continue
        if times[option] > 1:
            raise ConfigError(
                f"--{option} must be given once; got it {times[option]} times. Give it once, followed by all of its "
                "values."
            )
        if any(re.search(r"[,;\s]", word) for word in words):
            values = " ".join(re.findall(r"[^][(),;\s]+", " ".join(words)))
            raise ConfigError(
                f"--{option} takes values separated by spaces; got {' '.join(words)!r}. Write --{option} {values}."
            )

"""Checks of arguments: the kinds of values that there are, and how they are converted or refused when handed in."""

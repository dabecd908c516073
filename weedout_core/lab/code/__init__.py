"""Code of the user's: functions that are named by their place, the files that they are made of, how they fail."""

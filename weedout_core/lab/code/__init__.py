"""Code of the user's: functions that are named by their place, and the files that they are made of."""

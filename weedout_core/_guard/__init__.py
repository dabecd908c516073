"""What is handed in: the kinds of values that there are, converted or refused once, where they come in."""

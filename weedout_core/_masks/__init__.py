"""What a candidate keeps: counts, masks from keys, and checks of masks that are handed in."""

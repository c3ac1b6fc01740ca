"""What the suite does beside its tests: lanes for workers, times of the rooms, skips in words, leftovers."""

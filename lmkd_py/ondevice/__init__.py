"""The part of lmkctl that runs on the device itself: see __main__."""

"""A simulated machine that replays recorded scenarios of AOSP's lmkd through the real policy and polling functions."""

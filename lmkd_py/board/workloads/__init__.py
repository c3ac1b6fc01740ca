"""What applications do to a board while a killer is on trial: one workload a file, the same under any killer.

They run inside the board, on its Python 3.11 and the standard library. Sizes are those for the profile `board`;
Trial.mib() makes them fit another one. A minimum is the fewest deaths with which the workload fits there: usable RAM of
155 MiB less the high watermark of 2.7 and what a full zram takes, and 192 MiB of zram, against the applications, each
with 1.5 MiB beside its memory.
"""

"""A closed loop: a machine whose memory is a list of chunks, tasks that use it, and killers that relieve it.

It drives the real judge(), conclude() and polling functions. It was calibrated on an emulated board of 256 MiB with
192 MiB of zram on which nobody killed: 5 kills by the kernel here, 5 to 6 there. It has no file cache and no contention
for CPUs, so times of recovery are too good. It is for searching, and for regressions of the policy; a board proves.
"""

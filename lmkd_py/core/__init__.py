"""The policy: values in, values out. Knows no clock, file, process or socket."""

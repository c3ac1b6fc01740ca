"""What goes into the trace: records, names, notes, strikes; and the files it is kept in."""

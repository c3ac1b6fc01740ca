"""Host side of a board: what a person sends to it and takes from it."""

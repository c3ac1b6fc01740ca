"""lmkctl: the only room that speaks to people."""

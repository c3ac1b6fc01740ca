"""What runs inside a virtual board beside the code under test: Python 3.11, standard library only."""

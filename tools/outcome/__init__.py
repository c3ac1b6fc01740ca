"""The outcome suite: who has to die, and how soon it is over, under every killer and workload."""

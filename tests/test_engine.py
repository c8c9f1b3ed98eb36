"""The recorded graph and the sweep over it: depth, lifetime, what is saved, accumulation, grad mode, threads, variables."""

"""How good a ranking is on real visits: the protocol, its slices and intervals, the baselines."""

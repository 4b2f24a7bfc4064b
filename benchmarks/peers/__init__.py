"""placestream beside its peers, each in an environment of its own: `python -m benchmarks.peers`.

What runs in a peer's environment (`quix_counts`, `bytewax_counts`, `feast_places`) imports nothing
of ours but files here that need the standard library alone.
"""

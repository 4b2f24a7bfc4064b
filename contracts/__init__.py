"""What every part agrees on: events, topics, ids, settings and the public protocol.

Imports nothing of ours; every other room may import it.
"""

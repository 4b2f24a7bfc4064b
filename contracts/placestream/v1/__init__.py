"""Version 1 of the public protocol; `make stubs` generates the `_pb2` files."""

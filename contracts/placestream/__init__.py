"""The public protocol: protos and their generated stubs."""

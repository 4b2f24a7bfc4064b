"""The gRPC service: its pipeline, the client of TF Serving, and the embedded model server.

Imports contracts and online_features; a model reaches it only through TF Serving's protocol.
"""

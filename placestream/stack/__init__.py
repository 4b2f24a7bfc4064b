"""Servers and processes of one machine: real Kafka and Redis, and the roles beside them."""

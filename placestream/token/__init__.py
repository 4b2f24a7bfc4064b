"""Tokens of those who may call the service: made, listed, taken back."""

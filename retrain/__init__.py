"""Closes the loop: drift detectors, retrain triggers, the trainer, its gate, the rollout."""

"""Whether the archive is fit to train on: checked by Great Expectations before any training."""

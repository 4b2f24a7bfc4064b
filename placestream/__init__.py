"""The command line, and the local stack that starts everything else."""

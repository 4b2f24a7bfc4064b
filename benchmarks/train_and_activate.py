"""Train a pair of models on the archive and bring it into service.

A process of its own, for it loads TensorFlow, whose threads and memory have no place in a client
that measures milliseconds.
"""

from contracts.settings import Settings
from models.train import run
from placestream import logs
from retrain.rollout import activate


def main() -> None:
    """Do so, as the environment's settings say."""
    settings = Settings()
    logs.configure(settings, "train")
    activate(settings, run(settings))


if __name__ == "__main__":
    main()

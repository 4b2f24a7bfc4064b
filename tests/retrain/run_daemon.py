"""The trainer as a process of its own, to be killed: `python -m tests.retrain.run_daemon TRAINER`.

Settings come from the environment.
"""

import sys

if __name__ == "__main__":
    # Here, so that the training's process, which imports this module too, is spared TensorFlow.
    from contracts.settings import Settings
    from retrain.daemon import run
    from tests.retrain import trainers

    run(Settings(), trainer=getattr(trainers, sys.argv[1]), lease_s=2)

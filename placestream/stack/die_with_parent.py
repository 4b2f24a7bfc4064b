"""Run a command that the kernel ends when its parent goes, however the parent went.

    python -IS die_with_parent.py PARENT_PID COMMAND [ARGUMENT...]

It is a program of its own, not a `preexec_fn`: code between fork and exec may hang where the
parent has threads (gRPC, TensorFlow, librdkafka), and gRPC's fork handlers complain. On other
systems than Linux the command runs without that guarantee.
"""

import ctypes
import os
import signal
import sys

#: From linux/prctl.h.
PR_SET_PDEATHSIG = 1
COMMAND_NOT_FOUND = 127


def main(arguments: list[str]) -> int:
    """Tie this process to its parent, then become the command."""
    parent, command = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it went before the kernel knew of our wish
            return 1
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]}: {error.strerror}\n")
        return COMMAND_NOT_FOUND


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

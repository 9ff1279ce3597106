"""Runs a command that dies with the one who started it, even by SIGKILL: ``leash.py PARENT-PID COMMAND...``."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1

if sys.platform == "linux":
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):  # it died before it could be heard
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])

"""What runs inside the pods, on an image that is not ours: the text of ``agent``, which this room never imports."""

from functools import cache
from pathlib import Path


@cache
def agent_text() -> str:
    """The agent as ``python3 -I -c`` takes it: fewer than 128 KiB, the most that the kernel takes as one argument."""
    return (Path(__file__).parent / "agent.py").read_text(encoding="utf-8")

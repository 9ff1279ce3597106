"""``baray demo``: an example centre on this machine, with real jobs, run to the end and accounted for.

``stages`` is the way through it, from top to bottom; each stage has its module. Everything between the demo and its
centre goes through the HTTP API, by the ``client`` package, as it would for any user.
"""

from runtime.demo.stages import run

__all__ = ["run"]

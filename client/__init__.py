"""The typed Python client of a Baray centre.

    from client import Baray

    with Baray("https://gpu.centre.example", token) as centre:
        job = centre.jobs.submit({"project": "speech", "resources": {"gpus": 1, "walltime": "1h"}, "run": "nvidia-smi"})
        print(centre.jobs.wait_until_final(job["id"])["state"])

Answers are the API's own JSON, typed (``client.models``). Failures raise the family of ``client.errors``. It imports
the standard library and urllib3 only (and websockets, for lines into jobs), and nothing else of Baray.
"""

from client.baray import Baray
from client.errors import (
    ApprovalNeededError,
    BadAnswerError,
    BarayError,
    BrokenDownloadError,
    FieldError,
    InvalidArgumentError,
    InvalidRequestError,
    NotAllowedError,
    NotFoundError,
    NotLoggedInError,
    ProblemError,
    RefusedError,
    ServiceError,
    UnreachableError,
)
from client.models import FINAL_STATES

__all__ = [
    "FINAL_STATES",
    "ApprovalNeededError",
    "BadAnswerError",
    "Baray",
    "BarayError",
    "BrokenDownloadError",
    "FieldError",
    "InvalidArgumentError",
    "InvalidRequestError",
    "NotAllowedError",
    "NotFoundError",
    "NotLoggedInError",
    "ProblemError",
    "RefusedError",
    "ServiceError",
    "UnreachableError",
]

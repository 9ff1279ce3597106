"""The service's own log: JSON lines on stderr, one event a line."""

import logging
import sys
from dataclasses import asdict

import structlog

from lifecycle.events import SecurityEvent

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def tell(event: SecurityEvent) -> None:
    """A line of a security event: numbers of users, and no names."""
    told = {name: value for name, value in asdict(event).items() if name != "name" and value not in (None, ())}
    structlog.get_logger("security").info(f"security.{event.name}", **told)


def configure(level: str) -> None:
    number = _LEVELS.get(level.lower(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,  # the request's id
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")

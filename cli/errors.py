"""A failure as a message for people and an exit code. Imported only once something failed."""

import contextlib
import os
import sys
import traceback
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from cli.failures import ERROR, NOT_ALLOWED, NOT_FOUND, REFUSED, UNREACHABLE, USAGE, CliError, Fault, FaultyInputError
from cli.words import clean

if TYPE_CHECKING:
    from client import FieldError, ProblemError

_CODES: Final = {
    400: USAGE, 413: USAGE, 422: USAGE,
    401: NOT_ALLOWED, 403: NOT_ALLOWED,
    404: NOT_FOUND,
    409: REFUSED, 412: REFUSED, 429: REFUSED,
}  # fmt: skip


def explain(error: Exception, env: Mapping[str, str]) -> tuple[str, int]:
    if isinstance(error, FaultyInputError):
        headline = [f"error: {error.headline}"] if error.headline else []
        return _joined([*headline, *map(str, error.faults), *_tries(error.fixes)]), error.code
    if isinstance(error, CliError):
        return _message(error.message, error.fixes), error.code
    if "client" in sys.modules:
        from client import BarayError, InvalidArgumentError, ProblemError, UnreachableError

        if isinstance(error, ProblemError):
            return _problem(error), exit_code(error.status)
        if isinstance(error, UnreachableError):
            return _message(error.message, error.fixes), UNREACHABLE
        if isinstance(error, InvalidArgumentError):
            return _message(error.message, error.fixes), USAGE
        if isinstance(error, BarayError):
            return _message(error.message, error.fixes), ERROR
    if isinstance(error, OSError) and error.strerror:
        return _message(f"{error.filename}: {error.strerror}" if error.filename else error.strerror), ERROR
    return _bug(error, env), ERROR


def exit_code(status: int) -> int:
    """The exit code of an HTTP status."""
    return _CODES.get(status, UNREACHABLE if status >= 500 else ERROR)


def _problem(error: "ProblemError") -> str:
    faults = [str(Fault(_where(fault), fault.message, fault.fix)) for fault in error.errors]
    told = {fault.fix for fault in error.errors}
    fixes = [fix for fix in dict.fromkeys(error.fixes) if fix not in told]
    if error.status == 401:
        known = any("baray login" in fix for fix in (*fixes, *filter(None, told)))
        fixes.append("check BARAY_TOKEN, if it is set" if known else "run 'baray login', or check BARAY_TOKEN")
    if error.status >= 500 and error.request_id:
        fixes.append(f"if it goes on, tell the centre the request's id: {error.request_id}")
    if len(faults) == 1 and error.errors[0].message == error.detail:
        (only,) = error.errors
        wrong_input = exit_code(error.status) == USAGE and only.field
        return _message(
            f"{only.field}: {only.message}" if wrong_input else only.message, [*filter(None, [only.fix]), *fixes]
        )
    return _joined([f"error: {error.detail}", *(f"  {fault}" for fault in faults), *_tries(fixes)])


def _where(fault: "FieldError") -> str:
    if fault.field:
        return fault.field
    return f"line {fault.line}, column {fault.column}" if fault.line else "request"


def _message(message: str, fixes: Iterable[str] = ()) -> str:
    return _joined([f"error: {message}", *_tries(fixes)])


def _tries(fixes: Iterable[str]) -> list[str]:
    return [f"  try: {fix}" for fix in fixes]


def _joined(lines: Iterable[str]) -> str:
    return "\n".join(clean(line) for text in lines for line in text.split("\n"))


def _bug(error: Exception, env: Mapping[str, str]) -> str:
    """One line about a failure that nobody foresaw. The token, should it be in the text, is not shown."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" ({os.path.basename(last[0].filename)}:{last[0].lineno})" if last else ""  # noqa: PTH119
    text = " ".join(str(error).split())[:300]
    for secret in _tokens(env):
        text = text.replace(secret, "***")
    hint = "please tell your centre's support, with the output of BARAY_DEBUG=1"
    return clean(f"error: baray stumbled: {type(error).__name__}: {text}{place}; {hint}")


def _tokens(env: Mapping[str, str]) -> list[str]:
    """Every token that this run may have had in its hands."""
    from cli import context

    found = [env.get("BARAY_TOKEN")]
    with contextlib.suppress(CliError):
        found += [known.token for known in context.load(env).known.values()]
    return [token for token in found if token]

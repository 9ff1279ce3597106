"""Renders pages: escaped by default, with a policy that lets nothing run and nothing come from elsewhere."""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, Response

from api.portal.texts import LANGUAGE, LEVELS, TEXTS

if TYPE_CHECKING:
    from jinja2 import Environment

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

STATIC = {"portal.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}


def text(key: str, **named: Any) -> Markup:
    """A text of ``texts``, with what is filled in escaped."""
    return Markup(escape(TEXTS[key])).format(**named) if named else escape(TEXTS[key])  # noqa: S704 - escaped right here


@cache
def static(name: str) -> tuple[bytes, str]:
    """A file of the pages, and a piece of its digest, so that browsers fetch it once and never show an old one."""
    data = (resources.files("api.portal") / "static" / name).read_bytes()
    return data, hashlib.sha256(data).hexdigest()[:12]


def _asset(name: str) -> str:
    return f"/static/{name}?v={static(name)[1]}"


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - until somebody opens a page

    made = Environment(
        loader=PackageLoader("api.portal"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"t": text, "asset": _asset, "language": LANGUAGE, "levels": LEVELS}
    return made


def page(template: str, told: Mapping[str, Any], status: int = 200) -> Response:
    content = _environment().get_template(template).render(told)
    return HTMLResponse(content, status, {"Content-Security-Policy": POLICY, "Content-Language": LANGUAGE})

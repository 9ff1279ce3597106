"""``baray up``: the whole centre on this machine, until it is told to stop."""

import sys
from collections.abc import Mapping
from typing import Any

import click
from pydantic import ValidationError

from domain.errors import BarayError, CannotStart
from runtime import logs
from runtime.edge import scheme
from runtime.server import listen, serve
from runtime.settings import Settings
from runtime.wiring import build
from runtime.xroad import Door, address_of, door_of


def read_settings(given: Mapping[str, Any]) -> Settings:
    """Settings from the environment, with what the command line gives above them."""
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = f"BARAY_{str(first['loc'][0]).upper()}"
        raise CannotStart(f"{name}: {first['msg']}", fix="see baray settings") from error


def run(given: Mapping[str, Any]) -> None:
    settings = read_settings(given)
    logs.configure(settings.log_level)
    listener = listen(settings.host, settings.port)
    settings = settings.model_copy(update={"port": listener.getsockname()[1]})  # a free one may have been asked for
    door: Door | None = None
    try:
        door = door_of(settings)
        centre = build(settings)
    except BarayError:
        listener.close()
        if door is not None:
            door.close()
        raise
    address = f"{scheme(settings)}://{settings.host}:{listener.getsockname()[1]}"

    def ready() -> None:
        click.echo(f"Baray is up at {address}")
        if door is not None:
            click.echo(f"  other governments, over X-Road: {address_of(settings)}")
        for note in centre.notes:
            click.echo(f"  note: {note}")
        if centre.first_token is not None:
            click.echo(f"  first token (administrator, shown this once): {centre.first_token}")
            click.echo(f"  log in with:  baray login --with-token --address {address}")
        sys.stdout.flush()

    serve(centre, listener, ready, door)

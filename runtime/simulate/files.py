"""Reads the files of a rehearsal: traces by their ending, documents in YAML or JSON. Faults name the file."""

import gzip
import io
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from domain.errors import Fault, Invalid
from scheduler.sim.traces import Trace, read_csv, read_swf

_MOST_BYTES = 1_048_576
_ENDINGS = (".csv", ".csv.gz", ".swf", ".swf.gz")


def read_trace(path: Path, flavors: Collection[str] | None = None) -> Trace:
    """A workload. ``flavors`` are those that the capacity offers; None takes every name. Raises Invalid."""
    name = path.name.lower()
    if not name.endswith(_ENDINGS):
        raise Invalid(
            f"{path.name}: its name does not end in {', '.join(_ENDINGS)}", "trace", fix="rename or convert it"
        )
    read = read_swf if name.removesuffix(".gz").endswith(".swf") else read_csv
    try:
        with naming(path), path.open("rb") as file:
            raw = gzip.GzipFile(fileobj=file) if name.endswith(".gz") else file
            with io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text:
                return read(text, flavors)
    except UnicodeDecodeError as error:
        raise Invalid(f"{path.name}: is no UTF-8 text", "trace") from error
    except (OSError, EOFError, zlib.error) as error:  # a broken archive among them
        raise Invalid(f"{path.name}: cannot be read: {_told(error)}", "trace") from error


def read_document(path: Path) -> dict[str, Any]:
    """A document in YAML 1.2, or in JSON, which is a part of it. Raises Invalid."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise Invalid(f"{path.name}: is larger than a document of 1 MiB")
        found = _plain(YAML(typ="safe", pure=True).load(text.decode("utf-8-sig")))
    except OSError as error:
        raise Invalid(f"{path}: cannot be read: {_told(error)}") from error
    except UnicodeDecodeError as error:
        raise Invalid(f"{path.name}: is no UTF-8 text") from error
    except (YAMLError, ValueError) as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        where = f"{path.name}:{mark.line + 1}:{mark.column + 1}" if mark else path.name
        said = error.problem if isinstance(error, MarkedYAMLError) else str(error).splitlines()[0]
        raise Invalid(f"{where}: broken YAML: {said}", fix="check the indentation, and quotes around texts") from error
    if not isinstance(found, dict):
        raise Invalid(f"{path.name}: is made of 'key: value' lines")
    return found


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let faults begin with the name of the file that they are in."""
    try:
        yield
    except Invalid as error:
        raise Invalid.many([_in(path.name, fault) for fault in error.faults]) from error


def _in(name: str, fault: Fault) -> Fault:
    told = fault.field and not fault.message.startswith((f"{fault.field}:", "row "))
    return replace(fault, message=f"{name}: {fault.field}: {fault.message}" if told else f"{name}: {fault.message}")


def _plain(value: Any) -> Any:
    """Dates as the texts that they were written as: what they mean is for the scenario to say."""
    if isinstance(value, dict):
        return {_plain(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return value.isoformat() if isinstance(value, date | datetime) else value


def _told(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)

"""Reads what ``dumpdata`` of a Django site writes: records by model, and the links between them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from lifecycle.imports.words import Faults, Place

MOST_RECORDS = 1_000_000

# By what a record is named where links are written with --natural-foreign.
_NATURAL = ("username", "name", "title", "description")


@dataclass(frozen=True, slots=True)
class Record:
    """One object. ``place.row`` is its number in the file, from 1."""

    model: str
    pk: int
    fields: Mapping[str, Any]
    place: Place

    def text(self, name: str) -> str:
        """A field as a text; empty if it is absent, null or no text."""
        value = self.fields.get(name)
        return " ".join(value.split()) if isinstance(value, str) else ""


@dataclass(slots=True)
class Fixture:
    """All records, by model and key. A link is a key, or the names that stand for it."""

    records: dict[str, dict[int, Record]] = field(default_factory=dict)
    _named: dict[str, dict[str, Record | None]] = field(default_factory=dict)

    def each(self, model: str) -> Iterator[Record]:
        yield from (record for _, record in sorted(self.records.get(model, {}).items()))

    def find(self, model: str, link: Any) -> Record | None:
        """The record that a link leads to; None if it is not in the file, or if its name is that of several."""
        if isinstance(link, int) and not isinstance(link, bool):
            return self.records.get(model, {}).get(link)
        if isinstance(link, Sequence) and link and isinstance(link[0], str):
            if model not in self._named:
                self._named[model] = self._by_name(model)
            return self._named[model].get(link[0])
        return None

    def name_of(self, model: str, link: Any, name: str = "name") -> str:
        """The name of what a link leads to; empty if it is not in the file."""
        found = self.find(model, link)
        if found is not None:
            return found.text(name)
        return link[0] if isinstance(link, list) and link and isinstance(link[0], str) else ""

    def _by_name(self, model: str) -> dict[str, Record | None]:
        found: dict[str, Record | None] = {}
        for record in self.each(model):
            name = next((record.text(key) for key in _NATURAL if record.text(key)), "")
            found[name] = None if name in found else record
        return found


def read_fixture(file: str, text: str, faults: Faults) -> Fixture | None:
    """The records of a file; None, and its faults kept, if it is no such file."""
    first = Place(file, 1)
    try:
        data = json.loads(text.removeprefix("\ufeff"), parse_float=Decimal)
    except json.JSONDecodeError as error:
        faults.add(Place(file, error.lineno), None, f"is no JSON: {error.msg}", "bring the whole file")
        return None
    except (ValueError, RecursionError):
        faults.add(first, None, "holds a number or a nesting beyond all bounds", "bring the file as dumpdata wrote it")
        return None
    if not isinstance(data, list) or len(data) > MOST_RECORDS:
        faults.add(first, None, f"is no list of at most {MOST_RECORDS} records", "make it with coldfront dumpdata")
        return None
    found = Fixture()
    for number, one in enumerate(data, 1):
        place = Place(file, number)
        if (
            not isinstance(one, dict)
            or not isinstance(one.get("model"), str)
            or not isinstance(one.get("fields"), dict)
        ):
            faults.add(place, None, "is no record of a model", "make the file with coldfront dumpdata")
        elif not isinstance(one.get("pk"), int) or isinstance(one["pk"], bool):
            faults.add(place, "pk", "there is no number", "dump without --natural-primary")
        else:
            of = found.records.setdefault(one["model"], {})
            if one["pk"] in of:
                faults.add(place, "pk", f"is that of record {of[one['pk']].place.row} too", "bring one export only")
            of[one["pk"]] = Record(one["model"], one["pk"], one["fields"], place)
    return found

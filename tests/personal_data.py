"""Writes docs/personal-data.md from the register: ``python -m tests.personal_data``. A test holds that it is true."""

import sys
from pathlib import Path

from domain.impersonal import NOT_PERSONAL
from domain.personal import AUDIT, PLACES, RECORDS, Record
from domain.retention import DEFAULTS

PAGE = Path(__file__).parents[1] / "docs" / "personal-data.md"
_HEAD = """# The register of personal data

Every place where the centre keeps something about a person. Written by `make personal-data` from `domain/personal.py`, which the
export and erasure walk too; a test fails for a column that is not in it. The same with the periods in force: `GET /personal-data`,
`baray admin personal-data`. What people may ask for, and what stays for how long: [privacy](privacy.md).

Bases and periods are defaults: no law of Cambodia fixes them yet. A centre puts others in force, with their source, by
`baray admin retention set`.

## How long

| class | basis | days | since |
|---|---|---|---|
"""


def page() -> str:
    terms = "".join(
        f"| {keep} | {term.basis} | {'none' if term.days is None else f'{term.days:,}'} | {term.since} |\n"
        for keep, term in DEFAULTS.items()
    )
    kinds = "".join(_kind(record) for record in (*RECORDS, AUDIT))
    places = "".join(
        f"| {place.name} | {place.says}; {place.purpose} | {place.keep} | {place.goes} |\n" for place in PLACES
    )
    beside = f"\n## Beside the database\n\n| where | what, what for | class | erased |\n|---|---|---|---|\n{places}"
    return f"{_HEAD}{terms}\n## What\n{kinds}{beside}{_rest()}"


def _kind(record: Record) -> str:
    rows = "".join(
        f"| `{record.table}.{field.column}` | {field.says} | "
        f"{f'no: {field.hidden}' if field.hidden else 'yes'} | {field.goes} |\n"
        for field in record.fields
    )
    return (
        f"\n### {record.kind}\n\n{record.says} Kept {record.purpose}; class *{record.keep}*.\n\n"
        f"| column | what | in the export | erased |\n|---|---|---|---|\n{rows}"
    )


def _rest() -> str:
    lines = "".join(
        f"| {reason} | {', '.join(f'`{table}.{column}`' for table, columns in tables.items() for column in columns)} |\n"
        for reason, tables in NOT_PERSONAL.items()
    )
    return f"\n## Not personal\n\n| because it is | columns |\n|---|---|\n{lines}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.exit(0)

"""The register of personal data: every place where the centre keeps something about a person, and what becomes of it.

Pure data, and the only list there is: the export walks it, erasure walks it, ``GET /personal-data`` and
docs/personal-data.md are made of it. A test fails for a column of the database that is neither here nor in
``domain.impersonal``.
"""

from dataclasses import dataclass
from enum import StrEnum

from domain.retention import Keep


class Goes(StrEnum):
    """What becomes of a column when the person is erased."""

    ROW = "erased, with the whole row"
    BLANK = "erased"
    NAME = "replaced by erased-NUMBER"
    KEY = "stays: a number that names nobody any more"
    TEXT = "stays as a record of the centre; name, title and e-mail in it are replaced"
    STAYS = "stays"


@dataclass(frozen=True, slots=True)
class Field:
    """A column about a person. ``hidden`` says why it is not in the export; ``by`` names the column of who wrote it: in
    the export of another person of the same row it is left out.
    """

    column: str
    goes: Goes
    says: str
    hidden: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One kind of rows about people: a file of the export.

    ``whose`` are the columns that say whose row it is. Where the row has none, ``through`` is the table whose ``user_id``
    says it, by the row's first ``whose`` column.
    """

    kind: str
    table: str
    says: str
    purpose: str
    keep: Keep
    whose: tuple[str, ...]
    fields: tuple[Field, ...]
    through: str = ""

    @property
    def goes_whole(self) -> bool:
        return all(field.goes is Goes.ROW for field in self.fields)


@dataclass(frozen=True, slots=True)
class Place:
    """What lies beside the database, as files in the data directory or outside."""

    name: str
    says: str
    purpose: str
    keep: Keep
    goes: str


_SECRET = "a secret, or the hash of one"  # noqa: S105 - words about it
_WHOSE = "whose it is"


def _all(*columns: str, hidden: str = "", says: str = "") -> tuple[Field, ...]:
    return tuple(Field(column, Goes.ROW, says or _SAYS.get(column, column), hidden) for column in columns)


def _key(column: str, says: str) -> Field:
    return Field(column, Goes.KEY, says)


def _text(column: str, says: str, by: str = "") -> Field:
    return Field(column, Goes.TEXT, says, by=by)


_SAYS = {
    "user_id": _WHOSE,
    "issuer": "the identity provider",
    "subject": "the person's number at the provider",
    "provider": "the provider, as this centre calls it",
    "sid": "the session's number at the provider",
    "role": "the role",
    "name": "the name that the person gave it",
    "kind": "its kind",
    "scopes": "what it is for",
    "state": "its state",
    "client": "what the device called itself",
    "address": "the network address that asked",
    "user_code": "the code that was compared",
    "part": "whether the entry is by, for or about the person",
    "field": "which field was corrected",
}


def _office(kind: str, table: str, says: str, *columns: str) -> Record:
    """What somebody did in office: the act stays, and who it was becomes a number."""
    fields = (_key("user_id", "who did it"), *(_text(column, "the reason that they gave") for column in columns))
    return Record(kind, table, says, "to answer for public means", Keep.OFFICE, ("user_id",), fields)


RECORDS: tuple[Record, ...] = (
    Record(
        "user", "user", "Who you are here.", "to know who uses the centre, and to reach them", Keep.LOGIN, ("id",),
        (
            Field("name", Goes.NAME, "the login's name"),
            Field("title", Goes.BLANK, "the name in full"),
            Field("email", Goes.BLANK, "the e-mail address"),
            Field("affiliation", Goes.BLANK, "what the provider says of the person's place in the institution"),
            Field("assurance", Goes.BLANK, "how well the provider proved who it is, 0 to 3"),
            Field("tenant_id", Goes.BLANK, "the institution"),
            _key("owner_id", "of a service: who answers for it"),
        ),
    ),
    Record(
        "identities", "identity", "How identity providers know you.", "to let the same person in again", Keep.LOGIN,
        ("user_id",), _all("user_id", "issuer", "subject", "provider"),
    ),
    Record(
        "password", "password", "That you have a password here, and when it was changed.", "to let the person in",
        Keep.LOGIN, ("user_id",), (*_all("user_id"), *_all("hash", hidden=_SECRET)),
    ),
    Record(
        "roles", "role", "What you may do, and where.", "to decide what the person may do", Keep.LOGIN, ("user_id",),
        (Field("user_id", Goes.ROW, _WHOSE), Field("role", Goes.ROW, "the role; it ends, and becomes a past one")),
    ),
    Record(
        "past-roles", "past_role", "What you were allowed to do before.", "to answer for what was decided in the role",
        Keep.OFFICE, ("user_id",), (_key("user_id", _WHOSE), Field("role", Goes.STAYS, "the role")),
    ),
    Record(
        "funders", "funder_officer", "Whose money you look after.", "to show officers their funder's money", Keep.LOGIN,
        ("user_id",), _all("user_id"),
    ),
    Record(
        "tokens", "token", "Your tokens, sessions among them. Never their text: nobody has it.",
        "to let programs and browsers in", Keep.TOKEN, ("user_id",),
        (*_all("user_id", "name", "kind", "scopes"), *_all("digest", hidden=_SECRET)),
    ),
    Record(
        "sessions", "login_session", "Your browser's sessions with an identity provider.", "to end them when you log out",
        Keep.TOKEN, ("token_id",),
        (
            *_all("token_id", says="the session's token"), *_all("provider", "issuer", "subject", "sid"),
            *_all("id_token", hidden="sealed: what the provider said at the login"),
        ),
        through="token",
    ),
    Record(
        "device-logins", "device_login", "Logins that were begun on another device.", "to finish them, and to see misuse",
        Keep.ATTEMPT, ("user_id",),
        (*_all("user_id", "user_code", "client", "address", "state"), *_all("digest", hidden=_SECRET)),
    ),
    Record(
        "acting", "acting", "Who acted for you, and for whom you acted.", "to help, and to answer for it", Keep.ACTING,
        ("user_id", "for_id"),
        (_key("user_id", "who acted"), _key("for_id", "for whom"), _text("reason", "why")),
    ),
    Record(
        "approvals", "approval", "What you asked of a second person, or decided as one.", "to have two people decide",
        Keep.OFFICE, ("asked_by", "decided_by"),
        (
            _key("asked_by", "who asked"), _key("decided_by", "who decided"), _text("reason", "why", "decided_by"),
            Field("request", Goes.TEXT, "what was asked", hidden="may name others; the audit entries tell what you asked"),
        ),
    ),
    Record(
        "changes", "person_change", "What your data was before it was corrected.", "to undo a wrong correction",
        Keep.CHANGE, ("user_id",),
        (*_all("user_id", "field"), *_all("sealed", says="the value before, sealed"), *_all("by_id", says="who did it")),
    ),
    Record(
        "legal-holds", "legal_hold", "That nothing about you may be erased for now.", "to keep evidence",
        Keep.OFFICE, ("user_id", "by_id", "lifted_by"),
        (
            _key("user_id", _WHOSE), _key("by_id", "who set it"), _key("lifted_by", "who lifted it"),
            _text("reason", "why", "by_id"),
        ),
    ),
    Record(
        "erasure-requests", "erasure_request", "That you asked to be erased.", "to answer it", Keep.LOGIN, ("user_id",),
        _all("user_id") + _all("reason", says="why"),
    ),
    Record(
        "repeats", "once", "First answers to your requests, so that a repeat gets the same.",
        "to do nothing twice", Keep.ANSWER, ("user_id",),
        (
            *_all("user_id"), *_all("key", says="the key that your client sent"), *_all("digest", hidden=_SECRET),
            *_all("body", hidden="a copy of what you were answered"),
        ),
    ),
    Record(
        "audit-index", "audit_person", "Which entries of the audit trail name you.", "to show them to you, and erase them",
        Keep.AUDIT, ("user_id",), _all("user_id", "part"),
    ),
    Record(
        "jobs", "job", "The jobs that you submitted.", "to run them, and to answer for what they used", Keep.WORK,
        ("user_id",),
        (
            _key("user_id", "who submitted it"), _text("name", "its name"),
            Field("spec", Goes.TEXT, "what was asked for; variables (env) in it are erased"),
        ),
    ),
    Record(
        "past-runs", "imported_run", "Runs of yours that another centre brought along.",
        "to answer for what was used", Keep.WORK, ("user_id",), (_key("user_id", "who ran it"),),
    ),
    Record(
        "fair-share", "user_share", "How much of your projects' share you used of late.", "to be fair among members",
        Keep.WORK, ("user_id",), (_key("user_id", "who used it"),),
    ),
    Record(
        "recent-runs", "recent_run", "When jobs of yours last started.", "to be fair among members", Keep.WORK,
        ("user_id",), (_key("user_id", "whose they were"),),
    ),
    Record(
        "terms", "terms_acceptance", "The terms of use that you accepted.", "to show that they were accepted", Keep.WORK,
        ("user_id",), (_key("user_id", "who accepted"),),
    ),
    Record(
        "notices-read", "notice_reading", "Notices that you have read.", "to show what is new", Keep.NOTICE, ("user_id",),
        _all("user_id"),
    ),
    Record(
        "allocations", "allocation", "GPU time that you asked for.", "to decide on public means", Keep.OFFICE,
        ("requested_by",), (_key("requested_by", "who asked"), _text("purpose", "what for")),
    ),
    Record(
        "allocation-changes", "allocation_change", "Changes of GPU time that you asked for or decided.",
        "to decide on public means", Keep.OFFICE, ("requested_by", "decided_by"),
        (
            _key("requested_by", "who asked"), _key("decided_by", "who decided"),
            _text("reason", "why it was asked", "requested_by"), _text("answer", "what was answered", "decided_by"),
        ),
    ),
    _office("decisions", "allocation_decision", "What you decided on GPU time.", "reason"),
    _office("charging-rules", "charging_rules", "Rules of charging that you set.", "reason"),
    _office("closed-periods", "closed_period", "Months that you closed.", "reason"),
    _office("corrections", "correction", "Refunds and corrections that you made.", "reason"),
    _office("four-eyes", "four_eyes", "Rules on second persons that you set.", "reason"),
    _office("gates", "gate_rule", "Gates that you set.", "reason"),
    _office("imports", "import_batch", "What you brought along from other centres.", "reason"),
    _office("policies", "policy", "Policies of the planner that you set.", "reason"),
    _office("prices", "price", "Prices that you set.", "reason"),
    _office("rates", "rate", "Rates that you set."),
    _office("reclaim-rules", "reclaim_rule", "Rules of reclaiming that you set.", "reason"),
    _office("reservations", "reservation", "Reservations that you made."),
    _office("terms-of-use", "terms", "Terms of use that you published."),
    _office("retention", "retention_rule", "Rules of retention that you set.", "reason"),
)  # fmt: skip

# Entries of the audit trail are found by ``audit_person``; who and why go with the salt, and the sealed rest stays.
AUDIT = Record(
    "audit", "audit_entry", "What the audit trail says of what you did, or others did for or to you.",
    "to answer for what was done", Keep.AUDIT, (),
    (
        Field("personal", Goes.BLANK, "who, for whom and why, as far as it is about you"),
        Field("salt", Goes.BLANK, "what keeps the commitment from being guessed", hidden="it is of use for verifying only"),
    ),
)  # fmt: skip

PLACES: tuple[Place, ...] = (
    Place(
        "logs of jobs (local/attempts, shelf)", "what jobs print", "the work of their projects", Keep.FILE,
        "not with the person: they go after their time, or with the project's word",
    ),
    Place(
        "outputs of jobs (local/attempts, shelf)", "files that jobs leave", "the work of their projects", Keep.FILE,
        "not with the person: they go after their time",
    ),
    Place(
        "orders of jobs (local/attempts, spec.json)", "command and variables of each attempt on this machine",
        "to adopt running jobs after a restart", Keep.FILE, "erased by the next retention run, variables and all",
    ),
    Place(
        "sources", "directories that people pack and send with jobs", "to start the jobs", Keep.FILE,
        "not with the person: they are kept by their checksum, not by who sent them",
    ),
    Place(
        "the service's log", "the number of the user, the route and the answer of a request; never a name",
        "to see failures and misuse", Keep.ATTEMPT, "written to the standard output: whoever keeps it says how long",
    ),
    Place(
        "backups of the database", "all that the database held then", "to start again after a loss", Keep.WORK,
        "not in reach: erase again after a restore, as docs/privacy.md says",
    ),
)  # fmt: skip


def pseudonym(user_id: int) -> str:
    """What an erased person is called from then on. Nobody else may take such a name."""
    return f"{ERASED}{user_id}"


ERASED = "erased-"

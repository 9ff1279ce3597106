"""The other half of the register: columns that could hold something about a person, and do not, each with the reason."""

from collections.abc import Mapping

_WORDS = "a word out of a fixed list"
_THINGS = "the name of an institution, a project, a machine or a thing of the centre"
_FIGURES = "figures and numbers of rows"
_DIGESTS = "a hash, a signature or a public key, of nothing that could be guessed"
_RULES = "a rule of the centre"
_MACHINES = "what a machine said of itself"

# Reason → table → columns.
NOT_PERSONAL: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    _WORDS: {
        "account": ("kind", "state", "tenant_kind", "sector", "province"),
        "allocation": ("state",),
        "allocation_change": ("kind", "state"),
        "allocation_decision": ("step",),
        "approval": ("action", "state"),
        "attempt": ("state", "intent", "cause"),
        "audit_entry": ("action",),
        "bargain": ("unit",),
        "book": ("kind", "unit"),
        "cluster": ("driver", "state"),
        "correction": ("kind",),
        "dependency": ("kind",),
        "funder_grant": ("unit", "state"),
        "gate_rule": ("gate", "ask"),
        "import_batch": ("kind",),
        "imported_run": ("qos", "state"),
        "imported_thing": ("kind",),
        "job": ("state", "reason", "closed_gates"),
        "leaf": ("kind",),
        "ledger_transaction": ("kind",),
        "notice": ("kind",),
        "price": ("currency", "tenant_kind"),
        "registration": ("source", "status"),
        "reservation": ("repeat",),
        "stamp": ("name",),
        "task": ("state", "reason"),
        "unsealed": ("kind",),
        "user": ("kind", "state"),
        "xroad_right": ("service",),
    },
    _THINGS: {
        "account": ("name", "title"),
        "attempt": ("cluster", "flavor", "window"),
        "cluster": ("name", "uid"),
        "device": ("flavor",),
        "flavor": ("name", "title"),
        "funder": ("name", "title"),
        "funder_grant": ("name",),
        "holding": ("flavor",),
        "import_batch": ("origin",),
        "imported_run": ("origin", "gres", "flavor"),
        "imported_thing": ("origin", "key"),
        "leader": ("name", "holder"),
        "node": ("name",),
        "public_key": ("name",),
        "quota": ("flavor",),
        "rate": ("flavor",),
        "registration": ("number",),
        "reservation": ("name", "cluster", "nodes", "flavor"),
        "usage": ("flavor",),
        "xroad_right": ("client",),
    },
    _FIGURES: {
        "allocation_change": ("payload",),
        "allocation_decision": ("facts",),
        "approval": ("facts",),
        "attempt": ("placements", "parts", "later_rates", "bundle"),
        "book": ("key",),
        "closed_period": ("name",),
        "correction": ("transaction", "period"),
        "import_batch": ("counts",),
        "imported_run": ("job", "posting"),
        "imported_thing": ("facts",),
        "job": ("gate", "demand"),
        "ledger_transaction": ("name",),
        "notice": ("about", "facts"),
        "reservation": ("days",),
        "sweep": ("removed",),
    },
    _DIGESTS: {
        "import_batch": ("digest",),
        "leaf": ("hash",),
        "output": ("sha256",),
        "policy": ("digest",),
        "public_key": ("public",),
        "registration": ("sha256", "message_id"),
        "source": ("sha256",),
        "spent": ("digest",),
        "tile": ("hash",),
        "tree_head": ("root", "signature"),
    },
    _RULES: {
        "charging_rules": ("document",),
        "four_eyes": ("document",),
        "funder_grant": ("conditions",),
        "policy": ("document",),
        "retention_rule": ("document",),
        "terms": ("version", "title", "text", "url"),
    },
    _MACHINES: {
        "attempt": ("detail",),
        "cluster": ("notes", "labels", "config", "found"),
        "node": ("devices", "labels"),
    },
    "facts without names: whoever writes an entry puts all that names a person into its personal part": {
        "audit_entry": ("facts", "subject"),
        "approval": ("subject",),
    },
    "a salted commitment, which nobody can guess once the salt is erased": {"audit_entry": ("commitment",)},
    "credentials of a cluster, sealed": {"cluster": ("access",)},
    "why a machine takes no jobs": {"node": ("drained",)},
    "the name of a file that a job left: the work of its project": {"output": ("path",)},
    "what a registry says of an institution: only the fields that a setting names": {"registration": ("fields",)},
    "a secret of a project, sealed": {"secret": ("name", "sealed")},
}


def reasons() -> dict[tuple[str, str], str]:
    """(table, column) → why it is not personal."""
    return {
        (table, column): reason
        for reason, tables in NOT_PERSONAL.items()
        for table, columns in tables.items()
        for column in columns
    }

"""An import-linter contract: a package may import what is allowed and calm modules of the standard library."""

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

# Modules without I/O, clock or randomness.
CALM = frozenset(
    {
        "array",
        "base64",
        "bisect",
        "collections",
        "csv",
        "dataclasses",
        "enum",
        "functools",
        "hashlib",
        "heapq",
        "itertools",
        "json",
        "math",
    }
    | {"operator", "re", "typing"}
)


class PureContract(Contract):
    """``package`` imports only ``allowed`` packages and calm standard modules."""

    type_name = "pure"

    package = fields.StringField()
    allowed = fields.SetField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        del verbose
        allowed = CALM | set(self.allowed)
        wild = [
            (importer, imported)
            for importer in sorted({self.package} | graph.find_descendants(self.package))
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if imported.partition(".")[0] not in allowed
        ]
        return ContractCheck(kept=not wild, metadata={"wild": wild})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported in check.metadata["wild"]:
            output.print_error(f"{importer} imports {imported}, which is not calm")

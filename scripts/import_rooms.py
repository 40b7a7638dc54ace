"""The kinds of import contract that pyproject.toml states its rooms with.

import-linter's own ``forbidden`` contract lists what is refused, so that a new package or a new
room is allowed until somebody remembers it. These two state what is *allowed*: everything else is
refused. Only direct imports count: a room may use a neighbour whose own imports are its own affair.
"""

import sys
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


def is_inside(module: str, package: str) -> bool:
    """Whether ``module`` is ``package`` or lies below it."""
    return module == package or module.startswith(package + ".")


class RoomContract(Contract):
    """One room, the rooms it may import, and the third-party packages it may import.

    An entry of ``packages`` is a package, or ``"PACKAGE in MODULE"``: only from modules whose name
    starts with MODULE. A room that is not there yet is kept.
    """

    type_name = "room"

    room = fields.StringField()
    may_import = fields.ListField(subfield=fields.StringField())
    packages = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        room = str(self.room)
        broken: list[dict[str, Any]] = []
        for importer in sorted(m for m in graph.modules if is_inside(m, room)):
            for imported in sorted(graph.find_modules_directly_imported_by(importer)):
                if not self._allows(importer, imported):
                    details = graph.get_import_details(importer=importer, imported=imported)
                    lines = sorted({detail["line_number"] for detail in details})
                    broken.append({"importer": importer, "imported": imported, "lines": lines})
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def _allows(self, importer: str, imported: str) -> bool:
        if any(
            is_inside(imported, room) for room in [str(self.room), *self._strings("may_import")]
        ):
            return True
        # A package's own __init__.py is empty, so that importing it gives nothing away.
        if imported in {"installer", "manifests", "screens", "airgap"}:
            return importer.partition(".")[0] == imported
        top = imported.partition(".")[0]
        if top in sys.stdlib_module_names:
            return True
        for entry in self._strings("packages"):
            package, _, only_in = entry.partition(" in ")
            if is_inside(imported, package) and importer.startswith(only_in):
                return True
        return False

    def _strings(self, name: str) -> list[str]:
        return [str(value) for value in getattr(self, name)]

    def render_broken_contract(self, check: ContractCheck) -> None:
        for entry in check.metadata["broken"]:
            lines = ", ".join(str(line) for line in entry["lines"])
            output.print_error(f"{entry['importer']} (line {lines}) imports {entry['imported']}")


class RoomsCompleteContract(Contract):
    """Every module with code of its own belongs to a room that has a contract."""

    type_name = "rooms_complete"

    rooms = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        rooms = [str(room) for room in self.rooms]  # type: ignore[attr-defined]  # a Field turns into its list
        tops = {room.partition(".")[0] for room in rooms}
        homeless = sorted(
            module
            for module in graph.modules
            if module.partition(".")[0] in tops
            and module not in tops
            and not any(is_inside(module, room) for room in rooms)
        )
        return ContractCheck(kept=not homeless, metadata={"homeless": homeless})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for module in check.metadata["homeless"]:
            output.print_error(f"{module} stands in no room: give it a contract in pyproject.toml")

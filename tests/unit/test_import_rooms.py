"""The import contracts refuse what their row does not name."""

import pytest
from grimp import ImportGraph
from importlinter import Contract

from scripts.import_rooms import RoomContract, RoomsCompleteContract


def graph_of(*imports: tuple[str, str]) -> ImportGraph:
    graph = ImportGraph()
    for importer, imported in imports:
        for module in (importer, imported):
            if module not in graph.modules:
                graph.add_module(module)
        graph.add_import(
            importer=importer, imported=imported, line_number=1, line_contents="import it"
        )
    return graph


def room() -> RoomContract:
    return RoomContract(
        "store",
        {"root_packages": ["installer"]},
        {
            "room": "installer.store",
            "may_import": ["installer.core"],
            "packages": ["yaml", "pyrage in installer.store.secrets"],
        },
    )


def kept(contract: Contract, graph: ImportGraph) -> bool:
    return contract.check(graph, verbose=False).kept


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("installer.store.paths", "installer.core.errors"),
        ("installer.store.paths", "installer.store.modes"),
        ("installer.store.paths", "os.path"),
        ("installer.store.paths", "yaml"),
        ("installer.store.secrets", "pyrage"),
        ("installer.engine.journal", "httpx"),
    ],
)
def test_what_a_row_names_is_kept(importer: str, imported: str) -> None:
    assert kept(room(), graph_of((importer, imported)))


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("installer.store.paths", "installer.engine.journal"),
        ("installer.store.paths", "manifests.component"),
        ("installer.store.paths", "httpx"),
        ("installer.store.paths", "pyrage"),
        ("installer.store", "installer.cluster"),
    ],
)
def test_what_a_row_does_not_name_is_broken(importer: str, imported: str) -> None:
    assert not kept(room(), graph_of((importer, imported)))


def test_a_similar_name_is_not_inside() -> None:
    assert not kept(room(), graph_of(("installer.store.paths", "installer.core_helpers")))


def test_a_room_that_is_not_there_yet_is_kept() -> None:
    assert kept(room(), graph_of(("installer.engine.journal", "installer.core.errors")))


def test_a_module_outside_all_rooms_is_named() -> None:
    contract = RoomsCompleteContract("complete", {}, {"rooms": ["installer.core"]})
    assert kept(contract, graph_of(("installer.core.errors", "installer.core.redaction")))
    check = contract.check(graph_of(("installer.helpers", "installer.core.errors")), verbose=False)
    assert check.metadata == {"homeless": ["installer.helpers"]}

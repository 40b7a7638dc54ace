"""Reference pages of the manual, as Markdown: what components are, and what nobody has proven."""

from collections.abc import Iterable, Iterator, Sequence

from manifests.assembly import Chosen
from manifests.component import Component, Flow, ToEndpoint, ToPods
from manifests.derive.images import reference

UNVERIFIED_HEAD = """# What no test has run

Facts about programs of others that the installer relies on and that none of its tests could try
with the real thing. The plan says how many of them an install has. Each line says what you would
see if the fact were wrong.

Made by `make docs` from the components; not edited by hand.
"""
COMPONENTS_HEAD = """# Components

What each component consists of in an install of the size `100`: its images, secrets, ports and the
only traffic that it may send and take. Its own page, with settings and advice, stands in its
folder.

Made by `make docs` from the components; not edited by hand.
"""


def unverified_page(components: Sequence[Component]) -> str:
    """``docs/unverified.md``."""
    parts = [UNVERIFIED_HEAD]
    for component in components:
        if component.unverified:
            rows = ((f.fact, f.source, f.if_wrong) for f in component.unverified)
            table = _table(("Fact", "Source", "If it is wrong"), rows)
            parts.append(f"## {component.title}\n\n{table}\n")
    return "\n".join(parts)


def components_page(chosen: Sequence[Chosen]) -> str:
    """``docs/components.md``."""
    return "\n".join([COMPONENTS_HEAD, *(_component(item) for item in chosen)])


def _component(item: Chosen) -> str:
    component, declared = item.component, item.declaration
    folder = component.name.replace("-", "_")
    lines = [f"## {component.title}\n"]
    lines.append(
        f"[Its page](../manifests/components/{folder}/README.md). Phase: {component.phase}."
    )
    if component.needs:
        lines.append(f"Comes after: {', '.join(component.needs)}.")
    sections = (
        (("Image", "Not older than", "Because"), _images(component)),
        (("Secret", "For", "Read by", "A new value"), _secrets(item)),
        (("Pods", "Number", "Ports"), _pods(item)),
        (("From", "To", "Ports", "Why"), (_flow(flow) for flow in declared.flows)),
    )
    for head, rows in sections:
        found = list(rows)
        if found:
            lines.append("\n" + _table(head, found))
    return "\n".join(lines) + "\n"


def _images(component: Component) -> Iterator[tuple[str, ...]]:
    for image in component.images:
        yield f"`{reference(image, '')}`", image.floor, image.floor_reason


def _secrets(item: Chosen) -> Iterator[tuple[str, ...]]:
    for secret in item.declaration.secrets:
        yield f"`{secret.name}`", secret.purpose, secret.reader, secret.rotation


def _pods(item: Chosen) -> Iterator[tuple[str, ...]]:
    for pods in item.declaration.pods:
        ports = ", ".join(f"{p.number}/{p.protocol} ({p.title})" for p in pods.ports)
        yield f"`{pods.name}`", str(pods.replicas), ports


def _flow(flow: Flow) -> tuple[str, ...]:
    match flow.target:
        case ToPods():
            return flow.source, flow.target.pod_set, ", ".join(flow.target.ports), flow.why
        case ToEndpoint():
            return flow.source, f"{flow.target.endpoint} of {flow.target.component}", "", flow.why
        case _:
            networks = ", ".join(str(network) for network in flow.target.networks)
            return flow.source, networks, ", ".join(p.name for p in flow.target.ports), flow.why


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [_row(head), _row(["---"] * len(head))]
    return "\n".join([*lines, *(_row(row) for row in rows)])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

"""Label and field selectors."""

import re
from typing import Any

from installer.rehearsal.kube.problems import Json, bad_request

_TERM = re.compile(
    r"\s*(?:(?P<set>!?[\w./-]+)\s+(?P<op>in|notin)\s*\((?P<values>[^)]*)\)"
    r"|(?P<key>[\w./-]+)\s*(?P<eq>==|=|!=)\s*(?P<value>[\w.-]*)"
    r"|(?P<absent>!)?\s*(?P<exists>[\w./-]+))\s*(?:,|$)"
)

Requirement = tuple[str, str, frozenset[str]]
"""Label key, operator (In, NotIn, Exists, DoesNotExist), values."""


def parse_labels(text: str) -> list[Requirement]:
    """Read a `labelSelector` parameter; ApiError 400 when it is none."""
    found: list[Requirement] = []
    position = 0
    while position < len(text):
        match = _TERM.match(text, position)
        if match is None or match.end() == position:
            raise bad_request(f'unable to parse requirement: invalid selector "{text}"')
        found.append(_requirement(match))
        position = match.end()
    return found


def _requirement(match: re.Match[str]) -> Requirement:
    if match["set"]:
        values = frozenset(value.strip() for value in match["values"].split(","))
        return (match["set"], "In" if match["op"] == "in" else "NotIn", values)
    if match["key"]:
        operator = "NotIn" if match["eq"] == "!=" else "In"
        return (match["key"], operator, frozenset({match["value"]}))
    return (match["exists"], "DoesNotExist" if match["absent"] else "Exists", frozenset())


def holds(requirements: list[Requirement], labels: Json) -> bool:
    """Whether all requirements hold for these labels."""
    return all(_one(requirement, labels) for requirement in requirements)


def _one(requirement: Requirement, labels: Json) -> bool:
    key, operator, values = requirement
    match operator:
        case "In":
            return key in labels and labels[key] in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def matches(selector: Json | None, labels: Json) -> bool:
    """Whether a LabelSelector object selects these labels; None selects nothing."""
    if selector is None:
        return False
    requirements: list[Requirement] = [
        (key, "In", frozenset({value}))
        for key, value in (selector.get("matchLabels") or {}).items()
    ]
    requirements += [
        (item["key"], item["operator"], frozenset(item.get("values") or []))
        for item in selector.get("matchExpressions") or []
    ]
    return holds(requirements, labels)


def parse_fields(text: str) -> list[tuple[str, bool, str]]:
    """Read a `fieldSelector` parameter into (path, equal, value)."""
    found: list[tuple[str, bool, str]] = []
    for term in filter(None, text.split(",")):
        if "!=" in term:
            path, _, value = term.partition("!=")
            found.append((path.strip(), False, value.strip()))
        elif "=" in term:
            path, _, value = term.replace("==", "=").partition("=")
            found.append((path.strip(), True, value.strip()))
        else:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
    return found


def fields_hold(terms: list[tuple[str, bool, str]], obj: Json) -> bool:
    """Whether the object has the wanted values at the wanted paths."""
    return all((_value(obj, path) == value) == equal for path, equal, value in terms)


def _value(obj: Json, path: str) -> str:
    current: Any = obj
    for name in path.split("."):
        current = current.get(name) if isinstance(current, dict) else None
    return "" if current is None else str(current)

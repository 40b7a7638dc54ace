"""Holds a tree of plain data against the settings model and puts every refusal into words."""

import contextlib
import copy
import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError, create_model
from pydantic_core import ErrorDetails

from installer.core.settings import Settings, nested_models
from installer.core.settings_checks import findings
from installer.core.settings_problem import (
    Finding,
    Path,
    SettingsError,
    SettingsProblem,
    dotted,
    shown_value,
)
from installer.core.settings_types import SecretReference

S = TypeVar("S", bound=Settings)

_TYPE_WORDS = {
    "string_type": "text is needed here",
    "int_type": "a whole number is needed here",
    "int_from_float": "a whole number is needed here",
    "float_type": "a number is needed here",
    "bool_type": "true or false is needed here",
    "list_type": "a list is needed here",
    "tuple_type": "a list is needed here",
    "dict_type": "a mapping is needed here",
    "model_type": "a mapping is needed here",
    "model_attributes_type": "a mapping is needed here",
    "string_too_short": "too short",
    "too_short": "at least one is needed",
}
_MISSING = object()
_UNKNOWN = "unknown key"


@dataclass(frozen=True)
class Checked(Generic[S]):
    """Either the settings, or what is wrong with them."""

    settings: S | None
    findings: tuple[Finding, ...]


def check_settings(model: type[S], tree: object) -> Checked[S]:
    """Validates plain data (str, int, float, bool, None, list, dict) and never raises for it."""
    if not isinstance(tree, dict):
        return Checked(None, (Finding((), "a mapping of settings is needed here", "version: 1"),))
    found: list[Finding] = []
    sections: dict[str, Any] = {}
    for name in model.model_fields:
        part = {name: tree[name]} if name in tree else {}
        try:
            sections[name] = _read_section(model, name, part)
        except ValidationError as error:
            refused = [_finding(model, tree, d) for d in error.errors() if not _follows(tree, d)]
            found += refused
            with contextlib.suppress(ValidationError, _NotMeant):
                sections[name] = _read_section(model, name, _as_meant(model, part, refused))
    found += [_unknown(model, (key,)) for key in tree if key not in model.model_fields]
    found += [*findings(sections), *_unknown_overrides(model, sections)]
    if found:
        return Checked(None, tuple(dict.fromkeys(found)))
    return Checked(model.model_validate_json(json.dumps(tree), strict=True), ())


def _read_section(model: type[Settings], name: str, part: dict[str, Any]) -> Any:
    only = _one_field_model(model, name).model_validate_json(json.dumps(part), strict=True)
    return getattr(only, name)


class _NotMeant(Exception):
    """It cannot be told what a section was meant to say."""


def _as_meant(
    model: type[Settings], part: dict[str, Any], refused: list[Finding]
) -> dict[str, Any]:
    """The section without mistakes that change nothing else, so that its other rules still run.

    Those are a secret where its name belongs, and a key that is like none there is. Raises
    _NotMeant for any other mistake.
    """
    part = copy.deepcopy(part)
    for finding in refused:
        *around, last = finding.path
        holder: Any = _value_at(part, tuple(around))
        if finding.why == _UNKNOWN and not finding.suggestion.startswith("did you mean"):
            holder.pop(last, None)
        elif _holds(_field_at(model, finding.path)[0], SecretReference):
            holder[last] = "secret:given"
        else:
            raise _NotMeant
    return part


def validate_settings(model: type[S], tree: object, name: str = "settings") -> S:
    """The settings, or SettingsError with every problem; for trees that are in no file.

    A file's problems carry lines and columns: see ``installer.store.settings_file``.
    """
    checked = check_settings(model, tree)
    if checked.settings is None:
        raise SettingsError([problem_of(finding, name, tree) for finding in checked.findings])
    return checked.settings


def problem_of(
    finding: Finding, file: str, tree: object, line: int = 0, column: int = 0
) -> SettingsProblem:
    """The finding at its place; the value comes from the tree and is shown if it may be."""
    value: object = None if finding.hide else finding.value
    if value is None and not finding.hide:
        value = _value_at(tree, finding.path)
    nothing = value is None or value is _MISSING or isinstance(value, dict | list)
    shown = "" if nothing else shown_value(value, finding.path)
    return SettingsProblem(
        file, line, column, dotted(finding.path), shown, finding.why, finding.suggestion
    )


@cache
def _one_field_model(model: type[Settings], name: str) -> type[BaseModel]:
    definitions: dict[str, Any] = {
        name: (model.model_fields[name].annotation, model.model_fields[name])
    }
    only: type[BaseModel] = create_model(f"Only_{name}", **definitions)
    return only


def _value_at(tree: object, path: Path) -> object:
    for part in path:
        if isinstance(tree, dict) and part in tree:
            tree = tree[part]
            continue
        if not (isinstance(tree, list) and isinstance(part, int) and part < len(tree)):
            return _MISSING
        tree = tree[part]
    return tree


def _finding(model: type[Settings], tree: object, details: ErrorDetails) -> Finding:
    kind, context = details["type"], details.get("ctx", {})
    path = _real_path(tree, details["loc"], missing=kind == "missing")
    if kind == "extra_forbidden":
        return _unknown(model, path)
    annotation, example = _field_at(model, path)
    hide = _holds(annotation, SecretReference)
    if kind == "refused":
        hide = hide or bool(context.get("hide"))
        return Finding(path, context["why"], context.get("suggestion", ""), hide=hide)
    if kind == "missing":
        return Finding(path, "needed, and not there", _shown_example(path, example))
    if kind in ("literal_error", "enum"):
        options = _options(str(context.get("expected", "")))
        value = _value_at(tree, path)
        close = difflib.get_close_matches(str(value).lower(), options, n=1, cutoff=0.5)
        suggestion = f"did you mean {close[0]}?" if close else ""
        return Finding(path, f"must be {_one_of(options)}", suggestion, hide=hide)
    why = _TYPE_WORDS.get(kind)
    if why is None:
        why = details["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        why = why.replace("Input should be", "must be").replace("String should", "must")
    if kind == "string_type" and isinstance(_value_at(tree, path), int | float):
        return Finding(path, why, "put it in quotes", hide=hide)
    return Finding(path, why, _shown_example(path, example), hide=hide)


def _follows(tree: object, details: ErrorDetails) -> bool:
    """A list that is only too short because its items were refused."""
    return details["type"] == "too_short" and bool(_value_at(tree, details["loc"]))


def _real_path(tree: object, location: tuple[int | str, ...], *, missing: bool) -> Path:
    """pydantic's location without the marks of unions and of mapping keys."""
    path: list[int | str] = []
    for number, part in enumerate(location):
        last = number == len(location) - 1
        if _value_at(tree, (*path, part)) is not _MISSING or (last and missing):
            path.append(part)
    return tuple(path)


def _field_at(model: type[BaseModel], path: Path) -> tuple[Any, object]:
    """The declared type of the field that the path lies in, and the field's first example.

    Keys that the operator chose, in a mapping, and places in a list belong to their field.
    """
    candidates: list[type[BaseModel]] = [model]
    annotation: Any = None
    example: object = None
    for part in path:
        if isinstance(part, int):
            continue
        for candidate in candidates:
            for name, field in candidate.model_fields.items():
                if part in (name, field.alias):
                    annotation, example = field.annotation, (field.examples or [None])[0]
                    candidates = nested_models(annotation)
                    break
            else:
                continue
            break
    return annotation, example


def _keys_at(model: type[BaseModel], path: Path) -> list[str]:
    candidates = [model] if not path else nested_models(_field_at(model, path)[0])
    return [f.alias or n for c in candidates for n, f in c.model_fields.items()]


def _unknown(model: type[Settings], path: Path) -> Finding:
    key = str(path[-1])
    close = difflib.get_close_matches(key.lower(), _keys_at(model, path[:-1]), n=1, cutoff=0.6)
    if close:
        return Finding(path, _UNKNOWN, f"did you mean {close[0]}?", hide=True)
    elsewhere = [place for place in _all_paths(model) if place.rpartition(".")[2] == key]
    where = f"it stands at {elsewhere[0]}" if len(elsewhere) == 1 else ""
    return Finding(path, _UNKNOWN, where, hide=True)


def _all_paths(model: type[BaseModel], path: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        here = f"{path}.{field.alias or name}" if path else field.alias or name
        yield here
        for inner in nested_models(field.annotation):
            yield from _all_paths(inner, here)


def _unknown_overrides(model: type[Settings], sections: dict[str, Any]) -> Iterator[Finding]:
    if "scale" not in sections:
        return
    for name in sections["scale"].overrides:
        if name not in model.override_names:
            close = difflib.get_close_matches(name, sorted(model.override_names), n=1)
            suggestion = f"did you mean {close[0]}?" if close else ""
            path: Path = ("scale", "overrides", name)
            yield Finding(path, "no component or part has this name", suggestion, hide=True)


def _holds(annotation: Any, wanted: type) -> bool:
    return annotation is wanted or any(
        _holds(inner, wanted) for inner in getattr(annotation, "__args__", ())
    )


def _shown_example(path: Path, example: object) -> str:
    if example is None or isinstance(example, dict):
        return ""
    key = next((part for part in reversed(path) if isinstance(part, str)), "")
    text = json.dumps(example, ensure_ascii=False) if isinstance(example, list) else str(example)
    return f"{key}: {text}"


def _options(expected: str) -> list[str]:
    return [part.strip().strip("'") for part in expected.replace(" or ", ", ").split(", ")]


def _one_of(options: list[str]) -> str:
    return options[0] if len(options) == 1 else f"{', '.join(options[:-1])} or {options[-1]}"

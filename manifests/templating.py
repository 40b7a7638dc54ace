"""Templates: sandboxed jinja in which every value leaves through the filter of its format.

Objects are YAML templates whose only expression output is ``{{ value | yaml }}``, so that a value
can never become structure. Text configuration has one filter a format (:mod:`config_text`).
"""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from jinja2 import FileSystemLoader, StrictUndefined, Undefined, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from manifests.config_text import FILTERS


class TemplateRefused(ValueError):
    """A template breaks a rule of its kind; a defect of this program, never of the settings."""


def yaml_value(value: object) -> str:
    """A scalar or structure as YAML on one line, typed as it is. Raises TypeError on others."""
    if isinstance(value, str):
        # Double quotes with escapes for all but plain ASCII: no text can end its own scalar.
        quoted = yaml.safe_dump(value, default_style='"', width=2**31, allow_unicode=False)
        return quoted.rstrip("\n")
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} has no place in a manifest")
        # YAML 1.1 wants a dot in what JSON writes as 1e+16.
        return yaml.safe_dump(value).partition("\n")[0]
    if value is None or isinstance(value, bool | int):
        return json.dumps(value)
    if isinstance(value, Mapping):
        items = (f"{yaml_value(_key(key))}: {yaml_value(item)}" for key, item in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(yaml_value(item) for item in value) + "]"
    raise TypeError(f"{type(value).__name__} has no YAML form here")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key must be text, not {type(key).__name__}")
    return key


def _environment(folder: Path) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.globals.clear()
    filters = {"yaml": yaml_value, **FILTERS}
    environment.filters = {name: _of_known_values(filter_) for name, filter_ in filters.items()}
    return environment


def _of_known_values(filter_: Callable[[object], str]) -> Callable[[object], str]:
    def checked(value: object) -> str:
        if isinstance(value, Undefined):
            str(value)  # raises, with the name of what is missing
        return filter_(value)

    return checked


_REFUSED: tuple[type[nodes.Node], ...] = (
    nodes.Include,
    nodes.Import,
    nodes.FromImport,
    nodes.Extends,
    nodes.FilterBlock,
    nodes.ScopedEvalContextModifier,
)


def lint(source: str, filter_name: str) -> tuple[str, ...]:
    """What breaks the rules in a template's text, one line each; empty when nothing does.

    Every expression must end in the one filter, and there is no include, import or inheritance:
    a manifest is read in one place.
    """
    problems = []
    tree = _environment(Path()).parse(source)
    for output in tree.find_all(nodes.Output):
        for node in output.nodes:
            if isinstance(node, nodes.TemplateData):
                continue
            if not (isinstance(node, nodes.Filter) and node.name == filter_name):
                problems.append(f"line {node.lineno}: an expression without | {filter_name}")
    problems += [
        f"line {statement.lineno}: {type(statement).__name__} is not allowed"
        for kind in _REFUSED
        for statement in tree.find_all(kind)
    ]
    return tuple(problems)


class Templates:
    """The templates of one component's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = _environment(folder)
        self._linted: set[str] = set()

    def text(self, name: str, filter_name: str, values: Mapping[str, Any]) -> str:
        """Renders ``name``. Raises TemplateRefused when the template breaks the rules."""
        if name not in self._linted:
            problems = lint((self._folder / name).read_text(encoding="utf-8"), filter_name)
            if problems:
                raise TemplateRefused(f"{self._folder / name}: " + "; ".join(problems))
            self._linted.add(name)
        return self._environment.get_template(name).render(**values)

    def objects(self, name: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The YAML documents of ``objects/<name>``, empty ones left out."""
        text = self.text(f"objects/{name}", "yaml", values)
        documents = list(yaml.load_all(text, Loader=_UniqueKeys))
        if not all(item is None or isinstance(item, dict) for item in documents):
            raise TemplateRefused(f"{name}: a document is not a mapping")
        return [item for item in documents if item]


class _UniqueKeys(yaml.CSafeLoader):
    """Refuses a mapping that has one key twice: the second would win without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            raise TemplateRefused(f"keys given twice: {', '.join(twice)}{node.start_mark}")
        return super().construct_mapping(node, deep)

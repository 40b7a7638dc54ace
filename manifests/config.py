"""Configuration files of components: text by template, data dumped by code, files as they are.

A :class:`SecretRef` anywhere in the values stands for a secret; it is replaced when rendered, by a
digest for a plan and by the value for the cluster.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from manifests.context import SecretView
from manifests.templating import Templates


@dataclass(frozen=True)
class SecretRef:
    """Stands for the value of a declared secret."""

    name: str


@dataclass(frozen=True)
class TextConfig:
    """``config/<template>``, each value leaving through the filter of ``format``."""

    template: str
    format: Literal["redis", "haproxy"]
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DataConfig:
    """JSON or YAML dumped from data, or a text as it is."""

    data: Any
    format: Literal["json", "yaml", "text"]


@dataclass(frozen=True)
class FileConfig:
    """A file of the component's folder, byte for byte."""

    path: str


Config = TextConfig | DataConfig | FileConfig


def resolve(value: Any, secrets: SecretView) -> Any:
    """The value with each SecretRef replaced, in mappings and lists at any depth."""
    if isinstance(value, SecretRef):
        return secrets(value.name)
    if isinstance(value, Mapping):
        return {key: resolve(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [resolve(item, secrets) for item in value]
    return value


def render_config(config: Config, folder: Path, templates: Templates, secrets: SecretView) -> str:
    """The file's text."""
    match config:
        case FileConfig():
            return (folder / config.path).read_text(encoding="utf-8")
        case DataConfig(format="json"):
            data = resolve(config.data, secrets)
            return json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        case DataConfig(format="text"):
            return str(resolve(config.data, secrets))
        case DataConfig():
            return yaml.safe_dump(resolve(config.data, secrets), sort_keys=True)
        case TextConfig():
            values = resolve(config.values, secrets)
            return templates.text(f"config/{config.template}", config.format, values)

"""Writes the tables of docs/settings.md anew from the size table and the settings model."""

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from installer.core.settings import Settings, nested_models
from installer.core.sizing import totals
from installer.core.sizing_rows import ROWS

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"


def sizes() -> str:
    """The rows with their sums, as a Markdown table."""
    lines = ["| Row | People | Hosts | vCPU | Memory, GB | Disk, TB |", "|---|---|---|---|---|---|"]
    for row in ROWS:
        need = totals(row)
        lines.append(
            f"| `{row.name}` | {row.concurrent_users:,} | {need.hosts} | {need.cpu:,} "
            f"| {need.memory_gb:,} | {need.disk_gb / 1000:g} |"
        )
    return "\n".join(lines)


def fields() -> str:
    """Every install-wide field with its meaning, default and an example, as a Markdown table."""
    lines = ["| Field | Meaning | Default | Example |", "|---|---|---|---|"]
    return "\n".join([*lines, *_rows(Settings, "")])


def _rows(model: type[BaseModel], path: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        here = f"{path}.{name}" if path else name
        if here == "components":
            continue
        inner = nested_models(field.annotation)
        if inner:
            many = field.annotation not in inner
            for one in inner:
                mark = ("[]" if "tuple" in str(field.annotation) else ".NAME") if many else ""
                yield from _rows(one, here + mark)
            continue
        if field.is_required():
            default = "must be given"
        elif field.default in (None, (), PydanticUndefined):
            made = field.get_default(call_default_factory=True)
            default = f"`{made}`" if made not in (None, (), {}) else ""
        else:
            default = f"`{_yaml(field.default)}`"
        example = _yaml((field.examples or [""])[0])
        yield f"| `{here}` | {field.description} | {default} | `{example}` |"


def _yaml(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def page(text: str) -> str:
    """The page with what stands between its marks made anew."""
    for name, table in (("sizes", sizes()), ("fields", fields())):
        begin, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
        before, _, rest = text.partition(begin)
        text = before + begin + table + end + rest.partition(end)[2]
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))

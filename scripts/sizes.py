"""Refuses Python files and functions that grew too long: ``python -m scripts.sizes FOLDER...``

A file that is too long is split by theme, a function that is too long is cut into what it does.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

LONGEST_FILE = 400  # lines
LONGEST_FUNCTION = 40  # lines, signature and docstring among them


def too_long(path: Path) -> Iterator[str]:
    """One line for the file, and for each function in it, that is over its limit."""
    text = path.read_text(encoding="utf-8")
    lines = len(text.splitlines())
    if lines > LONGEST_FILE:
        yield f"{path}: {lines} lines; at most {LONGEST_FILE}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LONGEST_FUNCTION:
                place = f"{path}:{node.lineno}: {node.name}"
                yield f"{place}: {lines} lines; at most {LONGEST_FUNCTION}"


def main(folders: list[str]) -> int:
    """Exit code 1, and every place, when anything is too long."""
    paths = sorted(path for folder in folders for path in Path(folder).rglob("*.py"))
    found = [line for path in paths for line in too_long(path)]
    sys.stderr.writelines(f"{line}\n" for line in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

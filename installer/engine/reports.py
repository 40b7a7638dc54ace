"""Reports of defects: what a maintainer needs, without values of variables."""

import os
import platform
import traceback
from datetime import datetime
from pathlib import Path

from installer.core.errors import ExitCode, InstallError
from installer.core.redaction import redact
from installer.core.version import PRODUCT_VERSION

FOLDER = "reports"


def internal(directory: Path, error: BaseException, during: str, now: datetime) -> InstallError:
    """INTERNAL, with a report saved under ``directory/reports`` (0600, redacted).

    Only the exception's type and the place are told here: its text may hold anything.
    """
    saved = _save(directory, error, during, now)
    return InstallError(
        "INTERNAL",
        "A defect of this program",
        f"{type(error).__name__} during {during}.",
        f"Report it with {saved}; trying again may help." if saved else "Report it.",
        retryable=True,
        exit_code=ExitCode.INTERNAL,
    )


def _save(directory: Path, error: BaseException, during: str, now: datetime) -> Path | None:
    trace = "".join(traceback.format_exception(error))
    text = (
        f"matrix-install {PRODUCT_VERSION}, Python {platform.python_version()}\n"
        f"{now.isoformat()} during {during}\n\n{redact(trace)}"
    )
    folder = directory / FOLDER
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        for number in range(1, 1000):
            path = folder / f"{now:%Y%m%dT%H%M%SZ}-{number}.txt"
            try:
                file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                continue
            with os.fdopen(file, "w", encoding="utf-8") as out:
                out.write(text)
            return path
    except OSError:
        return None  # a full disk must not hide the defect itself
    return None

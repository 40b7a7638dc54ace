"""What can go wrong, in the words an operator reads.

Every failure that leaves a room is an :class:`InstallError`. Its ``code`` is a heading of
``docs/errors.md``; a test holds the two together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import IntEnum

from installer.core.redaction import redact


class ExitCode(IntEnum):
    """Exit status of ``matrix-install``; documented in ``docs/cli.md``."""

    OK = 0
    FAILED = 1  # a step failed and was not mended
    USAGE = 2  # the command line is wrong
    SETTINGS = 3  # the settings file or a given secret was refused
    REFUSED = 4  # plan not accepted, or something foreign stands in the way
    PAUSED = 5  # paused by the operator or by SIGTERM; resume goes on
    LOCKED = 6  # somebody else is at work on this directory or cluster
    SECRETS = 7  # wrong passphrase, or the sealed file is damaged or gone
    JOURNAL = 8  # the journal is damaged or written by a newer version
    UNREACHABLE = 9  # the far end cannot be reached or refuses our credentials
    INTERNAL = 70  # a defect of this program; a report was saved


@dataclass(frozen=True)
class ErrorReport:
    """An :class:`InstallError` as data: what the journal keeps and every view shows.

    ``evidence`` holds lines as they were seen (event texts, HTTP answers), already redacted.
    """

    code: str
    title: str
    cause: str
    remedy: str
    retryable: bool = False
    skippable: bool = False
    evidence: tuple[str, ...] = ()
    exit_code: ExitCode = ExitCode.FAILED

    def to_json(self) -> dict[str, object]:
        return {
            "code": self.code,
            "title": self.title,
            "cause": self.cause,
            "remedy": self.remedy,
            "retryable": self.retryable,
            "skippable": self.skippable,
            "evidence": list(self.evidence),
            "exit_code": int(self.exit_code),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> "ErrorReport":
        evidence = data.get("evidence", ())
        if not isinstance(evidence, Sequence) or isinstance(evidence, str):
            raise ValueError("evidence is not a list")
        return cls(
            code=str(data["code"]),
            title=str(data["title"]),
            cause=str(data["cause"]),
            remedy=str(data["remedy"]),
            retryable=bool(data.get("retryable", False)),
            skippable=bool(data.get("skippable", False)),
            evidence=tuple(str(line) for line in evidence),
            exit_code=ExitCode(int(str(data.get("exit_code", 1)))),
        )


@dataclass
class InstallError(Exception):
    """A failure with its cause and its remedy. Texts are redacted when it is made.

    ``retryable``: trying the same step again, after the remedy, can succeed.
    ``skippable``: the run may go on without it (the step says what is then lost).
    """

    code: str
    title: str
    cause: str
    remedy: str
    retryable: bool = False
    skippable: bool = False
    evidence: tuple[str, ...] = ()
    exit_code: ExitCode = field(default=ExitCode.FAILED, kw_only=True)

    def __post_init__(self) -> None:
        self.title = redact(self.title)
        self.cause = redact(self.cause)
        self.remedy = redact(self.remedy)
        self.evidence = tuple(redact(line) for line in self.evidence)
        super().__init__(f"{self.code}: {self.title}")

    def __str__(self) -> str:
        return f"{self.code}: {self.title}: {self.cause}"

    @staticmethod
    def reported(report: ErrorReport) -> "InstallError":
        """The error that somebody else reported, to be raised here."""
        return InstallError(**{item.name: getattr(report, item.name) for item in fields(report)})

    def report(self) -> ErrorReport:
        return ErrorReport(
            self.code,
            self.title,
            self.cause,
            self.remedy,
            self.retryable,
            self.skippable,
            self.evidence,
            self.exit_code,
        )

"""Log lines on standard error: for people, or one JSON object a line. No patient data, no file names, no object keys."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Literal

import structlog


def configure(form: Literal["people", "json"]) -> None:
    """Set up logging for the whole process."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(_Where()),
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


class _Where(structlog.typing.ExceptionTransformer):
    """Where an exception came from, and its class. Not its text, nor local variables: both may quote names and headers."""

    def __call__(self, exc_info: structlog.typing.ExcInfo) -> str:
        lines: list[str] = []
        seen: BaseException | None = exc_info[1]
        while seen is not None:
            lines[:0] = [*traceback.format_tb(seen.__traceback__), f"{type(seen).__module__}.{type(seen).__qualname__}\n"]
            seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
        return "".join(lines).rstrip()

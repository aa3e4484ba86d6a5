"""The report as a page and as numbers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape


@dataclass
class Table:
    """A table: its title, what it says, the heads of its columns, its rows."""

    title: str
    text: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)


@dataclass
class Picture:
    """A figure: its title, what it shows, its file's name in the folder ``figures``."""

    title: str
    text: str
    file: str


@dataclass
class Report:
    """Everything that a report says.

    Attributes:
        scale: how much was spent, in words.
        data: volumes of each part, and patients.
        parts: tables and pictures in their order.
        numbers: what the tables were made of, for programs.
    """

    scale: str
    data: str
    parts: list[Table | Picture] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Write ``report.json`` and ``report.html``, which needs the folder ``figures`` beside it. Returns: the page."""
        (folder / "report.json").write_text(json.dumps(self.numbers, indent=1) + "\n", "utf-8")
        templates = Environment(loader=PackageLoader("trainer.report", "."), autoescape=select_autoescape())
        parts = [asdict(part) for part in self.parts]
        page = templates.get_template("page.html").render(scale=self.scale, data=self.data, parts=parts)
        (folder / "report.html").write_text(page, "utf-8")
        return folder / "report.html"

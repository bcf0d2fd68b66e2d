"""Tables in Markdown."""

from __future__ import annotations


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def refused_row(name: str, why: str, columns: int) -> list[str]:
    """A row of ``columns`` cells for what could not run: why, in the first cell after the name."""
    return [name, "cannot run here: " + why.replace("|", "\\|"), *[""] * (columns - 2)]

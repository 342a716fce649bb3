"""The environments that real network managers passed to their hooks."""

from __future__ import annotations

from pathlib import Path

ENVIRONMENTS = Path(__file__).parents[1] / "environments"


def read_environment(path: Path) -> dict[str, str]:
    """One recorded environment; a newline inside a value is written \\n."""
    pairs = (line.split("=", 1) for line in path.read_text().splitlines())
    return {name: value.replace("\\n", "\n") for name, value in pairs}


def list_environments(folder: str) -> list[Path]:
    """All that were passed to hooks in one folder, as if-up.d."""
    return sorted(ENVIRONMENTS.rglob(f"{folder}*.env"))

"""Writes docs/configuration.md and .env.example from the docstrings of the settings."""

from __future__ import annotations

from pathlib import Path

from service.settings import PREFIX, Settings

HEAD = """# Settings

Every setting of predictor and exporter is an environment variable; there is no other place.
Secrets are never settings: a setting names the file that holds one.
This page is written by `make generate` from `service/settings.py`.

| variable | default | meaning |
| --- | --- | --- |
"""
EXAMPLE_HEAD = "# Settings of predictor and exporter with their defaults; see docs/configuration.md.\n"


def main() -> None:
    """Write both files."""
    rows, lines = [], []
    for name, field in Settings.model_fields.items():
        if field.default_factory is not None or field.default is None or field.default == ():
            default = ""
        else:
            default = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
        description = " ".join((field.description or "").split())
        shown = f"`{default}`" if default else ""
        rows.append(f"| `{PREFIX}{name.upper()}` | {shown} | {description} |\n")
        lines.append(f"#{PREFIX}{name.upper()}={default}\n")
    Path("docs/configuration.md").write_text(HEAD + "".join(rows))
    Path(".env.example").write_text(EXAMPLE_HEAD + "".join(lines))


if __name__ == "__main__":
    main()

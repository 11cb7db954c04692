"""Render the boards: `python -m grafana.build [--check] [--out DIR [--factor 60] [--runbook-base URL]]`.

Without options it writes `grafana/generated/`; with `--out` it writes a folder laid out like `grafana/`
(`generated/` and `provisioning/`), for the demo clock or runbooks of one's own.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.clock import Clock
from grafana.dashboards.overview import overview
from prometheus.build import RUNBOOK_BASE

HERE = Path(__file__).parent
GENERATED = "generated"
PROVISIONING = "provisioning"
BOARDS = {"overview": overview}


def render_boards(clock: Clock) -> dict[str, str]:
    """Return each generated file's name with its text."""
    return {f"{GENERATED}/{name}.json": _board_json(board(clock).build()) for name, board in BOARDS.items()}


def render_provisioning(clock: Clock) -> dict[str, str]:
    """Return each provisioning file's name with its text, the scrape interval that of the clock."""
    interval = f"timeInterval: {Clock().scrape_interval}"
    return {
        str(path.relative_to(HERE)): path.read_text().replace(
            interval, f"timeInterval: {clock.scrape_interval}"
        )
        for path in sorted((HERE / PROVISIONING).rglob("*.yml"))
    }


def stale_files(rendered: dict[str, str], root: Path) -> list[str]:
    """Name the files that differ from what would be rendered, and generated ones that no board makes."""
    stale = [name for name, text in rendered.items() if not _holds(root / name, text)]
    made = {path.name for path in map(Path, rendered)}
    return stale + [
        f"{GENERATED}/{path.name}" for path in (root / GENERATED).glob("*") if path.name not in made
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Render or check the boards; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m grafana.build", description="Render the Grafana boards.")
    parser.add_argument(
        "--check", action="store_true", help="fail if a committed file is stale; write nothing"
    )
    parser.add_argument("--factor", type=int, default=1, help="times faster than real time (demo clock: 60)")
    parser.add_argument(
        "--out", type=Path, help="folder for boards and provisioning (default: grafana/, boards only)"
    )
    parser.add_argument("--runbook-base", default=RUNBOOK_BASE, help="address of the folder of the runbooks")
    options = parser.parse_args(arguments)
    if options.factor < 1:
        parser.error("--factor is a whole number from 1 on")
    if options.out is None and (options.factor > 1 or options.runbook_base != RUNBOOK_BASE):
        parser.error(
            "--factor and --runbook-base need --out, since the committed boards are the default ones"
        )
    clock = Clock(options.factor)
    runbooks = options.runbook_base.rstrip("/")
    rendered = {name: text.replace(RUNBOOK_BASE, runbooks) for name, text in render_boards(clock).items()}
    root = options.out or HERE
    if options.out is not None:
        rendered |= render_provisioning(clock)
    if options.check:
        stale = stale_files(rendered, root)
        for name in stale:
            sys.stderr.write(f"{root / name} is stale: run python -m grafana.build\n")
        return 1 if stale else 0
    for name, text in rendered.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return 0


def _board_json(board: Dashboard) -> str:
    document = json.loads(json.dumps(board, cls=JSONEncoder))
    for control in (*document["links"], *document["annotations"]["list"]):
        # The builders put both behind a menu, where nobody finds the way to the next board.
        del control["placement"]
    return json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main())

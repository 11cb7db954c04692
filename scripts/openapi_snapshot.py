"""Writes docs/openapi.json: the contract of the predictor with the demo models."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from service.bootstrap import build_app
from service.settings import Settings

SNAPSHOT = Path("docs/openapi.json")


async def read_document(app: Any) -> bytes:
    """Start the application, ask for the document, stop it."""
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    lifespan = asyncio.ensure_future(app({"type": "lifespan", "state": {}}, to_app.get, from_app.put))
    await to_app.put({"type": "lifespan.startup"})
    assert (await from_app.get())["type"] == "lifespan.startup.complete"
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": "/openapi.json",
        "raw_path": b"/openapi.json",
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [],
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 1),
    }
    await app(scope, receive, send)
    await to_app.put({"type": "lifespan.shutdown"})
    await lifespan
    return b"".join(message.get("body", b"") for message in sent)


def main() -> None:
    """Write the snapshot."""
    with tempfile.TemporaryDirectory() as folder:
        app = build_app(Settings(metrics_dir=Path(folder), log_dir=Path(folder) / "log", log_requests="none"))
        document = json.loads(asyncio.run(read_document(app)))
    SNAPSHOT.write_text(json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

"""The smallest application that counts: it announces a prediction, then answers; for tests of slots."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from service.events import (
    Announcer,
    HttpRequestFinished,
    HttpRequestStarted,
    ModelRequestFinished,
    PredictionsServed,
    ReadinessChanged,
)
from service.observability.listener_errors import ListenerErrors
from service.observability.listeners import connect
from service.settings import load_settings
from tests.service.observability.counted_bundles import REGRESSION

_errors = ListenerErrors()
_announcer = Announcer(_errors)
_close: list[Callable[[], None]] = []


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Connect the metrics when the worker starts; count and answer each request."""
    if scope["type"] == "lifespan":
        await receive()
        _close.append(connect(_announcer, [REGRESSION], load_settings(), _errors))
        _announcer.announce(ReadinessChanged(True))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        _close.pop()()
        await send({"type": "lifespan.shutdown.complete"})
        return
    _announcer.announce(HttpRequestStarted())
    _announcer.announce(
        PredictionsServed(REGRESSION.key, [(3.0,)], None, np.array([0.5]), None, np.zeros(1, dtype=np.int8))
    )
    _announcer.announce(ModelRequestFinished(REGRESSION.key, "ok", "single", 0.001))
    _announcer.announce(HttpRequestFinished("POST", "/v1/predict", 200, 0.001))
    body = str(os.getpid()).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})

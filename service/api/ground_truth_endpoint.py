"""`POST /v1/log-ground-truth`: what turned out to be true, hours or months later."""

from __future__ import annotations

from collections import Counter

import orjson

from service.api.answer import Answer
from service.api.body import Receive, read_post
from service.api.prediction_endpoint import BodyLimits
from service.api.request_head import RequestHead
from service.errors import InvalidInputError, Violation
from service.prediction_log.truth_intake import TRUTH_ANSWERS, TruthIntake
from service.prediction_log.truth_posts import read_truth_posts

GROUND_TRUTH_ROUTE = "/v1/log-ground-truth"


class GroundTruthEndpoint:
    """Takes one truth or a batch of them.

    Args:
        intake: checks and keeps them.
        limits: bounds on the body; that of batches holds.
        items_max: most truths of a request.
    """

    def __init__(self, intake: TruthIntake, limits: BodyLimits, items_max: int) -> None:
        self._intake = intake
        self._limits = limits
        self._items_max = items_max

    async def answer(self, head: RequestHead, receive: Receive, caller: str) -> Answer:
        """Answer one request.

        Args:
            head: the request's head.
            receive: the ASGI channel of its body.
            caller: name of the token's holder.

        Raises:
            RequestError: nothing was taken; a single truth that is invalid is an error too.
        """
        body = await read_post(head, receive, self._limits.batch_max_bytes, self._limits.seconds)
        posts = read_truth_posts(body, self._items_max)
        verdicts = await self._intake.take(posts.items, caller)
        if not posts.is_batch:
            (verdict,) = verdicts
            if verdict.result == "invalid":
                raise InvalidInputError([Violation(verdict.field, verdict.reason, "category", None)])
            return Answer(200, orjson.dumps({"result": verdict.result}))
        results = [
            {"result": "invalid", "field": posts.field(index, verdict.field), "reason": verdict.reason}
            if verdict.result == "invalid"
            else {"result": verdict.result}
            for index, verdict in enumerate(verdicts)
        ]
        counts = Counter(verdict.result for verdict in verdicts)
        content = {"results": results, "counts": {name: counts[name] for name in TRUTH_ANSWERS}}
        return Answer(200, orjson.dumps(content))

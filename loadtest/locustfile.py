"""What locust loads: the users, their command line options, and what happens before the first request."""

from __future__ import annotations

import logging
import sys
from typing import Any, cast

import gevent  # type: ignore[import-untyped]  # ships no types
from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from loadtest.payloads import DEMO_MODELS, PayloadError
from loadtest.served_models import TargetError
from loadtest.traffic import OptionError, Options, parse_shares, prepare_traffic
from loadtest.users import (
    BatchPredictionUser,
    GroundTruthUser,
    MalformedInputUser,
    PredictorUser,
    SinglePredictionUser,
    SlangUser,
)

__all__ = [
    "BatchPredictionUser",
    "GroundTruthUser",
    "MalformedInputUser",
    "SinglePredictionUser",
    "SlangUser",
]

logger = logging.getLogger("loadtest")


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]  # locust's hooks have no types
def add_options(parser: LocustArgumentParser, **_: Any) -> None:
    """Add the options of this load test to those of locust."""
    group = parser.add_argument_group("Plumbline options")
    group.add_argument(
        "--models",
        default=",".join(DEMO_MODELS),
        help="Models to drive, with weights if they differ: iris=3,tickets. Default: all demo models alike.",
    )
    group.add_argument(
        "--rate",
        type=float,
        default=1.0,
        help="Requests per second of each user; 0: the next one as soon as the answer is there. Default: 1.",
    )
    group.add_argument("--batch-share", type=float, default=0.05, help="Share of users that send batches.")
    group.add_argument("--batch-rows", type=int, default=20, help="Rows of each batch.")
    group.add_argument(
        "--label-share",
        type=float,
        default=0.0,
        help="Share of users that predict and tell the ground truth later.",
    )
    group.add_argument(
        "--label-delay",
        type=float,
        default=5.0,
        help="Mean seconds from a prediction to its ground truth; each waits half to one and a half of it. "
        "Default: 5.",
    )
    group.add_argument("--slang-share", type=float, default=0.0, help="Share of users that send slang.")
    group.add_argument(
        "--malformed-share", type=float, default=0.0, help="Share of users that send bad requests."
    )
    group.add_argument("--token-file", default=None, help="File whose first line ends with the bearer token.")
    group.add_argument(
        "--wait-ready", type=float, default=30.0, help="Seconds to wait for a predictor that is starting."
    )
    group.add_argument(
        "--shed-is-failure",
        action="store_true",
        help="Count 503 with Retry-After as failures, not only in rows of type SHED.",
    )


@events.init.add_listener  # type: ignore[untyped-decorator]  # locust's hooks have no types
def set_clock(**_: Any) -> None:
    """Let the run time start now: gevent's clock still stands where it was before the imports."""
    gevent.get_hub().loop.update_now()


@events.init.add_listener  # type: ignore[untyped-decorator]  # locust's hooks have no types
def choose_users(environment: Environment, **_: Any) -> None:
    """Turn the shares into weights, unless the user classes were named on the command line."""
    options = environment.parsed_options
    # A worker is told by its master which users to run, so it keeps all classes.
    if options is None or options.user_classes or isinstance(environment.runner, WorkerRunner):
        return
    try:
        shares = parse_shares(
            batch=options.batch_share,
            label=options.label_share,
            slang=options.slang_share,
            malformed=options.malformed_share,
        )
    except OptionError as error:
        sys.exit(f"loadtest: {error}")
    for user_class in environment.user_classes:
        user_class.weight = shares[user_class.__name__]
    environment.user_classes[:] = [each for each in environment.user_classes if each.weight > 0]


@events.test_start.add_listener  # type: ignore[untyped-decorator]  # locust's hooks have no types
def prepare(environment: Environment, **_: Any) -> None:
    """Ask the predictor what it serves and load the rows, or stop with one line that says why not."""
    runner = environment.runner
    if runner is None or isinstance(runner, MasterRunner):
        return  # a master sends nothing itself
    try:
        PredictorUser.traffic = prepare_traffic(environment.host, cast(Options, environment.parsed_options))
    except (OptionError, PayloadError, TargetError) as error:
        logger.error("loadtest: %s", error)
        environment.process_exit_code = 1
        # From a greenlet of its own, since stopping kills the one that starts users: this one. Locust's way,
        # StopTest, would print a traceback under the line.
        gevent.spawn(runner.stop if environment.web_ui else runner.quit)
        raise gevent.GreenletExit from error


@events.quitting.add_listener  # type: ignore[untyped-decorator]  # locust's hooks have no types
def fail_if_nothing_was_sent(environment: Environment, **_: Any) -> None:
    """Let a headless run without any request fail: its time may be over before the predictor answers."""
    is_silent = environment.web_ui is None and environment.stats.total.num_requests == 0
    if is_silent and not isinstance(environment.runner, WorkerRunner) and not environment.process_exit_code:
        logger.error("loadtest: no request was sent")
        environment.process_exit_code = 1

"""`plumbline start NAME`: start one program of the running stack again."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from operations.stack.layout import add_local_option, load_stack
from operations.stack.programs import PROGRAMS
from operations.stack.supervision import Supervisor

if TYPE_CHECKING:
    from operations.commands import Subparsers


def register(subparsers: Subparsers) -> None:
    """Add the parser of `plumbline start`."""
    parser = subparsers.add_parser("start", help="start a program of the stack that was stopped")
    parser.add_argument("name", choices=PROGRAMS, metavar="NAME", help=", ".join(PROGRAMS))
    add_local_option(parser)


def run(options: argparse.Namespace) -> int:
    """Start the program."""
    Supervisor(load_stack(options.local).layout).start(options.name)
    print(f"{options.name} is starting; see `plumbline status`.")
    return 0

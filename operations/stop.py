"""`plumbline stop NAME`: stop one program of the running stack, to see what happens."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from operations.stack.layout import add_local_option, load_stack
from operations.stack.programs import PROGRAMS
from operations.stack.supervision import Supervisor

if TYPE_CHECKING:
    from operations.commands import Subparsers


def register(subparsers: Subparsers) -> None:
    """Add the parser of `plumbline stop`."""
    parser = subparsers.add_parser(
        "stop", help="stop one program of the stack; it stays stopped until `start`"
    )
    parser.add_argument("name", choices=PROGRAMS, metavar="NAME", help=", ".join(PROGRAMS))
    add_local_option(parser)


def run(options: argparse.Namespace) -> int:
    """Stop the program and wait for its end."""
    Supervisor(load_stack(options.local).layout).stop(options.name)
    print(f"{options.name} is stopped; `plumbline start {options.name}` starts it again.")
    return 0

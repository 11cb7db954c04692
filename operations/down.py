"""`plumbline down`: stop the stack and wait until nothing of it is left."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from operations.stack.layout import StackError, add_local_option, load_stack
from operations.stack.supervision import Supervisor

if TYPE_CHECKING:
    from operations.commands import Subparsers


def register(subparsers: Subparsers) -> None:
    """Add the parser of `plumbline down`."""
    parser = subparsers.add_parser("down", help="stop the stack that `plumbline up` started")
    add_local_option(parser)


def run(options: argparse.Namespace) -> int:
    """Stop every program, then look whether a port is still held."""
    stack = load_stack(options.local)
    Supervisor(stack.layout).shut_down()
    left = [f"{name} on port {getattr(stack.ports, name)}" for name in stack.ports.busy()]
    if left:
        raise StackError(f"stopped, but a port is still held: {', '.join(left)}")
    print("Stopped: no program and no port is left.")
    return 0

"""The commands of `plumbline`, in the order of its help.

A command is a module with two functions: `register(subparsers)` adds its parser, with help and examples;
`run(options) -> int` does the work and returns the exit status.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Protocol

from operations import check, down, inspect_bundle, log, pack, start, status, stop, up

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


class Command(Protocol):
    """A module that is a command."""

    def register(self, subparsers: Subparsers) -> None:
        """Add the command's parser."""

    def run(self, options: argparse.Namespace) -> int:
        """Do the work and return the exit status."""


COMMANDS: dict[str, Command] = {
    "pack": pack,
    "inspect": inspect_bundle,
    "check": check,
    "up": up,
    "down": down,
    "status": status,
    "log": log,
    "stop": stop,
    "start": start,
}

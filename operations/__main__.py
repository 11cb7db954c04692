"""The front door of the `plumbline` commands: `python -m operations COMMAND`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from operations.commands import COMMANDS
from service.errors import PlumblineError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; an expected failure is one line on stderr and status 1."""
    parser = argparse.ArgumentParser(prog="plumbline", description="Packs, checks and runs models.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS.values():
        command.register(subparsers)
    options = parser.parse_args(arguments)
    try:
        status = COMMANDS[options.command].run(options)
        sys.stdout.flush()  # here, where a closed pipe is expected, and not at exit
    except PlumblineError as error:
        print(f"plumbline {options.command}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Nobody reads any more (`plumbline inspect ... | head`), nor what the interpreter flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())

"""Commands are modules with two functions."""

from __future__ import annotations

import argparse

from operations.commands import COMMANDS


def test_every_command_registers_under_its_name() -> None:
    """The name in the table is the name of its parser."""
    for name, command in COMMANDS.items():
        subparsers = argparse.ArgumentParser().add_subparsers()
        command.register(subparsers)
        assert list(subparsers.choices) == [name]
        assert callable(command.run)

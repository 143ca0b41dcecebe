"""The command line: `backpropd up`, the processes it starts, and what a person does with them."""

from backpropd.cli import (  # noqa: F401 - each registers its commands
    backup,
    definitions,
    demo,
    doctor,
    history,
    jobs,
    keys,
    parts,
    processes,
    results,
    train,
    up,
    watch,
)
from backpropd.cli.app import app


def main() -> None:
    """Run the command that the arguments name."""
    app()

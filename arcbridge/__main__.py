"""`python -m arcbridge` is the command line."""

from __future__ import annotations

from arcbridge.cli.main import run

if __name__ == "__main__":
    run()

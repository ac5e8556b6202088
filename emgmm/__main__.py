"""What `python -m emgmm` runs."""

from ._cli.command import run

if __name__ == "__main__":
    run()

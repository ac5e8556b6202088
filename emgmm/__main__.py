"""What `python -m emgmm` runs."""

from ._command import run

if __name__ == "__main__":
    run()

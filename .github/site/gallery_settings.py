"""How Sphinx-Gallery runs the examples and sorts them; it imports these by name."""

from pathlib import Path

HERE = Path(__file__).parent
TABLE = (HERE / "../../examples/README.md").read_text(encoding="utf-8")


def arguments(gallery_conf: dict, script_vars: dict) -> list[str]:
    """The command line of an example: a folder for the figures that it saves."""
    return [str(HERE / "_build" / "figures")]


def place_in_table(filename: str) -> int:
    """Where the table of all examples has this one."""
    return TABLE.index(f"[{filename}]")

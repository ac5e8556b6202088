"""Whether every link, anchor and picture of a built site leads to something in it.

    python check_links.py FOLDER

Links to other sites are not followed.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ADDRESSES = {"href", "src", "poster", "data"}


class Page(HTMLParser):
    """The anchors of a page, and the addresses that it points to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.addresses: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list) -> None:
        """Add what a tag is named, and where it points."""
        values = {name: value for name, value in attrs if value}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        self.addresses |= {values[name] for name in ADDRESSES if name in values}
        sources = values.get("srcset", "").split(",")
        self.addresses |= {source.split()[0] for source in sources if source.strip()}


def broken(folder: Path) -> list[str]:
    """A line for each address within the site that leads nowhere."""
    files = sorted(folder.rglob("*.html"))
    pages = {path: Page(path) for path in files if "_static" not in path.parts}
    if not pages:
        return [f"{folder}: there is no page"]
    return [
        f"{path.relative_to(folder)}: {address}"
        for path, page in pages.items()
        for address in sorted(page.addresses)
        if not leads_somewhere(address, path, pages)
    ]


def leads_somewhere(address: str, path: Path, pages: dict[Path, Page]) -> bool:
    """Whether an address on a page is of another site, or of something in this one."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return True
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return False
    anchor = unquote(parts.fragment)
    return not anchor or target not in pages or anchor in pages[target].anchors


if __name__ == "__main__":
    lines = broken(Path(sys.argv[1]).resolve())
    print("\n".join(lines) or "every link within the site leads somewhere")
    sys.exit(bool(lines))

"""Makes docs/page-light.png and docs/page-dark.png: the tour's session on the page, in Chromium out of .peers/.

`python -m tools.screenshots` after `make peers`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from struct import pack, unpack

from playwright.sync_api import Browser
from tests.support.browser import chromium, watching

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
WIDTH, HEIGHT, MOST = 1320, 980, 300_000
"""Size of a picture in CSS pixels; the octets that it may have."""


def main() -> int:
    """Play, render, take both pictures; 1 where one is too large."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        page = rendered(directory)
        with chromium(directory) as browser:
            sizes = [taken(browser, page, scheme) for scheme in ("light", "dark")]
    print(f"docs/page-light.png, docs/page-dark.png: {' and '.join(map(str, sizes))} octets")
    return int(max(sizes) > MOST)


def rendered(directory: Path) -> str:
    """The address of the page of the tour's session with a failure at its end."""
    run = [sys.executable, "-m", "ikescope"]
    output = directory / "tour"
    subprocess.run([*run, "demo", "--output", str(output)], check=True, stdout=subprocess.DEVNULL)
    page = directory / "page.html"
    recording = str(output / "recording.jsonl")
    subprocess.run([*run, "read", recording, "--as", "html", "--output", str(page)], check=True)
    return page.as_uri()


def taken(browser: Browser, address: str, scheme: str) -> int:
    """Open the first request, mark its proposal, take the picture; its octets."""
    target = DOCS / f"page-{scheme}.png"
    with watching(browser, address, scheme=scheme, width=WIDTH, height=HEIGHT) as watched:
        page = watched.page
        page.locator(".rung").first.click()
        page.get_by_role("treeitem").filter(has_text="ENCR_AES_CBC").locator(".field").click()
        page.locator(".split").evaluate("each => window.scrollTo(0, each.offsetTop - 2)")
        page.locator("#detail").evaluate("each => { each.scrollTop = 0; }")
        page.locator("#tree").evaluate("each => { each.scrollTop = 150; }")
        note = "each => { each.parentElement.scrollTop = each.offsetTop - each.parentElement.offsetTop; }"
        page.locator(".remark").filter(has_text="The proposal").last.evaluate(note)
        target.write_bytes(packed(page.screenshot()))
        watched.assert_quiet()
    return target.stat().st_size


def packed(png: bytes) -> bytes:
    """The same picture, its data compressed as well as zlib can."""
    signature, at, chunks, data = png[:8], 8, [], b""
    while at < len(png):
        (length,) = unpack(">I", png[at : at + 4])
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        if kind == b"IDAT":
            data += body
        else:
            chunks.append((kind, body))
        at += 12 + length
    image = (b"IDAT", zlib.compress(zlib.decompress(data), 9))
    ordered = [*chunks[:-1], image, chunks[-1]]
    parts = [pack(">I", len(body)) + kind + body + pack(">I", zlib.crc32(kind + body)) for kind, body in ordered]
    return signature + b"".join(parts)


if __name__ == "__main__":
    sys.exit(main())

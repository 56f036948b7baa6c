"""Chromium out of .peers/, driven by Playwright: every request that a page makes is noted, every complaint too."""

import contextlib
import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Route, sync_playwright
from tests.support.machine import PEERS

ROOT = PEERS / "root"
CHROMIUM = ROOT / "usr" / "lib" / "chromium" / "chromium"
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{fonts}</dir><cachedir>{cache}</cachedir></fontconfig>
"""


def environment(directory: Path) -> dict[str, str | float | bool]:
    """What Chromium out of .peers/root needs to find its libraries and its font; `directory` takes its caches."""
    configuration = directory / "fonts.conf"
    configuration.write_text(FONTS.format(fonts=ROOT / "usr" / "share" / "fonts", cache=directory / "fonts"))
    libraries = ROOT / "usr" / "lib" / f"{platform.machine()}-linux-gnu"
    return {"LD_LIBRARY_PATH": str(libraries), "FONTCONFIG_FILE": str(configuration), "HOME": str(directory)}


@contextlib.contextmanager
def chromium(directory: Path) -> Iterator[Browser]:
    """A browser for as long as the block lasts."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], env=environment(directory), timeout=120_000
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Watched:
    """A page, and what it did beside showing: requests beyond `home`, complaints on its console."""

    context: BrowserContext
    page: Page
    home: str
    left: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def assert_quiet(self) -> None:
        """Nothing left for another place, and neither the script nor the policy had a complaint."""
        assert (self.left, self.complaints) == ([], [])


@contextlib.contextmanager
def watching(
    browser: Browser, address: str, *, scheme: str = "light", width: int = 1400, height: int = 950
) -> Iterator[Watched]:
    """Open an address; `home` is what it and its parts begin with. `scheme` is what the reader prefers."""
    home = address if address.startswith("file:") else address[: address.index("/", len("http://")) + 1]
    context = browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light", viewport={"width": width, "height": height}
    )
    context.set_default_timeout(60_000)
    page = context.new_page()
    watched = Watched(context, page, home)

    def gate(route: Route, request: Request) -> None:
        if request.url.startswith(home):
            route.continue_()
        else:
            watched.left.append(request.url)
            route.abort()

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            watched.complaints.append(message.text)

    context.route("**/*", gate)
    page.on("console", note)
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    page.goto(address)
    try:
        yield watched
    finally:
        context.close()

"""The page in a browser: a file of a recording, and a router that runs."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser, Dialog, Page, expect
from tests.daemon.routers import PYTHON, ikescope
from tests.support.browser import chromium, watching
from tests.support.process import Process
from tests.support_records import Made
from tests.views.test_html import hostile

from ikescope.events import Record
from ikescope.events.message import MessageSent
from ikescope.views.html_model import Model
from ikescope.views.read import render

pytestmark = [pytest.mark.peers, pytest.mark.browser]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One Chromium for all of these tests."""
    with chromium(tmp_path_factory.mktemp("chromium")) as running:
        yield running


def file(directory: Path, records: list[Record]) -> str:
    """The address of the page that `read --as html` makes of records."""
    path = directory / "page.html"
    path.write_text("\n".join(render(records, "html")) + "\n")
    return path.as_uri()


def test_every_message_of_the_recording_is_on_the_ladder(browser: Browser, tmp_path: Path) -> None:
    """One rung a message, in order, with exchange, message ID and payloads; nothing is fetched, nothing complains."""
    records = Made().whole().records
    rows = [row for row in Model().extend(records).rows if row["kind"] == "message"]
    with watching(browser, file(tmp_path, records)) as watched:
        rungs = watched.page.locator(".rung")
        expect(rungs).to_have_count(len(rows))
        for place, row in enumerate(rows):
            expect(rungs.nth(place)).to_contain_text(row["name"])
            expect(rungs.nth(place)).to_contain_text(row["payloads"])
        watched.assert_quiet()


def test_a_click_opens_the_request_with_its_transforms(browser: Browser, tmp_path: Path) -> None:
    """IKE_SA_INIT, opened: what it is for, all nine transforms by name, its octets; a field marks its range."""
    with watching(browser, file(tmp_path, Made().whole().records)) as watched:
        page = watched.page
        page.locator(".rung").first.click()
        expect(page.locator("#detail-title")).to_have_text("IKE_SA_INIT request 0, R1 to R2")
        expect(page.locator("#detail-notes")).to_contain_text("The proposal")
        page.get_by_role("button", name="Show the octets of Message ID").first.click()
        expect(page.locator("#octets-range")).to_have_text("Message ID: octets 20 to 23")
        proposal = page.get_by_role("treeitem").filter(has_text="Proposal 1")
        expect(proposal).to_contain_text("9 transforms")
        transforms = page.locator("[role=treeitem][aria-level='3'][aria-expanded]:visible")
        expect(transforms).to_have_count(9)
        transforms.first.click()
        expect(page.locator("#octets .octet.marked")).to_have_count(12)
        expect(page.locator("#octets-range")).to_contain_text("octets 40 to 51")
        page.locator("#octets .octet").nth(0).click()
        expect(page.locator("[role=treeitem][aria-selected=true]")).to_contain_text("Initiator's SPI")
        watched.assert_quiet()


def test_both_generations_of_a_rekey_are_there(browser: Browser, tmp_path: Path) -> None:
    """A family shows the IKE SA that was and the one that took its place, each naming the other."""
    records = Made().whole().records
    family = next(one for one in Model().extend(records).families if one["router"] == "R1")
    old, new = (one["spi_i"] for one in family["generations"][:2])
    with watching(browser, file(tmp_path, records)) as watched:
        card = watched.page.locator(".family").first
        expect(card.locator(f"[data-spi='{old}']")).to_contain_text(f"superseded by0x{new.upper()}")
        expect(card.locator(f"[data-spi='{new}']")).to_contain_text(f"rekeyed from0x{old.upper()}")
        card.locator(f"[data-spi='{old}']").get_by_role("button").click()
        expect(watched.page.locator("#by-sa")).to_have_value(old)
        assert watched.page.locator(".rung:visible").count() < watched.page.locator(".rung").count()
        watched.assert_quiet()


def test_a_wrong_key_is_red_with_its_finding(browser: Browser, tmp_path: Path) -> None:
    """The refusal stands where it happened, red, with what was wrong and what to change."""
    with watching(browser, file(tmp_path, Made().wrong_key().records)) as watched:
        mark = watched.page.locator(".mark.error").first
        expect(mark).to_contain_text("Finding: the pre-shared keys differ")
        expect(mark).to_contain_text("Change: the pre-shared key of")
        red = mark.locator(".words").evaluate("each => getComputedStyle(each).color")
        assert red == "rgb(179, 38, 30)"
        expect(watched.page.locator("#verdict p").first).to_contain_text("Not up")
        watched.page.locator("#failures").check()
        expect(watched.page.locator(".mark.good:visible")).to_have_count(0)
        expect(mark).to_be_visible()
        watched.assert_quiet()


def focused(page: Page) -> str:
    """What has the focus, by what a screen reader would say of it."""
    told: str = page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.textContent")
    return told


def test_all_of_it_goes_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    """Tab reaches the ladder once, arrows go through it, Enter opens and moves to what was opened, Escape returns."""
    with watching(browser, file(tmp_path, Made().whole().records)) as watched:
        page, keys = watched.page, watched.page.keyboard
        page.locator("#failures").focus()
        keys.press("Tab")
        assert "R1 to R2: IKE_SA_INIT request 0" in focused(page)
        keys.press("ArrowDown")
        assert "R2 to R1: IKE_SA_INIT response 0" in focused(page)
        keys.press("End")
        last = focused(page)
        keys.press("Home")
        assert focused(page) != last
        keys.press("Enter")
        expect(page.locator("#detail-title")).to_be_focused()
        expect(page.locator("#tree [role=treeitem]").first).to_be_visible()
        page.locator("#tree [role=treeitem]").first.focus()
        assert "IKE header" in focused(page)
        keys.press("ArrowRight")
        keys.press("ArrowDown")
        assert "Initiator's SPI" in focused(page)
        expect(page.locator("#octets .octet.marked")).to_have_count(8)
        keys.press("ArrowLeft")
        keys.press("ArrowLeft")
        expect(page.locator("#tree [role=treeitem]").first).to_have_attribute("aria-expanded", "false")
        keys.press("Escape")
        assert "R1 to R2: IKE_SA_INIT request 0" in focused(page)
        keys.press("/")
        keys.type("no such thing")
        expect(page.locator("#count")).to_have_text("0 of 18 messages")
        watched.assert_quiet()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_in_dark(browser: Browser, tmp_path: Path, scheme: str) -> None:
    """Every text that is seen has a contrast of 4.5 to its ground (WCAG 2.1, 1.4.3), as the reader's system wishes."""
    with watching(browser, file(tmp_path, Made().wrong_key().records), scheme=scheme) as watched:
        watched.page.locator(".rung").first.click()
        expect(watched.page.locator("#tree [role=treeitem]").first).to_be_visible()
        assert watched.page.evaluate(CONTRAST) == []
        dark = watched.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 29)"
        assert dark == (scheme == "dark")
        watched.page.locator("#theme").click()
        assert watched.page.evaluate(CONTRAST) == []


CONTRAST = """() => {
  const parts = (text) => (text.match(/[0-9.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((one) => one / 255)
    .map((one) => (one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
    .reduce((sum, one, place) => sum + one * [0.2126, 0.7152, 0.0722][place], 0);
  const ground = (element) => {
    for (let up = element; up; up = up.parentElement) {
      const colour = parts(getComputedStyle(up).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = Array.from(element.childNodes).some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || /^(SCRIPT|STYLE|NOSCRIPT|OPTION)$/.test(element.tagName)) continue;
    const [one, other] = [light(parts(getComputedStyle(element).color)), light(ground(element))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    const name = `${element.tagName}.${element.className} ${element.textContent.trim().slice(0, 30)}`;
    if (contrast < 4.5) poor.push(`${name}: ${contrast.toFixed(2)}`);
  }
  return poor;
}"""


def test_everything_has_a_name_and_nothing_is_named_twice(browser: Browser, tmp_path: Path) -> None:
    """Every control and region has an accessible name, ids are unique, the page has a language and one main heading."""
    with watching(browser, file(tmp_path, Made().whole().records)) as watched:
        page = watched.page
        page.locator(".rung").first.click()
        expect(page.locator("#tree [role=treeitem]").first).to_be_visible()
        ids: list[str] = page.evaluate("Array.from(document.querySelectorAll('[id]'), (one) => one.id)")
        assert len(ids) == len(set(ids))
        for role in ("button", "searchbox", "combobox", "checkbox", "tree", "region", "progressbar"):
            found = page.get_by_role(role)
            assert page.get_by_role(role, name="").count() == found.count()
            for place in range(found.count()):
                assert found.nth(place).evaluate(NAMED), f"{role} {place} has no name"
        assert page.locator("h1").count() == page.locator("main").count() == 1
        assert page.locator("html").get_attribute("lang") == "en"


NAMED = """(each) => each.getAttribute("aria-label") || each.textContent.trim() || (each.labels && each.labels.length)
  || document.getElementById(each.getAttribute("aria-labelledby"))?.textContent"""


def test_markup_in_an_identity_is_inert(browser: Browser, tmp_path: Path) -> None:
    """An identity that is a script and an image is shown as the text that it is; nothing runs, nothing is asked for."""
    records = [hostile(record) for record in Made().whole().records]
    records = [
        Record(msgspec.structs.replace(one.stamp, router="<b>R1</b>"), one.event) if one.stamp.router == "R1" else one
        for one in records
    ]
    with watching(browser, file(tmp_path, records)) as watched:
        dialogs: list[str] = []

        def dismiss(dialog: Dialog) -> None:
            dialogs.append(dialog.message)
            dialog.dismiss()

        watched.page.on("dialog", dismiss)
        for place in range(watched.page.locator(".rung").count()):
            watched.page.locator(".rung").nth(place).click()
        expect(watched.page.locator("#families").first).to_contain_text("<script>alert(1)</script><img src=x")
        expect(watched.page.locator("#columns")).to_contain_text("<b>R1</b>")
        assert watched.page.locator("main img, main b, main script, #columns b").count() == 0
        assert dialogs == []
        watched.assert_quiet()


CONFIGURATION = """hostname R1
crypto ikev2 keyring KR
 peer R2
  address 127.9.8.2
  pre-shared-key a key of the browser test
crypto ikev2 profile default
 match identity remote address 127.9.8.2 255.255.255.255
 authentication remote pre-share
 authentication local pre-share
 keyring local KR
crypto ipsec profile default
 set ikev2-profile default
interface Tunnel0
 ip address 10.0.0.1 255.255.255.252
 tunnel source 127.9.8.1
 tunnel destination 127.9.8.2
 tunnel protection ipsec profile default
"""


def test_a_running_router_shows_a_message_as_it_happens(browser: Browser, tmp_path: Path) -> None:
    """A peer's request is on an open page without a reload, opens on a click; the page says when the router ends."""
    (tmp_path / "R1.cfg").write_text(CONFIGURATION)
    options = ("--data-plane", "none", "--control", str(tmp_path), "--web", "127.0.0.1:0", str(tmp_path / "R1.cfg"))
    with Process(ikescope("run", *options), tmp_path, "R1", env=PYTHON) as router:
        address = router.wait_for(r"the page of R1: (\S+)$", 60.0)[1]
        with watching(browser, address) as watched:
            page = watched.page
            expect(page.locator("#connection")).to_have_text("live")
            expect(page.locator(".rung")).to_have_count(0)
            request = first_request()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                peer.bind(("127.9.8.2", 0))
                peer.sendto(request, ("127.9.8.1", 500))
                assert peer.recv(4096)[:8] == request[:8]
            expect(page.locator(".rung")).to_have_count(2)
            page.locator(".rung").first.click()
            expect(page.locator("#tree [role=treeitem]").first).to_be_visible()
            expect(page.locator(".family")).to_contain_text("IN-NEG")
            assert router.stop() == 0
            expect(page.locator("#connection")).to_have_text("the router ended")
            watched.assert_quiet()


def test_beyond_loopback_the_printed_address_lets_in_and_nothing_else_does(browser: Browser, tmp_path: Path) -> None:
    """The token of the address becomes a cookie and leaves the address line; the page lives; without it, 401."""
    (tmp_path / "R1.cfg").write_text(CONFIGURATION.replace("127.9.8.", "127.9.9."))
    options = ("--data-plane", "none", "--control", str(tmp_path), "--web", "0.0.0.0:0", str(tmp_path / "R1.cfg"))
    with Process(ikescope("run", *options), tmp_path, "R1", env=PYTHON) as router:
        port, token = router.wait_for(r"the page of R1: http://[^/]+:(\d+)/\?token=(\S+)$", 60.0).groups()
        with watching(browser, f"http://127.0.0.1:{port}/?token={token}") as watched:
            expect(watched.page).to_have_url(f"http://127.0.0.1:{port}/")
            expect(watched.page.locator("#connection")).to_have_text("live")
            assert watched.page.evaluate("document.cookie") == ""
            watched.assert_quiet()
        with watching(browser, f"http://127.0.0.1:{port}/") as watched:
            expect(watched.page.locator("body")).to_contain_text("wants the token")


def first_request() -> bytes:
    """An IKE_SA_INIT request of another router."""
    events = (record.event for record in Made().up().records)
    octets = next(event.octets for event in events if isinstance(event, MessageSent))
    assert isinstance(octets, bytes)
    return octets

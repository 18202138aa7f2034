"""What Chromium sees of the dashboard. Run by another Python, which has playwright: see `__main__`.

Prints a line for each check; the exit code is 1 where one doesn't hold. Pictures are of what a person sees first.
"""

import json
import sys
import traceback
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

LONGEST_PAINT_MS = 1000
LOADS = 3
"""Of each page, whose median counts: the machine does other things too."""
SERIOUS = ("serious", "critical")
ROLLOUT = "/rollouts/shop/sentiment"
SIZES: Mapping[str, Mapping[str, Any]] = {
    "desktop": {"viewport": {"width": 1120, "height": 960}},
    "dark": {"viewport": {"width": 1120, "height": 960}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
}
Check = Callable[["Site"], None]


class Site:
    """A browser, and a dashboard that is signed in to."""

    def __init__(self, browser: Browser, told: Mapping[str, str]) -> None:
        self.told, self._browser = told, browser
        self.address = told["address"]
        self.complaints: list[str] = []

    def open(self, path: str, **how: Any) -> Page:
        """A page in a browser of its own, live already; what its console says is a complaint."""
        page = self.context(**how).new_page()
        page.goto(self.told["start"])
        page.goto(self.address + path)
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        return page

    def context(self, **how: Any) -> BrowserContext:
        context = self._browser.new_context(**{"timezone_id": "Europe/Berlin", **how})
        context.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        return context

    def patch(self, name: str, change: Mapping[str, Any]) -> None:
        """Another client changes a ModelDeployment."""
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.told['api']}/apis/tidegate.dev/v1alpha1/namespaces/shop/modeldeployments/{name}",
            data=json.dumps(change).encode(),
            headers={"Authorization": f"Bearer {self.told['token']}"},
            method="PATCH",
        )
        urllib.request.urlopen(request, timeout=5).close()  # noqa: S310

    def violations(self, page: Page) -> list[str]:
        """What axe-core finds serious."""
        script = Path(self.told["axe"]).read_text()
        session = page.context.new_cdp_session(page)  # it runs whatever the page's policy allows no page to run
        told = session.send(
            "Runtime.evaluate",
            {
                "expression": f"{script}; axe.run().then(found => JSON.stringify(found.violations))",
                "awaitPromise": True,
                "returnByValue": True,
            },
        )
        found = json.loads(told["result"]["value"])
        return [f"{each['id']}: {each['nodes'][0]['html'][:120]}" for each in found if each["impact"] in SERIOUS]


def check_pages_are_painted_within_a_second_and_pictures_taken(site: Site) -> None:
    for size, how in SIZES.items():
        for name, path in (("rollouts", "/"), ("rollout", ROLLOUT)):
            page = site.open(path, **how)
            painted = median(_paint(page) for _ in range(LOADS))
            page.screenshot(path=f"{site.told['pictures']}/{name}-{size}.png")
            assert painted <= LONGEST_PAINT_MS, f"{path} was painted after {painted:.0f} ms"
            _say(f"    {path} {size}: first paint after {painted:.0f} ms")


def _paint(page: Page) -> float:
    """Milliseconds from asking for the page until something of it is seen, in a browser that runs already."""
    page.reload()
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    return float(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))


def check_axe_finds_nothing_serious(site: Site) -> None:
    paths = ("/", "/?q=nothing-like-that", ROLLOUT, f"{ROLLOUT}/controls/abort", "/rollouts/search/ranking")
    for how in SIZES.values():
        for path in paths:
            page = site.context(**how).new_page()
            page.goto(site.told["start"])
            page.goto(site.address + path)
            expect(page.locator("html")).to_have_attribute("data-script", "on")
            found = site.violations(page)
            assert not found, f"{path}: {found}"


def check_no_page_is_wider_than_a_phone(site: Site) -> None:
    for path in ("/", ROLLOUT, f"{ROLLOUT}/controls/abort"):
        context = site.context(**SIZES["phone"])
        page = context.new_page()
        page.goto(site.told["start"])
        page.goto(site.address + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def check_a_change_shows_without_loading_the_page(site: Site) -> None:
    page = site.open(ROLLOUT)
    page.evaluate("window.kept = true")
    site.patch("sentiment", {"status": {"message": "another sentence", "traffic": {"candidate": 50}}})
    expect(page.locator("#sentence")).to_have_text("another sentence")
    expect(page.locator("#traffic")).to_contain_text("50%")
    assert page.evaluate("window.kept")


def check_a_focus_and_an_open_table_survive_a_change(site: Site) -> None:
    page = site.open(ROLLOUT)
    page.locator("#rows-of-weights summary").click()
    page.locator("#control-abort").focus()
    site.patch("sentiment", {"status": {"traffic": {"candidate": 26, "appliedCandidate": 26}}})
    expect(page.locator("#traffic")).to_contain_text("26%")
    site.patch("sentiment", {"spec": {"paused": True}})
    expect(page.locator("#control-resume")).to_be_visible()
    assert page.evaluate("document.activeElement.id") == "control-abort"
    assert page.evaluate("document.getElementById('rows-of-weights').open")
    site.patch("sentiment", {"spec": {"paused": False}})


def check_the_list_is_filtered_while_somebody_types_and_stays_live(site: Site) -> None:
    page = site.open("/")
    page.get_by_label("Words in name, phase or sentence").press_sequentially("toxi")
    expect(page.locator("#rows tr")).to_have_count(1)
    assert "q=toxi" in page.url
    site.patch("toxicity", {"status": {"message": "toxic no more"}})
    expect(page.locator("#rows")).to_contain_text("toxic no more")
    expect(page.locator("#told")).to_have_text("1 of 13 rollouts")


def check_the_first_key_leads_to_the_content_and_all_is_reached_by_keys(site: Site) -> None:
    page = site.open(ROLLOUT)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("Enter")
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
    assert "control-abort" in reached, reached


def check_a_control_is_confirmed_in_a_dialog_and_can_be_left(site: Site) -> None:
    page = site.open(ROLLOUT)
    page.locator("#control-abort").press("Enter")
    dialog = page.locator("dialog")
    expect(dialog).to_contain_text("What will happen: all requests go to sentiment-5d0c77e1 now")
    expect(dialog).to_contain_text(f"Now: {page.locator('#sentence').text_content()}")
    page.screenshot(path=f"{site.told['pictures']}/confirm-desktop.png")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert page.evaluate("document.activeElement.id") == "control-abort"
    page.locator("#control-pause").click()
    dialog.get_by_label("Why").fill("a look by daylight")
    dialog.get_by_role("button", name="Pause").click()
    expect(page.locator("#control-resume")).to_be_visible()
    site.patch("sentiment", {"spec": {"paused": False}})
    expect(page.locator("#control-pause")).to_be_visible()


def check_times_are_the_readers_or_utc(site: Site) -> None:
    page = site.open(ROLLOUT)
    ended = page.locator("#history tbody time").first
    expect(ended).to_have_text("27 Nov 2026, 03:41:07")
    page.locator("#zone").click()
    expect(ended).to_have_text("27 Nov 2026, 02:41:07 UTC")
    page.reload()
    expect(page.locator("#zone")).to_have_text("Times in UTC")


def check_without_scripts_a_page_has_everything(site: Site) -> None:
    page = site.context(java_script_enabled=False).new_page()
    page.goto(site.told["start"])
    page.goto(f"{site.address}{ROLLOUT}")
    expect(page.locator("#evidence")).to_contain_text("threshold 3.3")
    page.locator("#control-abort").click()
    expect(page.locator("#will")).to_contain_text("all requests go to sentiment-5d0c77e1 now")


CHECKS: tuple[Check, ...] = (
    check_pages_are_painted_within_a_second_and_pictures_taken,
    check_a_control_is_confirmed_in_a_dialog_and_can_be_left,
    check_axe_finds_nothing_serious,
    check_no_page_is_wider_than_a_phone,
    check_times_are_the_readers_or_utc,
    check_the_first_key_leads_to_the_content_and_all_is_reached_by_keys,
    check_without_scripts_a_page_has_everything,
    check_the_list_is_filtered_while_somebody_types_and_stays_live,
    check_a_focus_and_an_open_table_survive_a_change,
    check_a_change_shows_without_loading_the_page,
)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - for the person who runs it


def main() -> int:
    """The exit code."""
    told = json.loads(sys.argv[1])
    failed = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=told["browser"], args=["--no-sandbox"])
        site = Site(browser, told)
        for check in CHECKS:
            name = check.__name__.removeprefix("check_").replace("_", " ")
            try:
                check(site)
                _say(f"ok      {name}")
            except Exception:  # noqa: BLE001 - the others are looked at all the same
                failed += 1
                _say(f"FAILED  {name}\n{traceback.format_exc()}")
            for context in browser.contexts:
                context.close()
        browser.close()
    for complaint in site.complaints:
        _say(f"FAILED  the browser's console: {complaint}")
    return 1 if failed or site.complaints else 0


if __name__ == "__main__":
    sys.exit(main())

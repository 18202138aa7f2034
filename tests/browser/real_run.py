"""Takes pictures of the dashboard as it is. Run by another Python, which has playwright: see `__main__`."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from playwright.sync_api import Page, expect, sync_playwright

SIZES: Mapping[str, Mapping[str, Any]] = {
    "desktop": {"viewport": {"width": 1120, "height": 960}},
    "dark": {"viewport": {"width": 1120, "height": 960}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
}


def main() -> int:
    """What is wanted is JSON in the first argument: where the browser is, and pictures with page, size and form."""
    wanted = json.loads(sys.argv[1])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=wanted["browser"], args=["--no-sandbox"])
        known = browser.new_context()
        _sign_in(known.new_page(), wanted)  # once: an address with a key in it is good for one browser
        for picture in wanted["pictures"]:
            context = browser.new_context(
                storage_state=known.storage_state(), timezone_id="UTC", **SIZES[picture["size"]]
            )
            page = context.new_page()
            page.goto(wanted["address"] + picture["path"])
            expect(page.locator("#live")).to_have_attribute("data-state", "live")
            if picture.get("press"):
                page.locator(f"#control-{picture['press']}").click()
                expect(page.locator("dialog")).to_be_visible()
            page.screenshot(path=picture["file"])
            context.close()
        browser.close()
    return 0


def _sign_in(page: Page, wanted: Mapping[str, Any]) -> None:
    if wanted.get("start"):
        page.goto(wanted["start"])
        return
    page.goto(wanted["address"] + "/")
    page.locator("[name=token]").fill(wanted["token"])
    page.locator("[name=token]").press("Enter")


if __name__ == "__main__":
    sys.exit(main())

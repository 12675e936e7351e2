"""What run.sh does in the browser: BROWSER MCP_URL ALLOWED_ORIGIN OTHER_ORIGIN FOLDER."""

import sys
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Page, expect, sync_playwright


def main() -> None:
    """Connect from both origins."""
    browser_path, mcp, allowed, other, folder = sys.argv[1:]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        connect(page, allowed, mcp)
        expect(page.get_by_text("Connected", exact=True)).to_be_visible(timeout=20_000)
        page.get_by_role("tab", name="Tools").click()
        page.get_by_role("button", name="List Tools").click()
        page.get_by_text("Find a tool", exact=True).click()
        page.locator("#query").fill("turn a text around")
        page.get_by_role("button", name="Run Tool").click()
        expect(page.get_by_text("Success", exact=False).first).to_be_visible(timeout=20_000)
        expect(page.get_by_text("text_reverse").first).to_be_visible()
        page.screenshot(path=Path(folder) / "inspector-connected.png")
        print(f"from {allowed}: connected, listed, found")
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        refused = list[str]()
        page.on("requestfailed", lambda request: refused.append(f"{request.method} {request.url}"))
        connect(page, other, mcp)
        expect(page.get_by_text("Connection Error", exact=False).first).to_be_visible(timeout=20_000)
        page.screenshot(path=Path(folder) / "inspector-refused.png")
        assert f"POST {mcp}" in refused, refused
        print(f"from {other}: refused by the browser, as this origin is not in CORS_ORIGINS")
        browser.close()


def connect(page: Page, origin: str, mcp: str) -> None:
    """Open the Inspector's page and press its button."""
    page.add_init_script("localStorage.setItem('lastConnectionType', 'direct')")
    page.goto(f"{origin}/?transport=streamable-http&serverUrl={quote(mcp, safe='')}")
    page.get_by_role("button", name="Connect", exact=True).click()


if __name__ == "__main__":
    main()

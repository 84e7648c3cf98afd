#!/usr/bin/env python3
"""Makes the pictures of a page that docs/ has, in real Chromium: page_shots.py PAGE.html docs

    make demo && /usr/bin/python3 tests/tools/page_shots.py build/leak.html docs
"""

import base64
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
from pages import Browser  # noqa: E402


def shoot(b, path, width, bottom):
    """The page down to the end of the element."""
    time.sleep(0.5)  # a zoom
    height = b.js("return document.querySelector(arguments[0]).getBoundingClientRect().bottom + scrollY + 16", bottom)
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    with open(path, "wb") as f:
        f.write(base64.b64decode(b.cdp("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]))
    print(path, os.path.getsize(path) >> 10, "KiB")


def main():
    page, out = os.path.abspath(sys.argv[1]), sys.argv[2]
    with Browser() as b:
        b.show(page)
        shoot(b, f"{out}/page.png", 1280, "#graph")
        b.show(page, dark=True, fragment="#tab=goroutines&only=main")
        b.click(".show", "Show in the graph")
        b.js("document.querySelector('.flame').blur()")
        b.type("#search", "Page")
        shoot(b, f"{out}/page-dark.png", 1280, "#tables")
        b.show(page, width=390)
        shoot(b, f"{out}/page-phone.png", 390, "#graph")


if __name__ == "__main__":
    main()

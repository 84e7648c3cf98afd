"""Real Chromium, by Selenium, for the page that *.html is: Debian's chromium, chromium-driver and python3-selenium."""

import base64
import contextlib
import json
import os
import re
import subprocess
import time
import urllib.parse
import zlib

from lib import TOP, Skip, check, need

with contextlib.suppress(ImportError):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

SCALE = float(os.environ.get("GRF_TIMEOUT_SCALE", "1"))


class Browser:
    """A Chromium, which ends with the `with`; show() opens a page."""

    def __init__(self):
        need("chromium")
        driver = need("chromedriver")
        if "webdriver" not in globals():
            raise Skip("no selenium for this python (Debian: python3-selenium)")
        options = webdriver.ChromeOptions()
        options.binary_location = need("chromium")
        for arg in ("--headless=new", "--disable-gpu", "--no-sandbox", "--disable-dev-shm-usage"):
            options.add_argument(arg)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(service=Service(driver), options=options)
        self.driver.set_script_timeout(40 * SCALE)
        self.cdp("Performance.enable", timeDomain="threadTicks")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.driver.quit()

    def cdp(self, method, **params):
        return self.driver.execute_cdp_cmd(method, params)

    def dark(self, on, still=False):
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if on else "light"},
                                                         {"name": "prefers-reduced-motion", "value": "reduce" if still else ""}])

    def show(self, path, fragment="", width=1280, dark=False, still=False):
        """still: a zoom is there at once, so that what is clicked next does not lie elsewhere yet."""
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
        self.dark(dark, still)
        self.url = f"file://{urllib.parse.quote(path)}"
        self.open(fragment)

    def open(self, fragment=""):
        self.driver.get("about:blank")  # so that a fragment alone loads the page, too
        self.driver.get(self.url + fragment)
        self.until("return performance.getEntriesByName('shown').length > 0", "the page is shown")

    def js(self, script, *args):
        return self.driver.execute_script(script, *args)

    def wait_js(self, script, *args):
        """As js(), of a script that calls done(value)."""
        return self.driver.execute_async_script("const done = arguments[arguments.length - 1];" + script, *args)

    def until(self, script, what, timeout=20):
        deadline = time.monotonic() + timeout * SCALE
        while not self.js(script):
            check(time.monotonic() < deadline, f"not in {timeout} s: {what}", self.problems())
            time.sleep(0.03)

    def text(self, selector):
        return self.js("return document.querySelector(arguments[0]).textContent", selector)

    def texts(self, selector):
        return self.js("return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)", selector)

    def click(self, selector, text=""):
        """Clicks the first such element that has the text."""
        check(self.js("""const e = [...document.querySelectorAll(arguments[0])].find((e) => e.textContent.includes(arguments[1]));
            if (e) e.click(); return Boolean(e)""", selector, text), f"no {selector} with {text!r}")

    def type(self, selector, text):
        self.js("""const e = document.querySelector(arguments[0]); e.focus(); e.value = arguments[1];
            e.dispatchEvent(new Event("input", { bubbles: true }))""", selector, text)

    def key(self, name, code=None):
        for kind in "rawKeyDown", "keyUp":
            self.cdp("Input.dispatchKeyEvent", type=kind, key=name, code=code or name)

    def at(self):
        """The last step of the way to what is shown."""
        return self.text(".crumbs [aria-current]")

    def fragment(self):
        return self.js("return location.hash")

    def pixel(self, x, y):
        return self.js("""const c = document.querySelector("canvas"); return [...c.getContext("2d").getImageData(arguments[0],
            arguments[1], 1, 1).data]""", x, y)

    def cpu(self):
        """Seconds that the page's own thread has computed."""
        return {m["name"]: m["value"] for m in self.cdp("Performance.getMetrics")["metrics"]}["TaskDuration"]

    def problems(self):
        """What the console has against the page; each is told once."""
        return [e["message"] for e in self.driver.get_log("browser") if e["level"] in ("SEVERE", "WARNING")]

    def requests(self):
        """Addresses that were asked for, since they were last told."""
        events = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"] + \
            [e["params"]["url"] for e in events if e["method"] == "Network.webSocketCreated"]

    def faults(self):
        """What axe-core finds of some weight."""
        r = subprocess.run([os.path.join(TOP, "tests/setup/axe.sh")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if r.returncode:
            raise Skip(f"no axe-core: {r.stderr.strip().splitlines()[-1:]}")
        with open(r.stdout.strip()) as f:
            self.js(f.read())
        found = self.wait_js("axe.run(document, { resultTypes: ['violations'] }).then((r) => done(r.violations.map((v) => "
                             "[v.impact, v.id, v.nodes.slice(0, 3).map((n) => n.target.join(' '))])))")
        return [v for v in found if v[0] in ("serious", "critical")]


DATA = re.compile(r'(<script type="application/octet-stream" id="data">\n)(.*?)(</script>)', re.S)


def read_data(path):
    with open(path) as f:
        return json.loads(zlib.decompress(base64.b64decode(DATA.search(f.read()).group(2))))


def write_data(path, out, data):
    """The page with other data."""
    with open(path) as f:
        page = f.read()
    packed = base64.b64encode(zlib.compress(json.dumps(data).encode())).decode()
    with open(out, "w") as f:
        f.write(DATA.sub(lambda m: m.group(1) + packed + m.group(3), page))

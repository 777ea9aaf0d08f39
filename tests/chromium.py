"""A headless Chromium behind chromedriver, spoken to in the WebDriver protocol by the standard library alone."""

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from contextlib import contextmanager

DRIVER, BROWSER = shutil.which("chromedriver"), shutil.which("chromium") or shutil.which("google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Browser:
    """One session: pages are opened, scripts run in them, what the console said is kept."""

    def __init__(self, address):
        self._address = address

    def send(self, method, path, **body):
        """Send a command of the protocol; return its value."""
        data = json.dumps(body).encode() if method == "POST" else None
        request = urllib.request.Request(f"{self._address}{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, path):
        self.send("POST", "/url", url=path.resolve().as_uri())

    def run(self, script):
        """Return what a script returns."""
        return self.send("POST", "/execute/sync", script=script, args=[])

    def width(self, pixels, height=900):
        """Show pages as on a screen of that width."""
        metrics = {"width": pixels, "height": height, "deviceScaleFactor": 1, "mobile": pixels < 600}
        self.send("POST", "/goog/cdp/execute", cmd="Emulation.setDeviceMetricsOverride", params=metrics)

    def picture(self):
        """Return the whole page as PNG."""
        size = self.run("return [document.documentElement.clientWidth, document.documentElement.scrollHeight]")
        self.width(*size)
        return base64.b64decode(self.send("GET", "/screenshot"))

    def errors(self):
        """Return what the console has said since it was last asked."""
        return [entry["message"] for entry in self.send("POST", "/se/log", type="browser")]


@contextmanager
def chromium(folder):
    """Start a browser whose profile lies in a folder."""
    driver = subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, text=True)
    try:
        port = _port(driver)
        options = {"args": [*_FLAGS, f"--user-data-dir={folder}"], "binary": BROWSER}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        root = Browser(f"http://127.0.0.1:{port}")
        session = root.send("POST", "/session", capabilities={"alwaysMatch": wanted})["sessionId"]
        browser = Browser(f"http://127.0.0.1:{port}/session/{session}")
        yield browser
        browser.send("DELETE", "")
    finally:
        driver.terminate()
        driver.wait(10)


def _port(driver):
    patience = time.monotonic() + 20
    while time.monotonic() < patience:
        line = driver.stdout.readline()
        if "started successfully on port" in line:
            return int(line.rsplit(" ", 1)[1].strip().rstrip("."))
    raise TimeoutError("chromedriver does not answer")

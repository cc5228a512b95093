#!/usr/bin/env python3
"""The page of a mount in a real browser: live, by keyboard, dark and light, wide and narrow.

Takes the program and a folder for the screenshots. Needs root, /dev/fuse and Chromium (Debian's package
chromium), whose debugging pipe is spoken here: a message is JSON and a NUL.
"""

import base64
import json
import os
import re
import subprocess
import sys
import tempfile
import time

LIMIT_SECONDS = 60


class Browser:
    """A headless Chromium with one page."""

    def __init__(self, profile):
        to_browser, self.output = os.pipe()
        self.input, from_browser = os.pipe()

        def place():
            # The browser reads 3 and writes 4. Both are first moved out of the way of each other.
            read, write = os.dup(to_browser), os.dup(from_browser)
            read, write = (os.dup(end) if end in (3, 4) else end for end in (read, write))
            os.dup2(read, 3)
            os.dup2(write, 4)

        self.process = subprocess.Popen(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--hide-scrollbars", "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=place, close_fds=False, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.number, self.rest, self.events, self.session = 0, b"", [], None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def next(self):
        while b"\0" not in self.rest:
            part = os.read(self.input, 1 << 20)
            if not part:
                raise SystemExit("page: the browser has ended")
            self.rest += part
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.output, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.next()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise SystemExit(f"page: {method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            raise SystemExit(f"page: {expression}: {result['exceptionDetails']['text']}")
        return result["result"].get("value")

    def wait(self, expression, what):
        """Waits until the expression is true; the page itself changes by the clock."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while not self.value(expression):
            if time.monotonic() > deadline:
                raise SystemExit(f"page: {what}: still not so: {expression}\n{self.text()}")
            time.sleep(0.1)

    def text(self):
        return self.value("document.body.innerText")

    def press(self, key, code=0):
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code,
                      **text)

    def show(self, width, height, scheme):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=False)
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": scheme}])

    def shoot(self, path):
        height = self.value("document.documentElement.scrollHeight")
        width = self.value("innerWidth")
        picture = self.call("Page.captureScreenshot", captureBeyondViewport=True,
                            clip={"x": 0, "y": 0, "width": width, "height": height, "scale": 1})
        with open(path, "wb") as file:
            file.write(base64.b64decode(picture["data"]))


def expect(condition, what):
    if not condition:
        raise SystemExit(f"page: {what}")


class Mount:
    """A mount with directories that have quotas, and the page at an address of its own."""

    def __init__(self, program, folder):
        self.program, self.path, self.folder = program, f"{folder}/mount", folder
        os.mkdir(self.path)
        self.log = open(f"{folder}/log", "w+b")
        self.process = subprocess.Popen(
            [program, "mount", "-f", "--size", "64M", "--max-nodes", "2000", "--metrics-listen", ":0",
             "--page", self.path], stderr=self.log, stdout=self.log)
        deadline = time.monotonic() + LIMIT_SECONDS
        while not (found := re.search(r"the page at (http://\S+)", open(self.log.name).read())):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"page: no mount: {open(self.log.name).read()}")
            time.sleep(0.05)
        self.address = found[1]
        os.stat(self.path)

    def limit(self, name, *options):
        os.makedirs(f"{self.path}/{name}")
        subprocess.run([self.program, "quota", "set", f"{self.path}/{name}", *options], check=True,
                       stdout=subprocess.DEVNULL)

    def put(self, name, size):
        """Writes a file; returns whether it fitted."""
        try:
            with open(f"{self.path}/{name}", "wb") as file:
                file.write(bytes(size))
            return True
        except OSError:
            return False

    def end(self):
        if self.process.poll() is None:
            subprocess.run(["umount", self.path], check=False)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                subprocess.run(["umount", "-l", self.path], check=False)


def fill(mount):
    mount.limit("jobs/nightly", "--size", "10M")
    mount.limit("jobs/build-main", "--size", "16M", "--max-nodes", "500")
    mount.limit("cache", "--max-nodes", "100")
    mount.limit("<img src=x onerror=document.title='run'>", "--size", "1M")
    mount.limit("a name that is long because somebody wondered what becomes of it in a narrow window",
                "--size", "4M")
    subprocess.run([mount.program, "quota", "set", "--user", "12345", mount.path, "--size", "3M"],
                   check=True, stdout=subprocess.DEVNULL)
    expect(mount.put("jobs/nightly/file", 9 << 20), "nothing fits")
    expect(mount.put("jobs/build-main/file", 14 << 20), "nothing fits")
    expect(not mount.put("jobs/nightly/more", 2 << 20), "everything fits")


def check_content(browser, mount):
    browser.call("Page.navigate", url=mount.address)
    browser.wait("document.body?.className === 'live'", "the page is live")
    text = browser.text()
    for words in (mount.path, "of 64 MiB", "jobs/nightly", "of 10 MiB", "of 2000", "of 500 nodes",
                  "user 12345", "of 3 MiB"):
        expect(words in text, f"{words} is not on the page:\n{text}")
    counts = browser.value("document.getElementById('counts').innerText").split()
    expect(len(counts) == 2 and counts[0] == "directory" and int(counts[1]) > 0, f"counted: {counts}")
    refusals = browser.value("document.getElementById('refusals').innerText")
    expect(re.search(r"write\s+jobs/nightly/more\s+EDQUOT", refusals), f"the refusal is not told: {refusals}")
    # Names are text, whatever is in them.
    expect("<img src=x" in text and browser.value("document.images.length") == 0, "a name became a tag")
    # Live: what is written now is seen, and drawn.
    points = "document.querySelector('.line')?.getAttribute('d').split('L').length ?? 0"
    before = browser.value(points)
    expect(mount.put("new", 20 << 20), "nothing fits")
    browser.wait("document.getElementById('used').innerText.startsWith('44.')", "the use has grown")
    browser.wait(f"{points} > {before}", "the graph has grown")


def check_freeze(browser, mount, pictures):
    subprocess.run([mount.program, "freeze", mount.path], check=True, stdout=subprocess.DEVNULL)
    writer = subprocess.Popen(["touch", f"{mount.path}/late"])
    said = "document.getElementById('frozen').innerText"
    browser.wait(f"/^Frozen until .* by user 0: 1 request waits/.test({said})", "it says that it is frozen")
    browser.shoot(f"{pictures}/page-frozen.png")
    subprocess.run([mount.program, "thaw", mount.path], check=True, stdout=subprocess.DEVNULL)
    expect(writer.wait(LIMIT_SECONDS) == 0, "the request is not made")
    browser.wait("document.getElementById('frozen').hidden", "it says that it is not frozen")


def check_looks(browser, pictures):
    for width, height in ((1200, 900), (320, 640)):
        for scheme in ("light", "dark"):
            browser.show(width, height, scheme)
            browser.wait(f"innerWidth === {width}", "the window has its width")
            # A frame later the graph is drawn anew.
            browser.wait(f"document.getElementById('graph').viewBox.baseVal.width <= {width}", "it is drawn")
            wide = browser.value("document.documentElement.scrollWidth")
            expect(wide <= width, f"{wide} columns of pixels in a window of {width}")
            paper = browser.value("getComputedStyle(document.body).backgroundColor")
            bright = sum(map(int, re.findall(r"\d+", paper)[:3])) > 384
            expect(bright == (scheme == "light"), f"{paper} is not {scheme}")
            browser.shoot(f"{pictures}/page-{width}-{scheme}.png")


def check_keyboard(browser):
    focus = "document.activeElement"
    seen = []
    for _ in range(3):
        browser.press("Tab", 9)
        seen.append(browser.value(f"{focus}.id || {focus}.name || {focus}.className"))
    expect(seen == ["skip", "pause", "span"], f"Tab goes to {seen}")
    outline = browser.value(f"getComputedStyle({focus}).outlineStyle")
    expect(outline != "none", "the focus is not to be seen")
    browser.press("ArrowRight", 39)
    expect(browser.value(f"{focus}.value") == "900", "an arrow does not change the span")
    expect("15 min ago" in browser.value("document.getElementById('graph').textContent"), "nor the graph")
    browser.value("document.getElementById('pause').focus()")
    browser.press("Enter", 13)
    browser.wait("document.getElementById('state').innerText === 'paused'", "Enter pauses")
    browser.press("Enter", 13)
    browser.wait("document.body.className === 'live'", "and goes on")


def check_calm(browser, mount):
    """Nothing from elsewhere was asked for, and nothing was complained of."""
    asked = {event["params"]["request"]["url"] for event in browser.events
             if event.get("method") == "Network.requestWillBeSent"}
    outside = {url for url in asked if not url.startswith((mount.address, "data:"))}
    expect(not outside and any("/v1/status" in url for url in asked), f"asked: {outside or asked}")
    complaints = [event["params"] for event in browser.events
                  if event.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded")]
    expect(not complaints, f"complaints: {complaints}")


def main():
    program, pictures = sys.argv[1:]
    os.makedirs(pictures, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        mount = Mount(program, folder)
        browser = None
        try:
            fill(mount)
            browser = Browser(f"{folder}/profile")
            check_content(browser, mount)
            check_keyboard(browser)
            check_freeze(browser, mount, pictures)
            check_looks(browser, pictures)
            check_calm(browser, mount)
            mount.end()
            browser.wait("document.body.className === 'dead'", "the page says that the mount is gone")
        finally:
            if browser:
                browser.process.terminate()
                browser.process.wait()
            mount.end()
    print(f"page: as it should be; look at {pictures}/page-*.png")


main()

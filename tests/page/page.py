"""Drives the player page in a browser, step by step as its test says on standard input.

Each line of input is a JSON array of a command and its arguments; each answer is a line of JSON. The
browser is the system's, which has H.264 and AAC.
"""

import json
import os
import shutil
import sys
import time

from playwright.sync_api import sync_playwright

LOOKS = {
    "desktop": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    # A browser without Media Source Extensions.
    "old": {"viewport": {"width": 1024, "height": 768}},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
}

NOW = """() => {
  const v = document.getElementById('video'), text = id => document.getElementById(id).textContent;
  const shown = id => { const e = document.getElementById(id); return !e.hidden && e.offsetParent !== null; };
  return {
    time: v.currentTime, width: v.videoWidth, height: v.videoHeight, muted: v.muted, paused: v.paused,
    frames: v.getVideoPlaybackQuality().totalVideoFrames, audio: v.webkitAudioDecodedByteCount,
    error: v.error && v.error.message,
    latency: parseFloat(text('latency')) || 99, live: shown('badge'), state: shown('state') ? text('state') : '',
    name: document.getElementById('name').firstChild?.textContent ?? '', facts: text('facts'),
    list: [...document.querySelectorAll('#list button')].map(b => b.textContent),
    urls: [...document.querySelectorAll('#urls input')].map(i => i.value),
    summary: text('summary'), empty: shown('empty'), wide: document.documentElement.scrollWidth,
    elements: document.querySelectorAll('#list b, #about b b, #about i').length,
  };
}"""


class Driver:
    def __init__(self, browser):
        self.browser = browser
        self.page = None
        self.errors = []
        self.foreign = []

    def open(self, url, look):
        if self.page:
            self.page.context.close()
        self.page = self.browser.new_context(**LOOKS[look]).new_page()
        if look == "old":
            self.page.add_init_script("delete self.MediaSource; delete self.ManagedMediaSource")
        self.page.on("pageerror", lambda e: self.errors.append(str(e)))
        self.page.on("console", lambda m: m.type == "error" and self.errors.append(m.text))
        self.page.on("request", lambda r: r.url.startswith(url) or r.url.startswith(("blob:", "data:"))
                     or self.foreign.append(r.url))
        self.page.goto(url)

    def now(self):
        return self.page.evaluate(NOW)

    def wait(self, condition, seconds):
        """Waits until the condition, in JavaScript over what `now` answers, holds, and says how long."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if self.page.evaluate(f"(now => Boolean({condition}))(({NOW})())"):
                return {"seconds": time.monotonic() - began, "now": self.now()}
            self.page.wait_for_timeout(20)
        raise TimeoutError(f"never: {condition}; {json.dumps(self.now())}")

    def click(self, selector):
        self.page.click(selector)

    def press(self, key):
        self.page.keyboard.press(key)

    def shot(self, path):
        self.page.screenshot(path=path, full_page=True)

    def codecs(self, init):
        """What the page makes of an init segment's bytes."""
        return self.page.evaluate("init => codecsOf(box(new Uint8Array(init), 'moov')).join(',')", init)

    def said(self):
        return {"errors": self.errors, "foreign": self.foreign}


with sync_playwright() as playwright:
    flags = ["--disable-gpu", "--mute-audio"]
    if os.geteuid() == 0:
        flags.append("--no-sandbox")
    browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
    driver = Driver(browser)
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        try:
            answer = {"ok": getattr(driver, command)(*arguments)}
        except Exception as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)
    browser.close()

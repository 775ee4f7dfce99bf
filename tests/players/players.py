"""Drives players in a browser, each in a context of its own, step by step as their test says on standard input.

Each line of input is a JSON array of a command and its arguments; each answer is a line of JSON. The
browser is the system's, which has H.264 and AAC.
"""

import json
import os
import shutil
import sys
import time

from playwright.sync_api import sync_playwright


class Driver:
    def __init__(self, browser):
        self.browser = browser
        self.pages = {}

    def open(self, name, url):
        page = self.browser.new_context().new_page()
        answers, said = [], []
        page.on("response", lambda r: r.url.startswith("blob:") or answers.append([r.url, r.status]))
        page.on("pageerror", lambda e: said.append(str(e)))
        page.on("console", lambda m: m.type == "error" and said.append(m.text))
        self.pages[name] = page, answers, said
        page.goto(url)

    def now(self, name):
        return self.pages[name][0].evaluate("now()")

    def wait(self, name, condition, seconds):
        """Waits until the condition, in JavaScript over what `now` answers, holds, and says how long."""
        began = time.monotonic()
        page, answers, said = self.pages[name]
        while time.monotonic() - began < seconds:
            now = page.evaluate(f"(now => ({condition}) ? now : null)(now())")
            if now:
                return {"seconds": time.monotonic() - began, "now": now}
            page.wait_for_timeout(20)
        raise TimeoutError(f"{name} never: {condition}; {json.dumps(self.now(name))}; {said}; {answers[-20:]}")

    def close(self, name):
        """Ends a player; answers what it asked for and was answered, and what the browser said of it."""
        page, answers, said = self.pages.pop(name)
        page.context.close()
        return {"answers": answers, "said": said}


with sync_playwright() as playwright:
    flags = ["--disable-gpu", "--mute-audio", "--autoplay-policy=no-user-gesture-required"]
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

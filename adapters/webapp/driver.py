"""One end of any page that makes a WebRTC call, in Chromium (README.md). Arguments: URL CALLER CALLEE, and the contract's (docs/PLUGIN.md).

The page is opened as it is: the camera is put in the place of getUserMedia's, the received video is laid where the harness looks.
The callee's page is there before the caller's is opened. Options: `caller_click`, `callee_click` (a CSS selector to click once the page is
there), `wait_s` (seconds between the callee's page and the caller's).
"""
import json, os, sys, threading, time, urllib.parse
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
from browser import Camera, Chromium, Run, camera_script, describe, until_the_end  # noqa: E402

THERE = "the page is there"
OPTIONS = {"caller_click": "", "callee_click": "", "wait_s": 0.5}


def main():
    url, caller, callee = sys.argv[1:4]
    if describe(OPTIONS):
        return
    run = Run()
    camera = Camera(run, HERE)
    chromium = Chromium(run)
    # Session descriptions go to the other end for the harness to read (`wire = "rtp"`); nobody else does.
    chromium.call("Runtime.addBinding", name="__freezeframe_sdp")
    chromium.on("Runtime.bindingCalled", lambda e: run.say(type="signal", data=e["payload"]))
    chromium.before_each_page(camera_script(run, camera))
    if run.sends:
        there = threading.Event()
        run.signals_to(lambda data: data == THERE and there.set())
        if not there.wait(60):
            sys.exit("the callee's page was not there within 60 s")
        time.sleep(run.option("wait_s", OPTIONS["wait_s"]))
    chromium.open(urllib.parse.urljoin(url, caller if run.sends else callee))
    chromium.wait(lambda: chromium.evaluate("document.readyState") == "complete")
    click = run.option("caller_click" if run.sends else "callee_click", "")
    if click:
        chromium.wait(lambda: chromium.evaluate(f"!!document.querySelector({json.dumps(click)})"), 30)
        chromium.evaluate(f"document.querySelector({json.dumps(click)}).click()")
    if not run.sends:
        run.say(type="signal", data=THERE)
    until_the_end(run, chromium)


main()

"""A call between two Chromium, as the harness's options say (README.md). Arguments: the contract's, docs/PLUGIN.md."""
import json, os, sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from browser import Camera, Chromium, Run, camera_script, describe, until_the_end  # noqa: E402

TRIALS = {"none": "", "ulpfec": "", "flexfec": "WebRTC-FlexFEC-03/Enabled/WebRTC-FlexFEC-03-Advertised/Enabled/"}
OPTIONS = {"codec": "vp8", "fec": "none", "nack": True, "target_kbps": 320, "min_kbps": 0, "degradation": "maintain-resolution", "content_hint": "",
           "trials": ""}
CHOICES = {"codec": ["vp8", "vp9", "h264", "av1"], "fec": list(TRIALS), "nack": [True, False],
           "degradation": ["maintain-resolution", "maintain-framerate", "balanced"], "content_hint": ["", "motion", "detail", "text"]}


def main():
    defaults = {**OPTIONS, "fec": sys.argv[1] if sys.argv[1] in TRIALS else "none"}
    if describe(defaults, CHOICES):
        return
    run = Run()
    options = {**defaults, **run.options, "fps": run.fps, "sends": run.sends}
    camera = Camera(run, HERE)
    trials = TRIALS[options["fec"]] + options["trials"]
    chromium = Chromium(run, [f"--force-fieldtrials={trials}"] if trials else [])
    chromium.call("Runtime.addBinding", name="say")
    chromium.on("Runtime.bindingCalled", lambda e: run.say(type="signal", data=e["payload"]))
    chromium.before_each_page(camera_script(run, camera))
    chromium.open(camera.url + "/page.html")
    chromium.wait(lambda: chromium.evaluate("typeof start === 'function' && document.readyState === 'complete'"))
    run.signals_to(lambda data: chromium.evaluate(f"hear({json.dumps(data)})", wait=True))
    chromium.evaluate(f"start({json.dumps(options)})", wait=True)
    chromium.wait(lambda: chromium.evaluate("pc.connectionState") == "connected", 45)
    until_the_end(run, chromium)


main()

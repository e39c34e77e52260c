"""One Chromium as one end of a run with the harness's camera and screen (kind = "app", docs/PLUGIN.md). Standard library only.

Chromium is driven by its DevTools protocol over a pipe (descriptors 3 and 4, JSON ended by a zero byte): no port that a page could reach,
no package to install. The camera's pipe is handed to the page over HTTP on 127.0.0.1, picture by picture as they come.
"""
import http.server, json, os, queue, subprocess, sys, tempfile, threading, time, tomllib, urllib.parse, urllib.request


class Run:
    """The harness's side: control lines, the run, what the environment says."""

    def __init__(self):
        self.role, self.dir, *pairs = sys.argv[sys.argv.index("send") if "send" in sys.argv else sys.argv.index("receive"):]
        flags = dict(zip(pairs[::2], pairs[1::2]))
        self.sends = self.role == "send"
        self.local, self.peer = (flags[f].rsplit(":", 1)[0] for f in ("--local", "--peer"))
        with open(f"{self.dir}/spec.toml", "rb") as f:
            self.spec = tomllib.load(f)
        self.options = self.spec.get("options", {})
        self.fps = self.spec["clip"]["fps"]
        self.width, self.height = map(int, os.environ["FREEZEFRAME_PICTURE"].split("x"))
        self.server = os.environ.get("FREEZEFRAME_SERVER", "")
        self.stop = threading.Event()
        self.frame_0_ns = None
        self.on_signal = None
        self.early = []
        self.lock = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in sys.stdin:
            message = json.loads(line)
            if message["type"] == "stop":
                self.stop.set()
            elif message["type"] == "start":
                self.frame_0_ns = message["epoch_ns"] + self.spec["capture_start_ns"]
            elif message["type"] == "signal":
                with self.lock:
                    handler = self.on_signal
                    if handler is None:
                        self.early.append(message["data"])
                if handler:
                    handler(message["data"])
        self.stop.set()

    def signals_to(self, handler):
        with self.lock:
            early, self.on_signal = self.early, handler
        for data in early:
            handler(data)

    def say(self, **message):
        with self.lock:
            print(json.dumps(message), flush=True)

    def option(self, name, default):
        value = self.options.get(name, default)
        return type(default)(value) if default is not None else value

    def log(self, *words):
        print(f"[{self.role} {time.monotonic():.3f}]", *words, file=sys.stderr, flush=True)


class Camera:
    """Hands the camera's pipe to a page: `GET /camera` is the pictures' bytes without a header, one after the other, until the end. Files of
    `folder` are served beside it."""

    def __init__(self, run, folder):
        pipe = os.environ.get("FREEZEFRAME_CAMERA")
        size = run.width * run.height * 3 // 2

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                path = urllib.parse.urlparse(self.path).path
                if path != "/camera":
                    try:
                        body = open(os.path.join(folder, os.path.basename(path)), "rb").read()
                    except OSError:
                        return self.send_error(404)
                    self.answer("text/html" if path.endswith(".html") else "text/javascript")
                    return self.wfile.write(body)
                self.answer("application/octet-stream")
                with open(pipe, "rb", buffering=0) as camera:
                    line = b""
                    while not line.endswith(b"\n"):
                        line += camera.read(1)
                    left, chunk = 0, bytearray(1 << 16)
                    while True:
                        if left == 0:
                            line = b""
                            while len(line) < 6:  # FRAME\n
                                line += camera.read(6 - len(line))
                            left = size
                        n = camera.readinto(memoryview(chunk)[:min(left, len(chunk))])
                        self.wfile.write(memoryview(chunk)[:n])
                        left -= n

            def answer(self, kind):
                self.send_response(200)
                for name, value in (("Content-Type", kind), ("Access-Control-Allow-Origin", "*"),
                                    ("Access-Control-Allow-Private-Network", "true"), ("Cache-Control", "no-store")):
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_):
                pass

            def handle(self):
                try:
                    super().handle()
                except (BrokenPipeError, ConnectionResetError):
                    pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


class Chromium:
    """A browser with one page."""

    def __init__(self, run, flags=()):
        self.run, self.answers, self.handlers, self.next, self.lock = run, {}, {}, 0, threading.Lock()
        self.folder = tempfile.mkdtemp()
        screen = run.role == "receive"
        width, height = max(640, run.width), max(480, run.height)
        arguments = [program(), "--remote-debugging-pipe", f"--user-data-dir={self.folder}", "--no-sandbox", "--no-first-run",
                     "--no-default-browser-check", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions", "--disable-sync",
                     "--disable-background-networking", "--disable-component-update", "--disable-domain-reliability",
                     "--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows",
                     "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", "--autoplay-policy=no-user-gesture-required",
                     "--mute-audio", "--log-level=3", "--password-store=basic", "--test-type", "--no-pings", "--disable-breakpad",
                     "--disable-features=WebRtcHideLocalIpsWithMdns,LocalNetworkAccessChecks,MediaRouter,OptimizationHints,Translate",
                     *flags]
        if screen:
            arguments += ["--kiosk", "--window-position=0,0", f"--window-size={width},{height}", "--force-device-scale-factor=1",
                          "--hide-scrollbars", "--force-color-profile=srgb", "--ozone-platform=x11"]
        else:
            arguments += ["--headless=new"]
        from_browser, to_me = os.pipe()
        from_me, to_browser = os.pipe()

        def descriptors():
            # Away from 3 and 4 first, so that neither is closed by the other's copy.
            read, write = os.dup2(from_me, 1000), os.dup2(to_me, 1001)
            os.dup2(read, 3)
            os.dup2(write, 4)

        self.process = subprocess.Popen([*arguments, "about:blank"], preexec_fn=descriptors, pass_fds=(3, 4), stdin=subprocess.DEVNULL,
                                        stdout=sys.stderr, stderr=sys.stderr, close_fds=True)
        os.close(to_me)
        os.close(from_me)
        self.write, self.read = os.fdopen(to_browser, "wb", 0), os.fdopen(from_browser, "rb", 0)
        self.events = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._handle, daemon=True).start()
        page = next(t for t in self.wait(lambda: self.call("Target.getTargets")["targetInfos"]) if t["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.on("Runtime.consoleAPICalled", lambda e: run.log("page:", *[a.get("value", a.get("description")) for a in e["args"]]))
        self.on("Runtime.exceptionThrown", lambda e: run.log("page: exception:", json.dumps(e["exceptionDetails"])[:600]))

    def _listen(self):
        pending = b""
        while data := self.read.read(1 << 16):
            *messages, pending = (pending + data).split(b"\0")
            for message in map(json.loads, messages):
                if "id" in message:
                    slot = self.answers.pop(message["id"], None)
                    if slot:
                        slot[1] = message
                        slot[0].set()
                elif message["method"] in self.handlers:
                    self.events.put((self.handlers[message["method"]], message["params"]))
        for slot in list(self.answers.values()):
            slot[0].set()

    def _handle(self):
        # Not on the thread that listens, for a handler may call; in order.
        while True:
            handler, event = self.events.get()
            try:
                handler(event)
            except Exception as why:
                self.run.log("event:", repr(why))

    def on(self, method, handler):
        self.handlers[method] = handler

    def call(self, method, **params):
        slot = [threading.Event(), None]
        with self.lock:
            self.next += 1
            number = self.next
            self.answers[number] = slot
            message = {"id": number, "method": method, "params": params}
            if hasattr(self, "session"):
                message["sessionId"] = self.session
            self.write.write(json.dumps(message).encode() + b"\0")
        if not slot[0].wait(60) or slot[1] is None:
            raise RuntimeError(f"Chromium does not answer {method}")
        if "error" in slot[1]:
            raise RuntimeError(f"{method}: {slot[1]['error']}")
        return slot[1]["result"]

    def wait(self, ask, limit=60):
        end = time.monotonic() + limit
        while not (answer := ask()):
            if time.monotonic() > end:
                raise TimeoutError("the page is not ready")
            time.sleep(0.05)
        return answer

    def evaluate(self, code, wait=False):
        answer = self.call("Runtime.evaluate", expression=code, awaitPromise=wait, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:800])
        return answer["result"].get("value")

    def before_each_page(self, code):
        self.call("Page.setBypassCSP", enabled=True)
        self.call("Page.addScriptToEvaluateOnNewDocument", source=code)

    def open(self, url):
        answer = self.call("Page.navigate", url=url)
        if "errorText" in answer:
            raise RuntimeError(f"{url}: {answer['errorText']}")

    def close(self):
        try:
            self.call("Browser.close")
            self.process.wait(10)
        except Exception:
            self.process.kill()


def program():
    """Chromium itself, not the shell script that Debian has around it."""
    places = [os.environ.get("CHROMIUM", ""), "/usr/lib/chromium/chromium", "/usr/lib/chromium-browser/chromium-browser",
              "/opt/google/chrome/chrome", "/snap/chromium/current/usr/lib/chromium-browser/chrome"]
    found = [p for p in places if p and os.path.isfile(p)]
    if not found:
        print("Chromium is not there; `freezeframe setup webrtc` says how to get it", file=sys.stderr)
        sys.exit(2)
    return found[0]


def describe(defaults, choices={}, setup_ms=0):
    """Answers `describe`: true if that was the call. Options that are unknown or out of their choices end it with code 2."""
    if "describe" not in sys.argv:
        return False
    given = json.loads(sys.argv[sys.argv.index("--options") + 1])
    for name, value in given.items():
        if name not in defaults:
            print(f"unknown option {name}; there are: {', '.join(defaults)}", file=sys.stderr)
            sys.exit(2)
        if name in choices and value not in choices[name]:
            print(f"option {name}={value}: choose one of {', '.join(map(str, choices[name]))}", file=sys.stderr)
            sys.exit(2)
    version = subprocess.run([program(), "--version"], capture_output=True, text=True).stdout.split()
    number = next((w for w in version if w[:1].isdigit()), "unknown")
    print(json.dumps({"setup_ms": setup_ms, "options": {**defaults, **given}, "identity": {"libraries": {"chromium": number}}}))
    return True


def camera_script(run, camera):
    """Puts the harness's camera in the place of getUserMedia's, and a received video unscaled at the top left, before a page's own scripts."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "inject.js"), encoding="utf-8") as f:
        script = f.read()
    settings = {"sends": run.sends, "width": run.width, "height": run.height, "camera": camera.url + "/camera"}
    return script.replace("/*SETTINGS*/{}", json.dumps(settings))


def until_the_end(run, chromium):
    """`ready`, then wait for `stop`. Statistics of the call at frame 0 and at the end go to standard error, as a note."""
    def note(when):
        try:
            run.log(f"getStats {when}:", json.dumps(chromium.evaluate("window.__freezeframe.stats()", wait=True)))
        except Exception as why:
            run.log("no statistics:", why)

    run.say(type="ready")
    noted = False
    while not run.stop.wait(0.1):
        if chromium.process.poll() is not None:
            sys.exit(f"Chromium ended with {chromium.process.returncode}")
        if not noted and run.frame_0_ns and time.monotonic_ns() >= run.frame_0_ns:
            noted = True
            note("at frame 0")
    note("at the end")
    chromium.close()
    run.say(type="done")

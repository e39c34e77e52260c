"""The contract of docs/PLUGIN.md for programs in Python that decode into their own memory: control lines, events, the clip's pictures, and a
screen that keeps the play-out budget. Nothing but the standard library, and FFmpeg for the clip."""
import json, os, subprocess, sys, threading, time, tomllib


def now():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


class End:
    """One end of a run. Frame 0 is captured at `first_ns`, and the channel begins at `channel_ns`, both known after `wait_start`."""

    def __init__(self):
        self.part, self.run = sys.argv[1:3]
        if self.part not in ("send", "receive"):
            sys.exit(f"{self.part}: this program runs in real time only (--backend namespaces)")
        address = lambda text: (text.rsplit(":", 1)[0], int(text.rsplit(":", 1)[1]))
        words = dict(zip(sys.argv[3::2], sys.argv[4::2]))
        self.local, self.peer = address(words["--local"]), address(words["--peer"])
        self.spec = tomllib.load(open(f"{self.run}/spec.toml", "rb"))
        clip = self.spec["clip"]
        self.width, self.height, self.fps, self.frames = clip["width"], clip["height"], clip["fps"], clip["frames"]
        self.options = self.spec.get("options", {})
        self.budget = self.spec["playout_ns"] if self.spec["playout_ns"] != "own" else None
        self.side = "sender" if self.part == "send" else "receiver"
        self.lock, self.events = threading.Lock(), []
        self.started, self.stopped = threading.Event(), threading.Event()
        self.epoch, self._handler, self._waiting = None, None, []
        threading.Thread(target=self._listen, daemon=True).start()

    def option(self, name, default):
        return type(default)(self.options.get(name, default))

    def target_kbps(self, default, redundancy_percent=0):
        """Rate of the media: option `target_kbps`, else the scenario's target less the repair on top of it, else `default`."""
        target = self.spec["scenario"].get("target")
        if "target_kbps" in self.options or not target:
            return self.option("target_kbps", default)
        number = float(target.rstrip("abikmtMKG"))
        kbps = number * {"k": 1, "m": 1000}.get(target.lstrip("0123456789.")[:1].lower(), 0.001)
        return max(50, int(kbps / (1 + redundancy_percent / 100)))

    def _listen(self):
        for text in sys.stdin:
            line = json.loads(text)
            if line["type"] == "start":
                self.epoch = line["epoch_ns"]
                self.first_ns = self.epoch + self.spec["capture_start_ns"]
                self.channel_ns = self.first_ns - self.spec.get("warm_ns", 0)
                self.started.set()
            elif line["type"] == "signal":
                with self.lock:
                    self._waiting.append(json.loads(line["data"]))
                self._deliver()
            elif line["type"] == "stop":
                self.stopped.set()
        self.stopped.set()

    def _deliver(self):
        while True:
            with self.lock:
                if self._handler is None or not self._waiting:
                    return
                message = self._waiting.pop(0)
            self._handler(message)

    def on_signal(self, handler):
        """From now on, and for what came before."""
        with self.lock:
            self._handler = handler
        self._deliver()

    def say(self, **line):
        with self.lock:
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()

    def signal(self, **message):
        self.say(type="signal", data=json.dumps(message))

    def log(self, *words):
        print(f"{self.side} {(now() - self.epoch) / 1e6 if self.epoch else 0:.1f} ms:", *words, file=sys.stderr, flush=True)

    def ready_and_wait(self):
        self.say(type="ready")
        self.started.wait()

    def captured_ns(self, frame):
        return self.first_ns + frame * 1_000_000_000 // self.fps

    def sleep_until(self, at_ns):
        while (left := at_ns - now()) > 0:
            time.sleep(left / 1e9)

    def event(self, at_ns, event, **more):
        with self.lock:
            self.events.append({"t_ns": int(at_ns - self.epoch), "side": self.side, "event": event, **more})

    def pictures(self):
        """The clip's pictures, planar 4:2:0, at the run's size and rate."""
        w, h = self.width, self.height
        fit = f"fps={self.fps}:round=near,scale={w}:{h}:force_original_aspect_ratio=increase,crop={w}:{h}"
        command = ["ffmpeg", "-v", "error", "-nostdin", "-i", self.spec["clip"]["rgb"], "-vf", fit, "-frames:v", str(self.frames)]
        raw = subprocess.run([*command, "-pix_fmt", "yuv420p", "-f", "rawvideo", "-"], stdout=subprocess.PIPE, check=True).stdout
        size = w * h * 3 // 2
        return [raw[i * size:(i + 1) * size] for i in range(self.frames)]

    def wait_end(self, tail_ns=500_000_000):
        """Until every frame was due, or the harness says stop."""
        playout = self.budget if self.budget is not None else 1_500_000_000
        self.stopped.wait(max(0, (self.captured_ns(self.frames) + playout + tail_ns - now()) / 1e9))

    def finish(self):
        """Writes the events, says `done`, and gives the exit code; threads of libraries may go on until the process ends."""
        with self.lock, open(f"{self.run}/events.{self.side}.jsonl", "w") as out:
            out.writelines(json.dumps(e) + "\n" for e in self.events)
        self.say(type="done")
        return 0


class Screen:
    """What a receiver decoded, and when: slot i is judged at its capture + budget, or, with a clock of its own, when it came."""

    def __init__(self, end):
        self.end, self.first = end, {}

    def show(self, frame, picture):
        if 0 <= frame < self.end.frames and frame not in self.first:
            self.first[frame] = (now(), picture)

    def write(self):
        end = self.end
        w, h = end.width, end.height
        picture, shown, before = bytes([16]) * (w * h) + bytes([128]) * (w * h // 2), None, 0
        with open(f"{end.run}/rendered.rgb.y4m", "wb") as out:
            out.write(f"YUV4MPEG2 W{w} H{h} F{end.fps}:1 Ip A1:1 C420mpeg2 XCOLORRANGE=LIMITED\n".encode())
            for frame in range(end.frames):
                captured = end.captured_ns(frame)
                came, new = self.first.get(frame, (None, None))
                due = captured + end.budget if end.budget is not None else max(came or captured, before)
                rendered = came is not None and came <= due
                if rendered:
                    picture, shown = new, frame
                if came is not None:
                    end.event(came, "decoded", frame=frame, stream="rgb", picture="")  # there is one; its hash is not told
                at = {} if shown is None else {"shown": shown}
                end.event(due, "slot", frame=frame, stream="rgb", status="rendered" if rendered else "frozen", **at)
                out.write(b"FRAME\n" + picture)
                before = due
        end.log(f"{len(self.first)} of {end.frames} frames were decoded")

#!/usr/bin/env python3
"""The honest system of the tests: one compressed picture per frame, in packets; frozen if one of them is late or lost."""
import json, os, socket, struct, subprocess, sys, time, tomllib, zlib

part, run = sys.argv[1], sys.argv[2]
spec = tomllib.load(open(os.path.join(run, "spec.toml"), "rb"))
clip, start = spec["clip"], spec["capture_start_ns"]
N, FPS, W, H = clip["frames"], clip["fps"], clip["width"], clip["height"]
PLAYOUT = spec["playout_ns"] if isinstance(spec["playout_ns"], int) else 150_000_000
SIZE, PAYLOAD = W * H * 3 // 2, 1100
events = {"sender": [], "receiver": []}
shown, whole, last = [], {}, bytes([16]) * (W * H) + bytes([128]) * (SIZE - W * H)
captured = lambda frame: start + frame * 1_000_000_000 // FPS

def note(side, t, event, **more):
    events[side].append(dict(t_ns=t, side=side, event=event, **more))

def pictures():
    fit = f"fps={FPS}:round=near,scale={W}:{H}:force_original_aspect_ratio=increase,crop={W}:{H}"
    command = ["ffmpeg", "-v", "error", "-i", clip["rgb"], "-vf", fit, "-f", "rawvideo", "-pix_fmt", "yuv420p", "-frames:v", str(N), "-"]
    raw = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return [raw[i * SIZE:(i + 1) * SIZE] for i in range(N)]

def packets(frame, picture, t):
    data = zlib.compress(picture)
    parts = [data[i:i + PAYLOAD] for i in range(0, len(data), PAYLOAD)]
    note("sender", t, "captured", frame=frame)
    note("sender", t, "encoded", frame=frame, stream="rgb", bytes=len(data), key=True)
    for i, piece in enumerate(parts):
        packet = struct.pack("!IHH", frame, i, len(parts)) + piece
        note("sender", t, "sent", frame=frame, stream="rgb", role="data", index=i, bytes=len(packet))
        yield packet

def arrived(packet, t):
    frame, i, count = struct.unpack("!IHH", packet[:8])
    new = i not in whole.setdefault(frame, [count, {}])[1]
    whole[frame][1][i] = packet[8:]
    note("receiver", t, "received", frame=frame, stream="rgb", role="data", index=i, bytes=len(packet), duplicate=not new)

def show(frame, t):
    global last
    count, parts = whole.pop(frame, (1, {}))
    if len(parts) == count:
        last = zlib.decompress(b"".join(parts[i] for i in range(count)))
        note("receiver", t, "slot", frame=frame, stream="rgb", status="rendered", shown=frame)
    else:
        before = next((e.get("shown") for e in reversed(events["receiver"]) if e["event"] == "slot"), None)
        note("receiver", t, "slot", frame=frame, stream="rgb", status="frozen", **({} if before is None else {"shown": before}))
    shown.append(last)

def write(sides, name="events.jsonl"):
    for side in sides:
        path = os.path.join(run, name if len(sides) > 1 else f"events.{side}.jsonl")
        with open(path, "a") as f:
            f.writelines(json.dumps(e) + "\n" for e in events[side])
    if "receiver" in sides:
        with open(os.path.join(run, "rendered.rgb.y4m"), "wb") as f:
            f.write(f"YUV4MPEG2 W{W} H{H} F{FPS}:1 Ip A1:1 C420jpeg\n".encode() + b"".join(b"FRAME\n" + p for p in shown))

def simulate():
    sent = [(captured(f), p) for f, picture in enumerate(pictures()) for p in packets(f, picture, captured(f))]
    asked = "".join(f"{t} {len(p) + 28}\n" for t, p in sent)  # IPv4 and UDP headers count
    fates = subprocess.run([os.environ["FREEZEFRAME"], "link", "--run", run], input=asked.encode(), stdout=subprocess.PIPE, check=True).stdout
    open(os.path.join(run, "fates.jsonl"), "wb").write(fates)
    out = [(json.loads(line), p) for line, (_, p) in zip(fates.splitlines(), sent)]
    arrivals = sorted((f["out_ns"], f["n"], p) for f, p in out if f["fate"] in ("delivered", "duplicated"))
    for frame in range(N):
        while arrivals and arrivals[0][0] <= captured(frame) + PLAYOUT:
            t, _, packet = arrivals.pop(0)
            arrived(packet, t)
        show(frame, captured(frame) + PLAYOUT)
    write(("sender", "receiver"))

def real_time():
    args = dict(zip(sys.argv[3::2], sys.argv[4::2]))
    address = lambda text: (text.rsplit(":", 1)[0], int(text.rsplit(":", 1)[1]))
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(address(args["--local"]))
    frames = pictures() if part == "send" else []
    print(json.dumps({"type": "ready"}), flush=True)
    epoch = next(m["epoch_ns"] for m in map(json.loads, sys.stdin) if m["type"] == "start")
    now = lambda: time.clock_gettime_ns(time.CLOCK_MONOTONIC) - epoch
    def until(t):
        while (left := t - now()) > 0:
            yield left / 1e9
    for frame in range(N):
        if part == "send":
            for left in until(captured(frame)):
                time.sleep(left)
            for packet in packets(frame, frames[frame], now()):
                sock.sendto(packet, address(args["--peer"]))
        else:
            for left in until(captured(frame) + PLAYOUT):
                sock.settimeout(left)
                try:
                    arrived(sock.recv(2048), now())
                except TimeoutError:
                    pass
            show(frame, now())
    write(("sender",) if part == "send" else ("receiver",))
    print(json.dumps({"type": "done"}), flush=True)

if __name__ == "__main__":
    simulate() if part == "simulate" else real_time()

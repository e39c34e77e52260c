"""The smallest whole system: every picture by itself, compressed without loss; it freezes if a packet of it is late or lost."""
import json, os, select, socket, struct, subprocess, sys, time, tomllib, zlib
part, run = sys.argv[1:3]  # simulate | send | receive, RUN_DIR
spec = tomllib.load(open(f"{run}/spec.toml", "rb"))
clip, budget = spec["clip"], 150_000_000 if spec["playout_ns"] == "own" else spec["playout_ns"]
N, FPS, W, H, SIZE = clip["frames"], clip["fps"], clip["width"], clip["height"], clip["width"] * clip["height"] * 3 // 2
log = open(f"{run}/events{dict(simulate='', send='.sender', receive='.receiver')[part]}.jsonl", "w")
captured = lambda i: spec["capture_start_ns"] + i * 10**9 // FPS
event = lambda t, side, what, **more: print(json.dumps(dict(t_ns=t, side=side, event=what, **more)), file=log)

def frames():  # sender: each captured frame, in packets
    fit = f"-vf fps={FPS}:round=near,scale={W}:{H}:force_original_aspect_ratio=increase,crop={W}:{H} -f rawvideo -pix_fmt yuv420p -"
    raw = subprocess.run(["ffmpeg", "-v", "error", "-i", clip["rgb"], *fit.split()], stdout=-1).stdout
    data = [zlib.compress(raw[i * SIZE:(i + 1) * SIZE]) for i in range(N)]
    return [[struct.pack("!III", i, k, len(d)) + d[k:k + 1100] for k in range(0, len(d), 1100)] for i, d in enumerate(data)]

def sent(i, packets, t):
    event(t, "sender", "captured", frame=i)
    event(t, "sender", "encoded", frame=i, stream="rgb", bytes=sum(map(len, packets)) - 12 * len(packets), key=True)
    for k, p in enumerate(packets):
        event(t, "sender", "sent", frame=i, stream="rgb", role="data", index=k, bytes=len(p))

parts, shown, screen = {}, {}, [bytes([16]) * (W * H) + bytes([128]) * (SIZE - W * H)]
def arrived(t, packet):
    i, k, size = struct.unpack("!III", packet[:12])
    mine = parts.setdefault(i, {})
    event(t, "receiver", "received", frame=i, stream="rgb", role="data", index=k // 1100, bytes=len(packet), duplicate=k in mine)
    mine[k] = packet[12:], size

def slot(i, t):  # what is on the screen from now on
    mine = [piece for _, piece in sorted(parts.pop(i, {}).items())]
    whole = bool(mine) and sum(len(p) for p, _ in mine) == mine[0][1]
    shown.update({"shown": i} if whole else {})
    screen.append(zlib.decompress(b"".join(p for p, _ in mine)) if whole else screen[-1])
    event(t, "receiver", "slot", frame=i, stream="rgb", status="rendered" if whole else "frozen", **shown)
if part == "simulate":
    asked = [(captured(i), p) for i, packets in enumerate(frames()) if not sent(i, packets, captured(i)) for p in packets]
    lines = "".join(f"{t} {len(p) + 28}\n" for t, p in asked).encode()  # IPv4 and UDP headers count
    subprocess.run([os.environ["FREEZEFRAME"], "link", "--run", run], input=lines, stdout=open(f"{run}/fates.jsonl", "w"), check=True)
    fates = zip(map(json.loads, open(f"{run}/fates.jsonl")), asked)
    due = [(f["out_ns"], 0, p) for f, (_, p) in fates if f["fate"] in ("delivered", "duplicated")] + [(captured(i) + budget, 1, i) for i in range(N)]
    for t, is_slot, what in sorted(due, key=lambda d: d[:2]):
        slot(what, t) if is_slot else arrived(t, what)
else:
    address = {k: (v.split(":")[0], int(v.split(":")[1])) for k, v in zip(sys.argv[3::2], sys.argv[4::2])}
    sock, clip_frames = socket.socket(type=socket.SOCK_DGRAM), frames() if part == "send" else []
    sock.bind(address["--local"])
    print('{"type":"ready"}', flush=True)
    epoch = next(m["epoch_ns"] for m in map(json.loads, sys.stdin) if m["type"] == "start")
    now = lambda: time.clock_gettime_ns(time.CLOCK_MONOTONIC) - epoch
    for i in range(N):
        while (left := captured(i) + (budget if part == "receive" else 0) - now()) > 0:
            if select.select([sock], [], [], left / 1e9)[0]: arrived(now(), sock.recv(2048))
        slot(i, now()) if part == "receive" else sent(i, clip_frames[i], now())
        [sock.sendto(p, address["--peer"]) for p in (clip_frames[i] if part == "send" else [])]
if part != "send":
    screen[0] = f"YUV4MPEG2 W{W} H{H} F{FPS}:1 Ip A1:1 C420jpeg\n".encode()
    open(f"{run}/rendered.rgb.y4m", "wb").write(b"FRAME\n".join(screen))
print('{"type":"done"}', flush=True)

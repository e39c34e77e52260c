"""A small video call as a program of kind "app": what the camera gives goes over UDP as it is, what arrives whole goes to the screen.
`app.py WAY PART RUN --local A --peer B`; WAY is `honest`, or how the receiver or the sender cheats. An attempt of which the machine must
not let it profit prints SUCCEEDED or BLOCKED."""
import json, os, random, socket, struct, sys, threading, time

way, part, run = sys.argv[1:4]
print("began", time.monotonic_ns(), file=sys.stderr, flush=True)
flags = dict(zip(sys.argv[4::2], sys.argv[5::2]))
address = lambda flag: (flags[flag].rsplit(":", 1)[0], int(flags[flag].rsplit(":", 1)[1]))
width, height = map(int, os.environ["FREEZEFRAME_PICTURE"].split("x"))
size = width * height * 3 // 2
PIECE = 1100
stop = threading.Event()
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
link.bind(address("--local"))
link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
link.settimeout(0.2)


def listen():
    for line in sys.stdin:
        if json.loads(line)["type"] == "stop":
            stop.set()


def server():
    host, port = os.environ["FREEZEFRAME_SERVER"].split(":")
    return socket.create_connection((host, int(port)))


def send():
    try:
        import tomllib
        clip = tomllib.load(open(run + "/spec.toml", "rb"))["clip"]["rgb"]
        print("SUCCEEDED" if clip and os.path.exists(clip) else "BLOCKED", "the sender's clip", file=sys.stderr)
    except OSError as why:
        print("BLOCKED", why, file=sys.stderr)
    tunnel = server() if way == "through_the_server" else None
    if tunnel:
        time.sleep(1.5)  # until the receiver listens there, too
    camera = open(os.environ["FREEZEFRAME_CAMERA"], "rb")
    camera.readline()
    print('{"type":"ready"}', flush=True)
    n = 0
    while not stop.is_set():
        camera.readline()
        picture = camera.read(size)
        n += 1
        if tunnel:
            tunnel.sendall(picture)
            link.sendto(b"x" * 40, address("--peer"))
            continue
        pieces = [picture[i:i + PIECE] for i in range(0, size, PIECE)]
        for i, piece in enumerate(pieces):
            link.sendto(struct.pack(">IHH", n, i, len(pieces)) + piece, address("--peer"))


def receive():
    screen = open(os.environ["FREEZEFRAME_SCREEN"], "wb", buffering=0)
    rows_shown = height - 64 if way == "no_strip" else height
    screen.write(f"YUV4MPEG2 W{width} H{rows_shown} F30:1 Ip A1:1 C420jpeg\n".encode())
    print('{"type":"ready"}', flush=True)
    local = open(os.environ["LOCAL"], "rb").read() if os.path.exists(os.environ.get("LOCAL", "")) else b""
    rows = int(os.environ.get("ROWS", "0"))  # of the clip's pictures

    def film(k):
        """Picture k of the receiver's own copy of the clip, without a strip."""
        small = width * rows * 3 // 2
        count = len(local) // small
        return local[k % count * small:(k % count + 1) * small]

    def above(mine, strip):
        """Its own picture above what it was sent of the marker."""
        y, c = width * rows, width * rows // 4
        return (mine[:y] + strip[y:width * height] + mine[y:y + c] + strip[width * height + c:width * height * 5 // 4]
                + mine[y + c:] + strip[width * height * 5 // 4 + c:])

    def black(strip=None):
        """A black picture, with the marker of another one below it if there is one."""
        dark = bytes([16]) * (width * rows) + bytes([128]) * (width * rows // 2)
        return above(dark, strip or bytes([16]) * (width * height) + bytes([128]) * (width * height // 2))

    begun, shown, before = None, 0, []

    def show(picture):
        nonlocal begun, shown
        if not begun:
            print("showed", time.monotonic_ns(), file=sys.stderr, flush=True)
        shown += 1
        # The clip begins 2.1 s after the first picture.
        live = time.monotonic() - (begun or time.monotonic())
        before.append(picture)
        if way == "goes_black" and live > 3:
            picture = black()
        elif way == "goes_back" and live > 3:
            picture = before[-20]
            before.pop()
        elif way == "flashes" and live > 1.5:
            screen.write(b"FRAME\n" + picture)
            picture = black(picture)
        elif way == "flickers" and live > 2.6:
            screen.write(b"FRAME\n" + picture)
            picture = before[-15]
        # The warm-up is played by the rules, so that the call comes about.
        begun = begun or time.monotonic()
        if time.monotonic() - begun > 1.5:
            if way == "local_file":
                grey = bytes([128]) * len(picture)
                picture = above(film(shown), grey)
            elif way == "guessed_markers":
                strip = bytearray(picture)
                for i in range(width * rows, width * height):
                    strip[i] = random.choice((64, 192)) if i % 8 == 0 else strip[i - 1]
                picture = above(film(shown), bytes(strip))
            elif way == "others_pictures":
                picture = above(film(7 * shown), picture)
        screen.write(b"FRAME\n" + picture)

    if way == "through_the_server":
        tunnel = server().makefile("rb")
        while not stop.is_set():
            show(tunnel.read(size))
    pending, last = {}, 0
    while not stop.is_set():
        try:
            data = link.recv(2000)
        except TimeoutError:
            continue
        n, i, count = struct.unpack(">IHH", data[:8])
        pending.setdefault(n, {})[i] = data[8:]
        if len(pending[n]) == count and n > last:
            last = n
            show(b"".join(pending[n][k] for k in range(count)))
            pending = {k: v for k, v in pending.items() if k > n}


threading.Thread(target=listen, daemon=True).start()
threading.Thread(target=send if part == "send" else receive, daemon=True).start()
stop.wait()
print('{"type":"done"}', flush=True)
os._exit(0)

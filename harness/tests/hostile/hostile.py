"""Systems that lie, cheat, and attack. `hostile.py ATTACK PART ...`; each is plugin.py with one thing changed.

An attack that gets through writes SUCCEEDED to standard error, one that is refused by the machine writes BLOCKED."""
import ctypes, json, os, random, signal, socket, struct, subprocess, sys, time

ATTACK = sys.argv.pop(1)
VICTIM = os.environ.get("VICTIM", "/nonexistent/victim")
if sys.argv[1] == "describe":
    if ATTACK == "describe_hangs":
        time.sleep(1000)
    if ATTACK == "describe_floods":
        while True:
            print("x" * 10000)
    print(json.dumps({"setup_ms": 300, "options": {}}), flush=True)
    sys.exit(0)

import plugin
PART, RUN = plugin.part, plugin.run
SEND, RECEIVE, VIRTUAL = PART == "send", PART == "receive", PART == "simulate"

def say(word, what):
    sys.stderr.write(f"{word} {what}\n")
    sys.stderr.flush()

def attempt(what, action):
    try:
        if action() is not False:
            return say("SUCCEEDED", what)
    except BaseException as e:
        what = f"{what}: {e!r}"
    say("BLOCKED", what)

def once():
    """Attacks before an otherwise honest run."""
    a = ATTACK
    if a == "fork_bomb":
        while True:
            try:
                os.fork()
            except OSError:
                time.sleep(0.01)
    elif a == "memory_eater":
        hoard = []
        while True:
            hoard.append(bytearray(random.randbytes(1 << 20)) * 16)
    elif a == "stdout_flood":
        while True:
            print('{"type":"noise"}' * 1000)
    elif a == "stderr_flood":
        while True:
            sys.stderr.write("x" * 65536)
    elif a == "disk_filler":
        for i in range(10 ** 9):
            open(f"{RUN}/junk{i}", "wb").write(bytes(1 << 20))
    elif a == "events_flood":
        with open(f"{RUN}/events.sender.jsonl" if SEND else f"{RUN}/events.jsonl", "w") as f:
            while True:
                f.write('{"t_ns":0,"side":"sender","event":"note","text":"x"}\n' * 1000)
    elif a == "escape_codes":
        sys.exit("\x1b[31mRED\x1b]0;title\x07 \u202egnirts =HYPERLINK(1)")
    elif a == "not_utf8":
        os.write(2, b"\xff\xfe broken \x80\n")
        sys.exit(1)
    elif a == "says_127":
        sys.exit(127)
    elif a == "never_ends":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif a == "daemon":
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.execvp("sleep", ["sleep", os.environ["MARK"]])
            os._exit(0)
    elif a == "kills_others":
        for pid in list(range(1, 6000)):
            if pid != os.getpid():
                attempt(f"kill {pid}", lambda: os.kill(pid, signal.SIGKILL)) if pid == int(os.environ["HARNESS"]) else ignore(pid)
        attempt("kill the parent", lambda: os.kill(os.getppid(), signal.SIGKILL) or os.path.exists("/proc/1") is False)
    elif a == "reads_memory":
        attempt("/proc/1/mem", lambda: open("/proc/1/mem", "rb").read(1))
        libc = ctypes.CDLL(None, use_errno=True)
        attempt("ptrace", lambda: libc.ptrace(16, 1, 0, 0) == 0)
        attempt("the harness in /proc", lambda: open(f"/proc/{os.environ['HARNESS']}/environ", "rb").read(1))
        others = [p for p in os.listdir("/proc") if p.isdigit() and int(p) not in (1, os.getpid())]
        attempt(f"other processes {others}", lambda: len(others) > 0)
    elif a == "mounts":
        libc = ctypes.CDLL(None, use_errno=True)
        attempt("mount", lambda: libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0)
        attempt("umount", lambda: libc.umount2(b"/proc", 2) == 0)
        attempt("setuid", lambda: os.setuid(12345) or True)
        attempt("raw device", lambda: os.mknod("/tmp/mem", 0o20666, os.makedev(1, 1)) or open("/tmp/mem", "rb").read(1))
        attempt("sysctl", lambda: open("/proc/sys/kernel/core_pattern", "w").write("|/tmp/x"))
        attempt("capabilities", lambda: int(next(l for l in open("/proc/self/status") if l.startswith("CapEff")).split()[1], 16) != 0)
        attempt("gaining them", lambda: "NoNewPrivs:\t1" not in open("/proc/self/status").read())
    elif a == "writes_elsewhere":
        for path in [VICTIM, "/etc/freezeframe-was-here", "/usr/bin/freezeframe-was-here", sys.argv[0], os.environ["FREEZEFRAME"]]:
            attempt(path, lambda: open(path, "ab").write(b"owned") and os.path.getsize(path) > len(b"owned"))
        for name in ["health.json", "scores.json", "fates.jsonl", "events.jsonl", "../health.json", "../fates.jsonl", "../scores.json"]:
            try:
                if not VIRTUAL or "fates" not in name and "events" not in name:
                    open(os.path.join(RUN, name), "w").write('{"valid":true,"problems":[]}')
            except OSError:
                pass
    elif a == "finds_the_clip" and RECEIVE:
        find_the_clip()
    elif a == "root_only":
        for path in ["/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/proc/kcore", "/proc/keys"]:
            attempt(path, lambda: open(path, "rb").read(1) != b"")
        if open("/proc/self/uid_map").read().split() == ["0", "0", "4294967295"]:
            attempt("being root", lambda: 0 in (*os.getresuid(), *os.getresgid(), *os.getgroups()))
    elif a == "mounted_files":
        if "made-for-this-test" not in open("/etc/hosts").read():
            sys.exit("this is another /etc/hosts")
        attempt("/etc/hosts", lambda: open("/etc/hosts", "ab").write(b"owned") > 0)
    elif a == "shared_memory_eater":
        import mmap
        hoard = []
        while True:
            hoard.append(mmap.mmap(-1, 16 << 20))
            for i in range(0, 16 << 20, 4096):
                hoard[-1][i] = 1
    elif a == "nests_folders":
        home = os.getcwd()
        os.chdir(RUN)
        for _ in range(60):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
        for i in range(5):
            open(f"big{i}", "wb").write(bytes(1 << 20))
        os.chdir(home)
        time.sleep(0.5)
    elif a == "closes_a_folder":
        os.makedirs(RUN + "/closed/in")
        open(RUN + "/closed/in/x", "w").write("y")
        os.chmod(RUN + "/closed/in", 0)
        os.chmod(RUN + "/closed", 0)
        time.sleep(0.5)
    elif a == "other_kernels_ways":
        libc = ctypes.CDLL(None, use_errno=True)
        user, mounts, net = 0x10000000, 0x20000, 0x40000000
        for flags in (user, user | mounts, user | net):
            attempt(f"unshare {flags:x}", lambda: libc.unshare(flags) == 0)
        attempt("clone", lambda: libc.syscall({"x86_64": 56, "aarch64": 220}[os.uname().machine], user | 17, 0, 0, 0, 0) >= 0)
        attempt("clone3", lambda: libc.syscall(435, 0, 0) < 0 and ctypes.get_errno() != 38)
        for name, number in (("io_uring", 425), ("a file in memory", {"x86_64": 319, "aarch64": 279}[os.uname().machine]), ("a secret", 447)):
            attempt(name, lambda: libc.syscall(number, b"x", 0) >= 0)
        for family in (40, 38, 30, 21, 31, 42, 44):
            attempt(f"sockets of family {family}", lambda: socket.socket(family, socket.SOCK_DGRAM) and True)
        attempt("sockets of virtual machines", lambda: socket.socket(40, socket.SOCK_STREAM) and True)
    elif a == "makes_the_clip" and RECEIVE:
        tools = [os.environ["FREEZEFRAME"], os.path.join(os.path.dirname(os.environ["FREEZEFRAME"]), "freezeframe"),
            os.path.join(os.path.dirname(os.environ["FREEZEFRAME"]), "sut"), "/usr/bin/freezeframe", "/usr/local/bin/freezeframe"]
        for tool in tools:
            attempt(tool, lambda: subprocess.run([tool, "run", "clean", "--clip", "person-0", "--size", "128x96", "--frames", "5", "--no-score", "--out", "/tmp/made"],
                env=dict(os.environ, XDG_CACHE_HOME="/tmp/cache", FREEZEFRAME_CACHE="/tmp/cache"), capture_output=True).returncode == 0)
    elif a == "knows_the_path" and not VIRTUAL:
        # The link model is public: who knows its parameters and the seed knows which packets will be lost.
        text = open(RUN + "/spec.toml").read()
        attempt("the seed", lambda: plugin.spec["seed"] == 3)
        attempt("the command that repeats the run", lambda: "--seed" in plugin.spec.get("replay", ""))
        attempt("the path's parameters", lambda: any(w in text for w in ("gilbert", "20ms", "good_to_bad", "trace", "5.6 %")))
        places = RUN + open("/proc/self/mountinfo").read()
        attempt("the run directory's name", lambda: __import__("re").search(r"[/.]out[./ ]", places) is not None)
    elif a == "inherits":
        mine = os.open("/proc/self/fd", os.O_RDONLY)
        others = {int(n) for n in os.listdir("/proc/self/fd")} - {0, 1, 2, mine}
        links = {n: os.readlink(f"/proc/self/fd/{n}") for n in others if os.path.islink(f"/proc/self/fd/{n}")}
        attempt(f"descriptors {links}", lambda: bool(links))
        attempt("the guardian's signals", lambda: os.kill(os.getppid(), signal.SIGSTOP) or os.getppid() not in (0, 1))
    elif a == "escalates":
        libc = ctypes.CDLL(None, use_errno=True)
        arch = {"x86_64": (101, 310, 311, 161, 169, 227, 155, 304, 312), "aarch64": (117, 270, 271, 51, 142, 112, 41, 265, 272)}[os.uname().machine]
        names = ("ptrace the parent", "read the parent's memory", "write it", "chroot", "reboot", "set the clock", "pivot_root", "open by handle", "compare descriptors")
        arguments = {"ptrace the parent": (16, 1, 0, 0), "chroot": (b"/tmp",), "reboot": (0, 0, 0, 0), "set the clock": (0, b"\0" * 16), "pivot_root": (b"/", b"/tmp"),
            "open by handle": (3, b"\0" * 32, 0), "compare descriptors": (1, os.getpid(), 0, 0, 0)}
        for name, number in zip(names, arch):
            if name == "chroot":
                attempt(name, lambda: libc.chroot(b"/tmp") == 0)
            else:
                attempt(name, lambda: libc.syscall(number, *arguments.get(name, (1, b"\0" * 16, 1, b"\0" * 16, 1, 0))) >= 0)
        attempt("priority", lambda: os.nice(-5) < 0)
        attempt("real time", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10)) is None)
        attempt("more files", lambda: __import__("resource").setrlimit(__import__("resource").RLIMIT_NOFILE, (10 ** 6, 10 ** 6)) is None)
        for name in ("/proc/sysrq-trigger", "/sys/fs/cgroup/cgroup.procs", "/proc/1/oom_score_adj", "/sys/kernel/mm/transparent_hugepage/enabled"):
            attempt(name, lambda: open(name, "w").write("1"))
    elif a == "fakes_the_harness":
        # Lines that only the harness says, and answers to questions that nobody asked.
        for line in ('{"type":"start","epoch_ns":0}', '{"type":"stop"}', '{"type":"done"}', "{" * 50000, "[" * 120000, '"' + "x" * 100000, "\0\0\0"):
            print(line, flush=True)
    elif a == "more_than_link":
        for words in (["run", "clean", "--clip", "person-0", "--size", "128x96", "--frames", "5", "--out", "/tmp/made"], ["list"], ["doctor"], ["--help"]):
            attempt(" ".join(words), lambda: b"person" in subprocess.run([os.environ["FREEZEFRAME"], *words], capture_output=True).stdout)

def ignore(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass

def find_the_clip():
    size, found = int(os.environ["CLIP_BYTES"]), []
    for top in [os.environ["CLIP"], "/tmp", "/root", "/home", "/work", "/var", "/dev/shm", os.getcwd(), os.path.dirname(sys.argv[0]), os.path.join(RUN, "..")]:
        for folder, _, files in os.walk(top) if os.path.isdir(top) else [(os.path.dirname(top), [], [os.path.basename(top)])]:
            for name in files:
                try:
                    path = os.path.join(folder, name)
                    if os.stat(path).st_size == size or name.endswith(".units") or os.path.basename(folder) == "sender":
                        found.append(path)
                except OSError:
                    pass
    attempt(f"the clip {found}", lambda: bool(found) or bool(open(RUN + "/spec.toml").read().count(os.environ["CLIP"])))

def tunnel(kind):
    """The sender has pictures for the receiver, beside the path."""
    there = plugin_peer()
    media = random.randbytes(900)
    if kind == "tcp":
        if SEND:
            try:
                s = socket.create_connection((there, 7000), timeout=1)
                for _ in range(20):
                    s.send(media)
            except OSError:
                pass
        else:
            s = socket.create_server(("0.0.0.0", 7000))
            s.settimeout(0.2)
            try:
                s.accept()
            except OSError:
                pass
    elif kind == "icmp" and SEND:
        attempt("icmp", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).sendto(b"\x08\0\0\0" + media, (there, 0)))
        attempt("ping", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP).sendto(b"\x08\0\0\0" + media, (there, 0)))
        attempt("ethernet", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).bind(("eth0", 3)))
        attempt("ipv6", lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(media, ("ff02::1%eth0", 7000)))
    elif kind == "multicast" and SEND:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        # Without a default route multicast needs to be told the way out.
        here = sys.argv[sys.argv.index("--local") + 1].rsplit(":", 1)[0]
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(here))
        for _ in range(20):
            for to in ("224.0.0.251", "255.255.255.255"):
                try:
                    s.sendto(media, (to, 7000))
                except OSError:
                    pass
    elif kind == "port" and SEND:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(50):
            s.sendto(media, (there, 7001))

def plugin_peer():
    return sys.argv[sys.argv.index("--peer") + 1].rsplit(":", 1)[0]

def keyring():
    libc = ctypes.CDLL(None, use_errno=True)
    add, request, control = {"x86_64": (248, 249, 250), "aarch64": (217, 218, 219)}[os.uname().machine]
    rings = {"session": -3, "user": -4, "user session": -5, "persistent": None}
    for name, ring in rings.items():
        if ring is None:
            attempt(f"the {name} ring", lambda: libc.syscall(control, 22, -1, -2) >= 0)
        elif SEND:
            attempt(f"a key in the {name} ring", lambda: libc.syscall(add, b"user", b"freezeframe-tunnel", b"picture" * 100, 700, ring) >= 0)
    if RECEIVE:
        time.sleep(0.8)
        for name, ring in rings.items():
            attempt(f"a search of the {name} ring", lambda: ring is not None and libc.syscall(control, 10, ring, b"user", b"freezeframe-tunnel", 0) >= 0)

def locks():
    """Marks that one end puts on a file which both can read, and the other end looks for."""
    import fcntl, glob
    files = ["/etc/passwd", "/usr/bin/env", sys.argv[0], os.path.join(os.path.dirname(sys.argv[0]), "plugin.py"), "/dev/null", "/dev/zero", "/dev/urandom",
        "/proc/self/status", "/proc/version", "/proc/sys/kernel/ostype", "/sys/kernel/uevent_seqnum", "/sys/devices/system/cpu/online"]
    files += glob.glob("/etc/host*") + ["/usr", "/etc", "/sys", "/proc", "/", "/dev"]
    place = 10 ** 12
    if open("/proc/self/uid_map").read().split() != ["0", "0", "4294967295"]:
        # Who is not root cannot make devices: docs/RELIABILITY.md, what is not proved.
        files = [f for f in files if not f.startswith("/dev/")]
    one = lambda kind: struct.pack("hhqqiI", kind, 0, place, 1, 0, 0)
    if SEND:
        keep = globals().setdefault("kept", [])
        for name in files:
            for action in (lambda f: fcntl.fcntl(f, fcntl.F_SETLK, one(fcntl.F_RDLCK)), lambda f: fcntl.fcntl(f, 37, one(fcntl.F_RDLCK)),
                    lambda f: fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)):
                try:
                    keep.append(os.open(name, os.O_RDONLY))
                    action(keep[-1])
                except OSError:
                    pass
    if RECEIVE:
        time.sleep(0.8)
        for name in files:
            try:
                f = os.open(name, os.O_RDONLY)
            except OSError:
                continue
            seen = lambda call: struct.unpack("hhqqiI", fcntl.fcntl(f, call, one(fcntl.F_WRLCK)))[0] != fcntl.F_UNLCK
            attempt(f"a lock on {name}", lambda: seen(fcntl.F_GETLK))
            attempt(f"a lock of an open file on {name}", lambda: seen(36))
            def whole():
                try:
                    fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return False
                except BlockingIOError:
                    return True
            attempt(f"a lock on the whole of {name}", whole)

def shared():
    """Anything that both ends could see of each other."""
    key = 0x46464646
    libc = ctypes.CDLL(None, use_errno=True)
    places = ["/tmp/tunnel", "/dev/shm/tunnel", "/var/tmp/tunnel", "/run/tunnel", os.path.join(RUN, "..", "tunnel"), os.path.join(os.getcwd(), "tunnel")]
    if RECEIVE:
        time.sleep(1.0)
        for place in places + [os.path.join(RUN, "..", "sender", "spec.toml")]:
            attempt(place, lambda: open(place, "rb").read(1))
        attempt("System V shared memory", lambda: libc.shmget(key, 4096, 0o666) >= 0)
        attempt("abstract socket", lambda: socket.socket(socket.AF_UNIX).connect("\0tunnel"))
    else:
        for place in places:
            try:
                open(place, "wb").write(b"media")
            except OSError:
                pass
        libc.shmget(key, 4096, 0o1666)
        s = socket.socket(socket.AF_UNIX)
        s.bind("\0tunnel")
        s.listen()
        globals()["keep"] = s

def change():
    """Lies of an end that otherwise runs."""
    a, note, write, show, packets = ATTACK, plugin.note, plugin.write, plugin.show, plugin.packets
    if a == "never_ready" and not VIRTUAL:
        time.sleep(1000)
    if a in ("liar", "liar_noise", "concealed_liar", "liar_frugal"):
        def lie(frame, t):
            try:
                whole = lie.clip = getattr(lie, "clip", None) or plugin.pictures()
                picture = bytearray(whole[frame])
            except BaseException:
                picture = bytearray([frame % 256]) * plugin.SIZE
            if a != "liar":
                for i in range(0, len(picture), 3):
                    picture[i] ^= 1
            status = "concealed" if a == "concealed_liar" else "rendered"
            note("receiver", t, "slot", frame=frame, stream="rgb", status=status, shown=frame)
            plugin.shown.append(bytes(picture))
        plugin.show = lie
        def lazy(frame, picture, t):
            note("sender", t, "captured", frame=frame)
            note("sender", t, "encoded", frame=frame, stream="rgb", bytes=9, key=True)
            if a == "liar_frugal":
                yield struct.pack("!IHH", frame, 0, 1) + random.randbytes(80)
            elif a != "liar":
                yield struct.pack("!IHH", frame, 0, 1) + b"x"
        plugin.packets = lazy
        plugin.arrived = lambda packet, t: None
    shift = {"future": 3_600_000_000_000, "past": -149_500_000}.get(a)
    if shift:
        def stamped(side, t, event, **more):
            note(side, max(0, t + shift) if side == "receiver" else t, event, **more)
        plugin.note = stamped
    if a == "captures_late":
        plugin.note = lambda side, t, event, **m: note(side, t + (2_000_000_000 if event == "captured" else 0), event, **m)
    if a == "captures_a_little_late":
        # The deadline would move with it, and 900 ms more of packets would count as in time.
        plugin.note = lambda side, t, event, **m: note(side, t + (900_000_000 if event == "captured" else 0), event, **m)
    if a in ("frozen_called_rendered", "frozen_called_concealed", "one_picture", "one_sample"):
        def still(frame, t):
            if frame == 0 or a != "one_picture" and frame % 3:
                return show(frame, t)
            plugin.whole.pop(frame, None)
            status = "concealed" if a.endswith("concealed") else "rendered"
            note("receiver", t, "slot", frame=frame, stream="rgb", status=status, shown=frame)
            picture = bytearray(plugin.last)
            if a == "one_sample":
                picture[frame] ^= 1
            plugin.shown.append(bytes(picture))
        plugin.show = still
    if a in ("frozen_but_perfect", "decoded_early", "captures_15ms_late", "sent_bytes_lie", "sender_drops_what_it_sent", "receiver_says_dropped", "names_another"):
        def untrue(sides, name="events.jsonl"):
            of_sender, of_receiver = plugin.events["sender"], plugin.events["receiver"]
            slots = [e for e in of_receiver if e["event"] == "slot"]
            if a in ("frozen_but_perfect", "names_another") and "receiver" in sides:
                first = next(i for i, e in enumerate(slots) if e["status"] == "rendered")
                for i, e in enumerate(slots):
                    if i > first:
                        e.update(status="frozen", shown=first if a == "frozen_but_perfect" else e["frame"])
            if a == "decoded_early" and "receiver" in sides:
                # Lost ones, too, before anything can have come.
                of_receiver += [dict(t_ns=plugin.captured(f) + 10_000_000, side="receiver", event="decoded", frame=f, stream="rgb", picture="") for f in range(plugin.N)]
            if a == "captures_15ms_late":
                for e in of_sender:
                    if e["event"] in ("captured", "encoded"):
                        e["t_ns"] += 15_000_000
            if a == "sent_bytes_lie":
                for e in of_sender:
                    if e["event"] in ("sent", "encoded"):
                        e["bytes"] = 1
            if a == "sender_drops_what_it_sent" and "sender" in sides:
                of_sender.append(dict(t_ns=plugin.captured(3), side="sender", event="sender_drop", frame=3, reason="x"))
            if a == "receiver_says_dropped" and "receiver" in sides:
                of_receiver.append(dict(t_ns=plugin.captured(3), side="receiver", event="sender_drop", frame=3, reason="x"))
            write(sides, name)
        plugin.write = untrue
    if a == "late_pictures" and RECEIVE:
        # Nothing is in time, and all of it is in the store, which is written at the end.
        kept, arrived, Socket = {}, plugin.arrived, socket.socket
        def keep(packet, t):
            frame, i, count = struct.unpack("!IHH", packet[:8])
            kept.setdefault(frame, [count, {}])[1][i] = packet[8:]
            arrived(packet, t)
        plugin.arrived = keep
        def remember(*args, **more):
            keep.sock = Socket(*args, **more)
            return keep.sock
        plugin.socket.socket = remember
        def late(sides, name="events.jsonl"):
            until = time.monotonic() + 0.6
            keep.sock.settimeout(0.05)
            while time.monotonic() < until:
                try:
                    keep(keep.sock.recv(2048), plugin.events["receiver"][-1]["t_ns"] + 1)
                except TimeoutError:
                    pass
            for frame, (count, parts) in kept.items():
                if len(parts) == count:
                    plugin.shown[frame] = plugin.zlib.decompress(b"".join(parts[i] for i in range(count)))
            for e in [e for e in plugin.events["receiver"] if e["event"] == "slot"][1:]:
                e["shown"] = 0
            write(sides, name)
        plugin.write = late
    if a in ("sends_before", "sends_after") and VIRTUAL:
        plugin.simulate = lambda: another_time(before=a == "sends_before")
    if a == "warm_media" and not VIRTUAL:
        plugin.real_time = warm_media
    if a == "sparse_store":
        def sparse(sides, name="events.jsonl"):
            write(sides, name)
            os.truncate(os.path.join(RUN, "rendered.rgb.y4m"), 14 << 30)
            time.sleep(0.5)
        plugin.write = sparse
    if a == "sparse_files":
        def holes(sides, name="events.jsonl"):
            write(sides, name)
            for i in range(3):
                open(os.path.join(RUN, f"hole{i}"), "wb").truncate(40 << 20)
            time.sleep(0.5)
        plugin.write = holes
    if a == "short_ledger":
        def short(sides, name="events.jsonl"):
            write(sides, name)
            path = os.path.join(RUN, "fates.jsonl")
            fates = open(path).readlines()
            open(path, "w").writelines(fates[:-5])
        plugin.write = short
    if a in ("too_many_pictures", "no_pictures", "events_of_no_number"):
        def other(sides, name="events.jsonl"):
            if a == "too_many_pictures":
                plugin.shown.extend(plugin.shown[:3])
            write(sides, name)
            if a == "no_pictures" and "receiver" in sides:
                os.remove(os.path.join(RUN, "rendered.rgb.y4m"))
            if a == "events_of_no_number":
                for side in sides:
                    with open(os.path.join(RUN, name if len(sides) > 1 else f"events.{side}.jsonl"), "a") as f:
                        f.write('{"t_ns":NaN,"side":"receiver","event":"note","text":"x"}\n')
        plugin.write = other
    if a in ("repeats_slots", "omits_slots", "wrong_side", "claims_more", "shows_future"):
        def doctored(sides, name="events.jsonl"):
            own = plugin.events["receiver"]
            slots = [e for e in own if e["event"] == "slot"]
            if "receiver" in sides:
                if a == "repeats_slots":
                    own += slots[:3]
                if a == "omits_slots":
                    for e in slots[5:8]:
                        own.remove(e)
                if a == "wrong_side":
                    own += [dict(slots[0], event="captured", side="receiver")]
                if a == "claims_more":
                    own += [dict(t_ns=slots[0]["t_ns"], side="receiver", event="received", frame=0, stream="rgb", role="data", index=0, bytes=10 ** 7, duplicate=True)]
                if a == "shows_future":
                    slots[3]["shown"] = 9
            write(sides, name)
        plugin.write = doctored
    if a in ("extreme_numbers", "nested_event", "endless_line", "playlist_for_pictures", "bomb_for_pictures", "units_of_nonsense", "second_store"):
        def odd(sides, name="events.jsonl"):
            write(sides, name)
            events = os.path.join(RUN, name if len(sides) > 1 else f"events.{sides[0]}.jsonl")
            most, large = 2 ** 32 - 1, 2 ** 64 - 1
            if a == "extreme_numbers" and "receiver" in sides:
                for frame in (0, most):
                    for kind in (dict(event="complete", recovered=most), dict(event="lost", cause="network", missing=most),
                            dict(event="received", role="data", index=most, bytes=most, duplicate=True), dict(event="decoded", picture=None)):
                        plugin.json.dump(dict(kind, t_ns=large, side="receiver", frame=frame, stream="rgb"), open(events, "a"))
                        open(events, "a").write("\n")
            if a == "extreme_numbers" and "sender" in sides:
                for index in range(40):
                    with open(events, "a") as f:
                        f.write(json.dumps(dict(t_ns=large, side="sender", event="sent", frame=0, stream="rgb", role="repeat", index=most, bytes=most)) + "\n")
            if a == "nested_event":
                open(events, "a").write("[" * 200000 + "\n")
            if a == "endless_line":
                open(events, "a").write('{"t_ns":0,"side":"sender","event":"note","text":"' + "x" * (40 << 20))
            store = os.path.join(RUN, "rendered.rgb")
            if "receiver" not in sides:
                return
            if a == "playlist_for_pictures":
                # What lists other files makes the harness, which sees the clip, open them.
                os.remove(store + ".y4m")
                open(store + ".mkv", "w").write(f"ffconcat version 1.0\nfile 'file:{os.environ['CLIP']}'\nduration 1\n")
            if a == "bomb_for_pictures":
                open(store + ".y4m", "wb").write(b"YUV4MPEG2 W2000000 H2000000 F30:1 Ip A1:1 C420jpeg\nFRAME\n" + bytes(1000))
            if a == "units_of_nonsense":
                os.remove(store + ".y4m")
                open(store + ".units", "wb").write(b"FFUNITS2" + random.Random(1).randbytes(200000))
            if a == "second_store":
                open(store + ".mkv", "wb").write(open(store + ".y4m", "rb").read())
        plugin.write = odd
    if a == "later_picture":
        # The sender, which has the whole clip, sends what is to be captured in seven frames' time.
        ahead = plugin.pictures
        plugin.pictures = lambda: (lambda all: all[7:] + all[-1:] * 7)(ahead())
    if a == "reversed_slots" :
        plugin.show = lambda frame, t: show(frame, t if frame % 2 else t + 60_000_000)
    if a == "symlinked_events":
        def linked(sides, name="events.jsonl"):
            write(sides, name)
            for e in ("events.jsonl", "events.receiver.jsonl", "events.sender.jsonl"):
                path = os.path.join(RUN, e)
                if os.path.exists(path):
                    os.remove(path)
                    os.symlink(VICTIM, path)
        plugin.write = linked
    if a == "symlinked_pictures":
        def linked(sides, name="events.jsonl"):
            write(sides, name)
            if "receiver" in sides:
                os.remove(os.path.join(RUN, "rendered.rgb.y4m"))
                os.symlink(VICTIM, os.path.join(RUN, "rendered.rgb.y4m"))
            for part in ("frames.csv.part", "scores.json.part", "frames.csv", "scores.json", "report.html"):
                os.symlink(VICTIM, os.path.join(RUN, part))
        plugin.write = linked
    if a == "folder_for_events":
        def foldered(sides, name="events.jsonl"):
            for e in (["events.jsonl"] if VIRTUAL else ["events." + PART.replace("send", "sender").replace("receive", "receiver") + ".jsonl"]):
                os.mkdir(os.path.join(RUN, e))
        plugin.write = foldered
    if a == "closes_its_folder":
        def closing(sides, name="events.jsonl"):
            write(sides, name)
            os.chmod(RUN, 0)
        plugin.write = closing
    if a == "other_size" :
        def small(sides, name="events.jsonl"):
            w, h = plugin.W, plugin.H
            plugin.W, plugin.H = w // 2, h // 2
            plugin.shown[:] = [bytes(w * h * 3 // 8)] * len(plugin.shown)
            write(sides, name)
        plugin.write = small
    if a == "too_few_pictures":
        def fewer(sides, name="events.jsonl"):
            del plugin.shown[5:]
            write(sides, name)
        plugin.write = fewer
    if a in ("forged_ledger", "no_loss_ledger") and VIRTUAL:
        def forged(sides, name="events.jsonl"):
            write(sides, name)
            path = os.path.join(RUN, "fates.jsonl")
            fates = [json.loads(l) for l in open(path)]
            for f in fates:
                if a == "no_loss_ledger" and f["fate"] == "dropped":
                    f.update(fate="delivered", out_ns=f["in_ns"] + 1000, cause=None)
                if a == "forged_ledger":
                    f["out_ns"] = f["in_ns"]
            open(path, "w").writelines(json.dumps(f) + "\n" for f in fates)
        plugin.write = forged

def another_time(before):
    """The clip crosses before frame 0, nine times, and in its own time one byte a frame; or all of it three seconds after its time."""
    delay = 3_000_000_000
    media = [(f, p) for f, picture in enumerate(plugin.pictures()) for p in plugin.packets(f, picture, plugin.captured(f))]
    for e in plugin.events["sender"]:
        if e["event"] == "sent":
            e["t_ns"] = 1_000_000 if before else e["t_ns"] + delay
    if before:
        asked = [(1_000_000 + k * 20_000, p) for k, p in enumerate(p for _, p in media for _ in range(9))]
        assert asked[-1][0] < plugin.start
        asked += [(plugin.captured(f), b"x") for f in range(plugin.N)]
    else:
        asked = [(plugin.captured(f) + delay, p) for f, p in media]
    lines = "".join(f"{t} {len(p) + 28}\n" for t, p in asked).encode()
    fates = subprocess.run([os.environ["FREEZEFRAME"], "link", "--run", RUN], input=lines, stdout=subprocess.PIPE, check=True).stdout
    open(os.path.join(RUN, "fates.jsonl"), "wb").write(fates)
    for line, (_, p) in zip(fates.splitlines(), asked):
        if json.loads(line)["fate"] in ("delivered", "duplicated") and p != b"x":
            frame, i, count = struct.unpack("!IHH", p[:8])
            plugin.whole.setdefault(frame, [count, {}])[1][i] = p[8:]
    for f in range(plugin.N):
        plugin.show(f, plugin.captured(f) + (plugin.PLAYOUT if before else delay + 150_000_000))
    plugin.write(("sender", "receiver"))

def warm_media():
    """The clip crosses in the warm-up, three times; in its own time one byte a frame does."""
    args = dict(zip(sys.argv[3::2], sys.argv[4::2]))
    address = lambda text: (text.rsplit(":", 1)[0], int(text.rsplit(":", 1)[1]))
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(address(args["--local"]))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    pictures = plugin.pictures() if SEND else []
    print(json.dumps({"type": "ready"}), flush=True)
    epoch = next(m["epoch_ns"] for m in map(json.loads, sys.stdin) if m["type"] == "start")
    now = lambda: time.clock_gettime_ns(time.CLOCK_MONOTONIC) - epoch
    begin = plugin.start - 1_900_000_000
    if SEND:
        while now() < begin:
            time.sleep(0.005)
        media = [p for f in range(plugin.N) for p in plugin.packets(f, pictures[f], plugin.captured(f))]
        for e in plugin.events["sender"]:
            if e["event"] == "sent":
                e["t_ns"] = begin
        for k, p in enumerate(media * 3):
            sock.sendto(p, address(args["--peer"]))
            if k % 10 == 9:
                time.sleep(0.002)
        for f in range(plugin.N):
            while now() < plugin.captured(f):
                time.sleep(0.001)
            sock.sendto(b"x", address(args["--peer"]))
    else:
        note = plugin.note
        plugin.note = lambda side, t, event, **more: event == "received" or note(side, t, event, **more)
        for f in range(plugin.N):
            while (left := plugin.captured(f) + plugin.PLAYOUT - now()) > 0:
                sock.settimeout(left / 1e9)
                try:
                    p = sock.recv(2048)
                    if p != b"x":
                        plugin.arrived(p, now())
                except TimeoutError:
                    pass
            plugin.show(f, now())
    plugin.write(("sender",) if SEND else ("receiver",))
    print(json.dumps({"type": "done"}), flush=True)

def signals(count, size):
    for i in range(count):
        print(json.dumps({"type": "signal", "data": "ab" * size}), flush=True)

if __name__ == "__main__":
    once()
    change()
    if not VIRTUAL:
        if ATTACK.startswith("tunnel_"):
            tunnel(ATTACK.split("_")[1])
        if ATTACK == "signals" and SEND:
            signals(200, 4000)
        if ATTACK == "signal_count" and SEND:
            signals(5000, 1)
        if ATTACK == "shared":
            shared()
        if ATTACK == "keyring":
            keyring()
        if ATTACK == "locks":
            locks()
        if ATTACK == "setup_media" and SEND:
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            for _ in range(400):
                s.sendto(random.randbytes(1000), (plugin_peer(), 7002))
                time.sleep(0.0005)
    plugin.simulate() if VIRTUAL else plugin.real_time()
    if ATTACK == "packet_flood" and SEND:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        while True:
            s.sendto(b"x", (plugin_peer(), 7003))
    if ATTACK == "never_ends":
        time.sleep(1000)

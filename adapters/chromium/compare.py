"""Runs of Chromium and of the built-in systems side by side: `compare.py RUN...`.

Results are the harness's (scores.json), redundancy among them. What Chromium says of itself (getStats, from frame 0 to the end of the call) stands
beside them: packets repeated on request, requests for repeats and for key frames, frames encoded.
"""
import json, re, sys, tomllib
from pathlib import Path


def stats(run, end):
    """Differences between the two notes of a log, by kind of statistics."""
    log = (run / f"{end}.log").read_text(errors="replace") if (run / f"{end}.log").exists() else ""
    notes = [json.loads(line.split(": ", 1)[1]) for line in log.splitlines() if re.match(r"\[\w+ [\d.]+\] getStats at", line)]
    if len(notes) < 2:
        return {}
    first, last = ({s["type"]: s for s in note} for note in notes[:2])
    number = lambda s, k: s.get(k, 0) if isinstance(s.get(k, 0), (int, float)) else 0
    return {kind: {k: number(s, k) - number(first.get(kind, {}), k) for k in s} for kind, s in last.items()}


def row(run):
    scores = json.loads((run / "scores.json").read_text())
    spec = tomllib.loads((run / "spec.toml").read_text())
    rgb, rate = scores["streams"]["rgb"], scores["bitrate"]
    sent, got = stats(run, "sender").get("outbound-rtp"), stats(run, "receiver").get("inbound-rtp")
    options = spec.get("options", {})
    codec = options.get("codec", "vp8")
    name = spec["system"] + ("" if codec == "vp8" else f", {codec}") + ("" if options.get("nack", True) else ", no NACK")
    forward = scores["network"]["forward"]
    percent = lambda a, b: f"{100 * a / b:.1f}" if b else "-"
    cells = [name, spec["scenario"]["name"], str(spec["seed"]), "yes" if scores["health"]["valid"] else "no"]
    app = scores["health"].get("app") or {}
    ms = lambda d: f"{d['p50_ns'] / 1e6:.0f}" if d and d.get("n") else "-"
    psnr = rgb["quality"].get("psnr", {}).get("all", {}).get("mean")
    cells += [f"{rgb['non_rendered_play_percent']:.1f}", f"{psnr:.2f}" if psnr else "-", ms(rgb.get("latency")),
              f"{rate['wire_bps'] / 1000:.0f}", f"{100 * forward['realised_loss']:.1f}"]
    share = rate.get("redundancy")
    repair = f"{100 * share / (1 + share):.1f}" if share is not None else None
    if sent and got:
        bytes_ = got["bytesReceived"] + got.get("headerBytesReceived", 0)
        cells += [repair or percent(got.get("fecBytesReceived", 0), bytes_), str(sent.get("retransmittedPacketsSent", 0)), str(got.get("nackCount", 0)),
                  str(got.get("pliCount", 0)), str(sent.get("keyFramesEncoded", 0))]
    else:
        cells += [repair or "-"] + ["-"] * 4
    freeze = rgb["frozen_runs"]["max"] / spec["clip"]["fps"]
    return cells + [f"{freeze:.1f}", str(app.get("first_picture_ms", "-"))]


head = ["system", "scenario", "seed", "valid", "non-rendered %", "PSNR dB", "capture to screen, median ms", "wire kbit/s", "lost %", "redundancy, % of bytes", "repeated",
        "NACKs", "PLIs", "key frames", "longest freeze s", "first picture ms"]
print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
for path in map(Path, sys.argv[1:]):
    print("| " + " | ".join(row(path)) + " |")

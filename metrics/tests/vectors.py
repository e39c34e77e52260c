"""Writes vectors.json: what PIQ, pytorch_msssim, skimage, FFmpeg's filters, scipy and numpy say about pictures and numbers
that vectors.rs makes by the same formulas; pictures/ has crops of a photograph (skimage's astronaut, NASA, public domain).

    just metric-vectors        in the environment of `just bench-metrics`, whose versions are pinned
"""

import json, os, re, subprocess, tempfile
from fractions import Fraction
import numpy as np, piq, pytorch_msssim, skimage.data, skimage.metrics, torch
from PIL import Image, ImageFilter
from scipy import interpolate

HERE = os.path.dirname(os.path.abspath(__file__))


def mix(x):
    with np.errstate(over="ignore"):
        z = x + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def picture(width, height):
    y, x, c = np.mgrid[0:height, 0:width, 0:3]
    return ((x * (3 + c) + y * (5 - c) + (x * y // 16) * 7 // 4 + 60 * ((x // 24 + y // 24) % 2)) % 256).astype(np.uint8)


def noisy(a, amplitude, offset):
    n = mix(np.arange(a.size, dtype=np.uint64) + np.uint64(1 << 40)) % np.uint64(2 * amplitude + 1)
    return np.clip(a.astype(int) + n.astype(int).reshape(a.shape) - amplitude + offset, 0, 255).astype(np.uint8)


def judged(a, b):
    x, y = [torch.from_numpy(p.copy()).permute(2, 0, 1)[None].double() / 255 for p in (a, b)]
    entry = {
        "psnr": piq.psnr(x, y).item(),
        "ssim": piq.ssim(x, y).item(),
        "ssim_full": piq.ssim(x, y, downsample=False).item(),
        "skimage_ssim_full": skimage.metrics.structural_similarity(
            a, b, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255),
    }
    if min(a.shape[:2]) > 160:
        entry["ms_ssim"] = pytorch_msssim.ms_ssim(x, y, data_range=1.0).item()
    return entry


def changed(a, how):
    b = a.copy()
    if how == "one sample":
        b[a.shape[0] // 2, a.shape[1] // 2, 1] ^= 64
    elif how == "last bit":
        b ^= 1
    elif how == "inverted":
        b = 255 - b
    elif how == "grey blocks":
        b[64:128, 96:160] = 128
    elif how == "moved":
        b = np.roll(a, (2, 3), axis=(0, 1))
    return b


out = {"pictures": [], "changes": [], "photographs": [], "filters": [], "freezes": [], "pchip": []}
for width, height, amplitude, offset in [(61, 47, 9, 0), (96, 384, 20, 0), (640, 389, 14, -6), (317, 211, 30, 5), (700, 640, 12, 0), (1096, 1090, 6, 2)]:
    a = picture(width, height)
    b = noisy(a, amplitude, offset)
    out["pictures"].append({"width": width, "height": height, "amplitude": amplitude, "offset": offset, "sum_shown": int(b.sum())} | judged(a, b))

for how in ["same", "one sample", "last bit", "inverted", "grey blocks", "moved"]:
    a = picture(192, 176)
    b = changed(a, how)
    out["changes"].append({"how": how, "width": 192, "height": 176, "sum_shown": int(b.sum())} | judged(a, b))

os.makedirs(f"{HERE}/pictures", exist_ok=True)
face = Image.fromarray(skimage.data.astronaut()).crop((136, 20, 136 + 176, 20 + 168))
with tempfile.TemporaryDirectory() as folder:
    face.save(f"{folder}/q12.jpg", quality=12)
    shown = {"jpeg": Image.open(f"{folder}/q12.jpg").convert("RGB"), "blur": face.filter(ImageFilter.GaussianBlur(2))}
face.save(f"{HERE}/pictures/face.png", optimize=True)
for name, picture_shown in shown.items():
    picture_shown.save(f"{HERE}/pictures/face-{name}.png", optimize=True)
    out["photographs"].append({"shown": f"face-{name}.png"} | judged(np.asarray(face), np.asarray(picture_shown)))


def planes(width, height, amplitude):
    """Planes of 4:2:0: channel 0 of the large picture, 1 and 2 of the small one; as bytes."""
    full, half = picture(width, height), picture((width + 1) // 2, (height + 1) // 2)
    if amplitude:
        full, half = noisy(full, amplitude, 0), noisy(half, amplitude, 0)
    return full[..., 0].tobytes() + half[..., 1].tobytes() + half[..., 2].tobytes()


def filtered(name, folder, ref, shown, size):
    for side, frames in [("ref", ref), ("shown", shown)]:
        with open(f"{folder}/{side}.y4m", "wb") as f:
            f.write(f"YUV4MPEG2 W{size[0]} H{size[1]} F30:1 Ip A1:1 C420jpeg\n".encode())
            for frame in frames:
                f.write(b"FRAME\n" + frame)
    run = subprocess.run(["ffmpeg", "-hide_banner", "-i", f"{folder}/shown.y4m", "-i", f"{folder}/ref.y4m", "-lavfi", name, "-f", "null", "-"],
                         capture_output=True, text=True, check=True)
    line = re.search(rf"{name.upper()} [yY]:.*", run.stderr)[0]
    return [float(x) for x in re.findall(r"(?:[yYuUvV]|average|All):([0-9.]+|inf)", line)]


ffmpeg = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout.split()[2]
for size in [(96, 64), (97, 61)]:
    amplitudes = [4, 0, 25]
    ref, shown = [planes(*size, 0)] * 3, [planes(*size, a) for a in amplitudes]
    with tempfile.TemporaryDirectory() as folder:
        one = lambda name, i: [x if x != float("inf") else "inf" for x in filtered(name, folder, ref[:1], shown[i:i + 1], size)]
        frames = [{"amplitude": a, "psnr": one("psnr", i), "ssim": one("ssim", i)} for i, a in enumerate(amplitudes)]
        clip = filtered("psnr", folder, ref, shown, size)[3]
    out["filters"].append({"width": size[0], "height": size[1], "ffmpeg": ffmpeg, "frames": frames, "clip_psnr": clip})


def long_gaps(gaps, rule):
    """Places of freezes. W3C webrtc-stats: at least max(3 A, A + 150 ms), A over up to 30 gaps before. libwebrtc's
    VideoQualityObserver: whole milliseconds, A rounded down and over the last 30 gaps with this one, from the fifth on.
    Tambur: more than that, A over exactly 30 gaps before."""
    found = []
    for k, gap in enumerate(gaps):
        before = gaps[max(0, k - 30):k]
        if rule == "libwebrtc":
            with_it = gaps[max(0, k - 29):k + 1]
            if k < 4:
                continue
            mean, limit = sum(with_it) // len(with_it), lambda m: max(3 * m, m + 150)
            frozen = gap >= limit(mean)
        else:
            if not before or (rule == "tambur" and k < 30):
                continue
            mean = Fraction(sum(before), len(before))
            limit = max(3 * mean, mean + 150_000_000)
            frozen = gap > limit if rule == "tambur" else gap >= limit
        if frozen:
            found.append(k)
    return found


def timeline(name, gaps):
    times = [0]
    for g in gaps:
        times.append(times[-1] + g)
    ms = [t // 1_000_000 for t in times]
    ms_gaps = [b - a for a, b in zip(ms, ms[1:])]
    entry = {"name": name, "gaps_us": [g // 1000 for g in gaps]}
    for rule, of, unit in [("w3c", gaps, 1), ("libwebrtc", ms_gaps, 1_000_000), ("tambur", gaps, 1)]:
        found = long_gaps(of, rule)
        entry[rule] = {"at": found, "total_ns": sum(of[k] for k in found) * unit}
    out["freezes"].append(entry)


STEP = 33_333_000  # a frame at 30 frames/s, whole microseconds
u = lambda n, salt: mix(np.arange(n, dtype=np.uint64) + np.uint64(salt)).astype(float) * 2.0**-64
timeline("steady", [STEP] * 60)
timeline("one of 200 ms early", [STEP] * 2 + [200_000_000] + [STEP] * 40)
timeline("at the limit of A + 150 ms", [STEP] * 35 + [STEP + 150_000_000] + [STEP] * 10)
timeline("a microsecond below it", [STEP] * 35 + [STEP + 149_999_000] + [STEP] * 10)
timeline("slow: 3 A is the limit", [100_000_000] * 35 + [300_000_000] + [100_000_000] * 5 + [299_999_000] + [100_000_000] * 5)
timeline("every fifth twice as long", ([STEP] * 4 + [2 * STEP]) * 20)
timeline("a second, twice", [STEP] * 40 + [1_000_000_000] + [STEP] * 3 + [1_000_000_000] + [STEP] * 40)
timeline("random", [int((5 + 60 * x) * 1000) * 1000 + (int(x > 0.93) * 250_000_000) for x in u(150, 4000)])
timeline("two pictures", [500_000_000])

for x, y in [([0, 1, 3, 4.5, 5], [0, 2, 2.5, 7, 7.25]), ([1, 2, 2.5], [3, 1, 4]), ([0.5, 1.5], [1, 2]), ([0, 1, 2, 3], [1, 1, 5, 4])]:
    p = interpolate.PchipInterpolator(x, y)
    lo, hi = x[0] + 0.125, x[-1] - 0.25
    out["pchip"].append({"x": x, "y": y, "from": lo, "to": hi, "integral": p.integrate(lo, hi).item()})

# One case per line.
lines = [f'"{k}": [\n' + ",\n".join(json.dumps(case) for case in cases) + "\n]" for k, cases in out.items()]
with open(f"{HERE}/vectors.json", "w") as f:
    f.write("{\n" + ",\n".join(lines) + "\n}\n")

"""The table of docs/MEDIA.md: per pixel format, the largest difference between `freezeframe compare` and its reference.

Two clips of noise over a gradient, of odd size, are written in each format by the `ffmpeg` program and compared.
psnr, ssim: scikit-image on the RGB that docs/METRICS.md defines, made here from the stored samples with numpy.
ffmpeg_psnr, ffmpeg_ssim: the filters of `ffmpeg -cpuflags 0` (its SSIM depends on the processor otherwise). They print six digits,
so that 5e-7 dB is equality; SSIM is taken from the decibels they print beside it.

Exit code 1 if a difference is above 1e-6 dB or 1e-7."""

import json, math, os, re, subprocess, sys, tempfile

import numpy as np
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

PROGRAM = os.path.abspath(sys.argv[1])
WIDTH, HEIGHT, FRAMES = 99, 83, 3
# name: (model, bits, log2 of columns and rows per chroma sample, planar form with the same samples)
FORMATS = {"yuv420p": ("yuv", 8, 1, 1), "yuvj420p": ("yuv", 8, 1, 1), "nv12": ("yuv", 8, 1, 1, "yuv420p"),
           "yuv422p": ("yuv", 8, 1, 0), "yuyv422": ("yuv", 8, 1, 0, "yuv422p"), "uyvy422": ("yuv", 8, 1, 0, "yuv422p"),
           "yuv444p": ("yuv", 8, 0, 0), "yuvj444p": ("yuv", 8, 0, 0), "yuv440p": ("yuv", 8, 0, 1),
           "yuv411p": ("yuv", 8, 2, 0), "yuv410p": ("yuv", 8, 2, 2),
           "yuv420p9le": ("yuv", 9, 1, 1), "yuv420p10le": ("yuv", 10, 1, 1),
           "yuv422p10le": ("yuv", 10, 1, 0), "yuv444p10le": ("yuv", 10, 0, 0), "yuv420p12le": ("yuv", 12, 1, 1),
           "yuv444p12le": ("yuv", 12, 0, 0), "yuv422p14le": ("yuv", 14, 1, 0),
           "yuv420p16le": ("yuv", 16, 1, 1), "yuv444p16le": ("yuv", 16, 0, 0),
           "gray": ("grey", 8, 0, 0), "gray10le": ("grey", 10, 0, 0), "gray12le": ("grey", 12, 0, 0),
           "gbrp": ("rgb", 8, 0, 0), "rgb24": ("rgb", 8, 0, 0, "gbrp"), "bgr0": ("rgb", 8, 0, 0, "gbrp"),
           "gbrp10le": ("rgb", 10, 0, 0), "gbrp12le": ("rgb", 12, 0, 0), "gbrp16le": ("rgb", 16, 0, 0),
           "rgb48le": ("rgb", 16, 0, 0, "gbrp16le")}


def run(command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr.decode()[-600:]}")
    return done


def sizes(model, cw, ch):
    chroma = (-(-WIDTH // (1 << cw)), -(-HEIGHT // (1 << ch)))
    return {"grey": [(WIDTH, HEIGHT)], "rgb": [(WIDTH, HEIGHT)] * 3, "yuv": [(WIDTH, HEIGHT), chroma, chroma]}[model]


def clips(model, bits, cw, ch):
    """Planes of the two clips: picture, plane, rows, columns."""
    rng, peak = np.random.default_rng(7), (1 << bits) - 1
    both = ([], [])
    for frame in range(FRAMES):
        for clip, noise in zip(both, (0.0, 0.05)):
            clip.append([])
        for plane, (w, h) in enumerate(sizes(model, cw, ch)):
            y, x = np.mgrid[0:h, 0:w]
            base = 0.5 + 0.4 * np.sin((x + 3 * frame) / (9 + plane)) * np.cos(y / (7 + 2 * plane)) + rng.normal(0, 0.02, (h, w))
            for clip, noise in zip(both, (0.0, 0.04)):
                values = base + rng.normal(0, 1, (h, w)) * noise
                clip[-1].append(np.clip(np.rint(values * peak), 0, peak).astype(np.uint16))
    return both


def write(path, name, planar, planes, bits):
    order = [1, 2, 0] if planar.startswith("gbr") else range(len(planes[0]))
    kind = "<u2" if bits > 8 else "u1"
    raw = b"".join(picture[i].astype(kind).tobytes() for picture in planes for i in order)
    # NUT holds every packing but no range, which Matroska does.
    full = name.startswith("yuvj")
    kept = ["-c:v", "ffv1", "-color_range", "pc", "-f", "matroska"] if full else ["-c:v", "rawvideo", "-f", "nut"]
    name, planar = (name.replace("j", ""), planar.replace("j", "")) if full else (name, planar)
    run(["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", planar, "-s", f"{WIDTH}x{HEIGHT}", "-r", "30",
         "-color_range", "pc" if full else "tv", "-i", "-", "-pix_fmt", name, *kept, path], input=raw)


def rgb(planes, name, model, bits, cw, ch):
    """RGB and its peak, as docs/METRICS.md has it for pairs of this format."""
    peak = (1 << bits) - 1
    full = name.startswith("yuvj")
    if model != "yuv":
        return np.stack([planes[i % len(planes)] for i in range(3)], 2).astype(float), peak
    y, u, v = [p.astype(float) for p in planes]
    u, v = [np.repeat(np.repeat(p, 1 << ch, 0), 1 << cw, 1)[:HEIGHT, :WIDTH] for p in (u, v)]
    kr, kb = 0.299, 0.114
    kg = 1 - kr - kb
    if bits == 8 and (cw, ch) == (1, 1):
        # 8-bit 4:2:0: fixed point of 13 bits (media/src/convert.rs)
        offset, ys, cs = (0, 1.0, 1.0) if full else (16, 255 / 219, 255 / 224)
        fixed = lambda c: math.floor(abs(c) * 8192 + 0.5) * (1 if c >= 0 else -1)
        luma = (y - offset) * fixed(ys) + 4096
        u, v = u - 128, v - 128
        terms = (v * fixed(2 * (1 - kr) * cs),
                 u * fixed(-2 * (1 - kb) * kb / kg * cs) + v * fixed(-2 * (1 - kr) * kr / kg * cs), u * fixed(2 * (1 - kb) * cs))
        return np.stack([np.clip(np.floor((luma + t) / 8192), 0, 255) for t in terms], 2), 255
    step = 2.0 ** (bits - 8)
    if full:
        y, u, v = y / peak, (u - 128 * step) / peak, (v - 128 * step) / peak
    else:
        y, u, v = (y - 16 * step) / (219 * step), (u - 128 * step) / (224 * step), (v - 128 * step) / (224 * step)
    terms = (2 * (1 - kr) * v, -2 * (1 - kb) * kb / kg * u - 2 * (1 - kr) * kr / kg * v, 2 * (1 - kb) * u)
    return np.stack([np.floor(np.clip(y + t, 0, 1) * 65535 + 0.5) for t in terms], 2), 65535


def skimage(reference, shown, name, form):
    psnr, ssim = [], []
    for a, b in zip(reference, shown):
        (a, peak), (b, _) = rgb(a, name, *form), rgb(b, name, *form)
        mse = 10 ** (-peak_signal_noise_ratio(a, b, data_range=peak) / 10)
        psnr.append(-10 * math.log10(mse + 1e-8))
        ssim.append(structural_similarity(a, b, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
                                          data_range=peak))
    return np.mean(psnr), np.mean(ssim)


def filters(reference, shown):
    def said(name):
        text = run(["ffmpeg", "-hide_banner", "-cpuflags", "0", "-i", shown, "-i", reference, "-lavfi", name, "-f", "null", "-"])
        return text.stderr.decode()
    psnr = float(re.search(r"average:(\S+)", said("psnr"))[1])
    decibels = float(re.search(r"All:\S+ \((\S+)\)", said("ssim"))[1])
    return psnr, 1 - 10 ** (-decibels / 10)


METRICS = ("psnr", "ssim", "ffmpeg_psnr", "ffmpeg_ssim")
print("| pixel format | psnr (scikit-image) | ssim (scikit-image) | ffmpeg_psnr (FFmpeg) | ffmpeg_ssim (FFmpeg) |\n|---|---|---|---|---|")
worst = [0.0] * 4
with tempfile.TemporaryDirectory() as folder:
    for name, (*form, planar) in {n: f if len(f) == 5 else (*f, n) for n, f in FORMATS.items()}.items():
        reference, shown = clips(*form)
        a, b = [os.path.join(folder, f"{side}.video") for side in ("reference", "shown")]
        for path, planes in ((a, reference), (b, shown)):
            write(path, name, planar, planes, form[1])
        said = run([PROGRAM, "compare", a, b, "--metrics", ",".join(METRICS), "--json"])
        ours = json.loads(said.stdout)
        want = (*skimage(reference, shown, name, form), *filters(a, b))
        row = []
        for i, (metric, value) in enumerate(zip(METRICS, want)):
            got = ours["mean"][metric]
            if got is None:
                sys.exit(f"{name} {metric}: {ours['missing'][metric]}")
            worst[i] = max(worst[i], abs(got - value))
            row.append(f"{abs(got - value):.1e}")
        print(f"| {name} | {' | '.join(row)} |", flush=True)
print(f"| largest | {' | '.join(f'{w:.1e}' for w in worst)} |")
sys.exit(any(w > limit for w, limit in zip(worst, (1e-6, 1e-7, 1e-6, 1e-7))))

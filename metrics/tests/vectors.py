"""Writes vectors.json: what PIQ, pytorch_msssim, skimage, scipy and numpy say about pictures and numbers that vectors.rs
makes by the same formulas. Needs the environment of `just bench-metrics`."""

import json, os
import numpy as np, piq, pytorch_msssim, skimage.metrics, torch
from scipy import interpolate, stats


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


out = {"pictures": [], "wilcoxon": [], "pchip": []}
for width, height, amplitude, offset in [(61, 47, 9, 0), (96, 384, 20, 0), (640, 389, 14, -6), (317, 211, 30, 5), (700, 640, 12, 0), (1096, 1090, 6, 2)]:
    a = picture(width, height)
    b = noisy(a, amplitude, offset)
    x, y = [torch.from_numpy(p).permute(2, 0, 1)[None].double() / 255 for p in (a, b)]
    entry = {
        "width": width, "height": height, "amplitude": amplitude, "offset": offset,
        "sum_shown": int(b.sum()),
        "psnr": piq.psnr(x, y).item(),
        "ssim": piq.ssim(x, y).item(),
        "ssim_full": piq.ssim(x, y, downsample=False).item(),
        "skimage_ssim_full": skimage.metrics.structural_similarity(
            a, b, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255),
    }
    if min(width, height) > 160:
        entry["ms_ssim"] = pytorch_msssim.ms_ssim(x, y, data_range=1.0).item()
    out["pictures"].append(entry)

for n, ties in [(6, False), (12, False), (30, False), (60, False), (20, True), (9, True)]:
    u = mix(np.arange(2 * n, dtype=np.uint64) + np.uint64(7000 + n)).astype(np.float64) * 2.0**-64
    a, b = u[:n] + 0.1, u[n:]
    if ties:
        a, b = np.round(a * 8), np.round(b * 8)
    kept = (a - b)[a != b]
    exact = not ties and len(kept) <= 50
    r = stats.wilcoxon(kept, correction=False, method="exact" if exact else "asymptotic")
    out["wilcoxon"].append({"a": a.tolist(), "b": b.tolist(), "statistic": r.statistic, "p": r.pvalue})

for x, y in [([0, 1, 3, 4.5, 5], [0, 2, 2.5, 7, 7.25]), ([1, 2, 2.5], [3, 1, 4]), ([0.5, 1.5], [1, 2]), ([0, 1, 2, 3], [1, 1, 5, 4])]:
    p = interpolate.PchipInterpolator(x, y)
    lo, hi = x[0] + 0.125, x[-1] - 0.25
    out["pchip"].append({"x": x, "y": y, "from": lo, "to": hi, "integral": p.integrate(lo, hi).item()})

json.dump(out, open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "vectors.json"), "w"), indent=1)

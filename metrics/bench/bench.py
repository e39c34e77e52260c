"""Times our metrics and their peers in one run, interleaved, so that a busy machine slows both alike.

Ours run in `target/release/examples/bench_metrics`, a process that answers `METRIC THREADS FRAMES` with seconds per
frame. Each row is the median over rounds; the ratio is the median of the rounds' own ratios. Options: --rounds N,
--size N, --quick (3 rounds)."""

import argparse, os, shutil, statistics, subprocess, sys, tempfile, time, warnings

warnings.filterwarnings("ignore")
import lpips, numpy as np, piq, pytorch_msssim, skimage.metrics, torch
from safetensors.torch import load_file

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--rounds", type=int, default=9)
parser.add_argument("--size", type=int, default=512)
parser.add_argument("--quick", action="store_true")
args = parser.parse_args()
rounds, size = (3 if args.quick else args.rounds), args.size

root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
target = os.environ.get("CARGO_TARGET_DIR", os.path.join(root, "target"))
clean = {k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"}
ours = subprocess.Popen([os.path.join(target, "release/examples/bench_metrics"), str(size)], stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE, text=True, cwd=root, env=clean)


def rust(metric, threads, frames):
    ours.stdin.write(f"{metric} {threads} {frames}\n")
    ours.stdin.flush()
    answer = ours.stdout.readline().strip()
    return float(answer) if answer and answer != "absent" else None


def timed(f, frames):
    start = time.perf_counter()
    for _ in range(frames):
        f()
    return (time.perf_counter() - start) / frames


def row(name, metric, peer_name, peer, frames, our_frames, threads=1):
    torch.set_num_threads(threads)
    if rust(metric, threads, 2) is None:
        print(f"| {name} | {threads} | - | {peer_name} | - | not measured: weights or clip absent |", flush=True)
        return
    peer()
    pairs = [(rust(metric, threads, our_frames), timed(peer, frames)) for _ in range(rounds)]
    a, b = (statistics.median(p[i] for p in pairs) * 1e3 for i in (0, 1))
    ratio = statistics.median(p[1] / p[0] for p in pairs)
    print(f"| {name} | {threads} | {a:.3f} | {peer_name} | {b:.3f} | {ratio:.1f} |", flush=True)


rng = np.random.default_rng(1)
y, x = np.mgrid[0:size, 0:size]
base = np.stack([128 + 80 * np.sin(x / 37 + c) + 40 * np.cos(y / 23 - c) for c in range(3)], 2)
a = np.clip(base + rng.normal(0, 4, base.shape), 0, 255).astype(np.uint8)
b = np.clip(base + rng.normal(0, 9, base.shape), 0, 255).astype(np.uint8)
ta, tb = [torch.from_numpy(p).permute(2, 0, 1)[None].float().div(255).contiguous() for p in (a, b)]

print(f"{size}x{size}, median of {rounds} interleaved rounds\n")
print("| metric | threads | ours ms/frame | peer | peer ms/frame | times faster |\n|---|---|---|---|---|---|")
with torch.no_grad():
    row("psnr", "psnr", "PIQ", lambda: piq.psnr(ta, tb), 20, 400)
    row("psnr", "psnr", "skimage", lambda: skimage.metrics.peak_signal_noise_ratio(a, b), 20, 400)
    row("ssim", "ssim", "PIQ", lambda: piq.ssim(ta, tb), 5, 50)
    row("ssim_full", "ssim_full", "PIQ", lambda: piq.ssim(ta, tb, downsample=False), 2, 20)
    full = dict(channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255)
    row("ssim_full", "ssim_full", "skimage", lambda: skimage.metrics.structural_similarity(a, b, **full), 1, 20)
    row("ms_ssim", "ms_ssim", "pytorch_msssim", lambda: pytorch_msssim.ms_ssim(ta, tb, data_range=1.0), 2, 20)
    for threads in (1, 2):
        weights = os.path.join(root, "../shared/weights/lpips/lpips_squeeze_v0.1.safetensors")
        if os.path.exists(weights):
            net = lpips.LPIPS(net="squeeze", pnet_rand=True, verbose=False).eval()
            state = load_file(weights)
            convs = [m for m in net.net.modules() if isinstance(m, torch.nn.Conv2d)]
            names = sorted({k.rsplit(".", 1)[0] for k in state if k.startswith("net.")},
                           key=lambda n: (int(n.split(".")[2]), ["squeeze", "expand1x1", "expand3x3"].index(n.split(".")[3])
                                          if n.count(".") == 3 else 0))
            for conv, name in zip(convs, names, strict=True):
                conv.weight.data, conv.bias.data = state[name + ".weight"], state[name + ".bias"]
            row("lpips_squeeze", "lpips_squeeze", "lpips", lambda: net(ta, tb, normalize=True), 2, 2, threads)

# One of our own against another: how much a second thread helps, and the Rust crate people know.
print("\n| metric | one thread ms/frame | two threads | times faster |\n|---|---|---|---|")
for metric, frames in (("psnr", 2000), ("ssim", 200), ("ssim_full", 120), ("ms_ssim", 80), ("ffmpeg_ssim", 800)):
    pairs = [(rust(metric, 1, frames), rust(metric, 2, frames)) for _ in range(rounds)]
    one, two = (statistics.median(p[i] for p in pairs) * 1e3 for i in (0, 1))
    print(f"| {metric} | {one:.3f} | {two:.3f} | {statistics.median(p[0] / p[1] for p in pairs):.2f} |", flush=True)
crate = statistics.median(rust("image-compare", 1, 3) for _ in range(rounds)) * 1e3
print(f"\nimage-compare's MSSIM (another definition): {crate:.1f} ms/frame on its own threads")

# End to end from y4m files, each pinned to one core.
if shutil.which("ffmpeg"):
    with tempfile.TemporaryDirectory() as folder:
        files = [os.path.join(folder, f"{n}.y4m") for n in "ab"]
        for file, quality in zip(files, (2, 24)):
            source = f"testsrc2=size={size}x{size}:rate=30:duration=10,noise=alls={quality}:allf=t"
            subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", file], check=True, env=clean)
        print("\n| end to end from y4m, one core | ours ms/frame | ffmpeg ms/frame | times faster |\n|---|---|---|---|")
        for metric in ("psnr", "ssim"):
            command = ["taskset", "-c", "0", "ffmpeg", "-v", "error", "-threads", "1", "-i", files[0], "-threads", "1", "-i", files[1],
                       "-lavfi", metric, "-f", "null", "-"]
            mine = ["taskset", "-c", "0", os.path.join(target, "release/examples/y4m_metrics"), metric, *files]
            # Both as whole processes, so that both pay for their start.
            run = lambda c: subprocess.run(c, check=True, env=clean, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            pairs = [(timed(lambda: run(mine), 1) / 300, timed(lambda: run(command), 1) / 300) for _ in range(rounds)]
            i, f = (statistics.median(p[k] for p in pairs) * 1e3 for k in (0, 1))
            print(f"| ffmpeg_{metric} | {i:.3f} | {f:.3f} | {statistics.median(p[1] / p[0] for p in pairs):.1f} |", flush=True)
ours.stdin.close()
ours.wait()

"""Writes lpips_synthetic.json: per-layer distances of the `lpips` package (double precision) with synthetic weights,
for the nets whose real weights cannot be had. Needs torch, torchvision, lpips; see `just bench-metrics`."""

import json, os
import lpips, numpy as np, torch


def uniform(seed, n):
    with np.errstate(over="ignore"):
        z = (np.uint64(seed) << np.uint64(40)) + np.arange(n, dtype=np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


y, x = np.mgrid[0:96, 0:96]
a = np.stack([2 * x, 2 * y, x + y], 2).astype(np.uint8)
b = np.stack([(2 * x) ^ 8, (x * y) % 251, 191 - x], 2).astype(np.uint8)
batch = [torch.from_numpy(p).permute(2, 0, 1)[None].double() / 127.5 - 1 for p in (a, b)]
out = {}
for net in ("vgg", "alex"):
    model = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    convs = [m for m in model.net.modules() if isinstance(m, torch.nn.Conv2d)]
    for l, conv in enumerate(convs):
        bound = np.sqrt(6 / np.prod(conv.weight.shape[1:]))
        weight = ((2 * uniform(2 * l + 2, conv.weight.numel()) - 1) * bound).astype(np.float32)
        conv.weight.data = torch.from_numpy(weight).view_as(conv.weight)
        conv.bias.data = torch.from_numpy(((2 * uniform(2 * l + 3, conv.bias.numel()) - 1) * 0.05).astype(np.float32))
    for l, lin in enumerate(model.lins):
        weight = lin.model[-1].weight
        weight.data = torch.from_numpy(uniform(100 + l, weight.numel()).astype(np.float32)).view_as(weight)
    model.double()
    # The package keeps these in single precision: -.030 and so on.
    with torch.no_grad():
        _, layers = model(*batch, retPerLayer=True)
    out["lpips_" + net] = [v.item() for v in layers]
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lpips_synthetic.json")
json.dump(out, open(path, "w"), indent=1)

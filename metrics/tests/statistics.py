"""Writes statistics.json: what scipy and plain enumeration say about numbers that statistics.rs holds ours against. Needs scipy."""

import itertools, json, os
import numpy as np
from scipy import stats

random = np.random.default_rng(20)
out = {"wilcoxon": [], "student": [], "power": []}


def enumerated(differences, zeros):
    """Two-sided p by going through every pattern of signs."""
    d = np.array(differences)
    if zeros == "wilcox":
        d = d[d != 0]
    ranks = stats.rankdata(abs(d))
    ranks, signs = ranks[d != 0], np.sign(d[d != 0])
    if len(ranks) == 0:
        return 0.0, 0.0, 1.0
    up, total = ranks[signs > 0].sum(), ranks.sum()
    patterns = np.array(list(itertools.product([0, 1], repeat=len(ranks))))
    sums = patterns @ ranks
    p = min(1.0, 2 * (sums <= min(up, total - up) + 1e-9).mean())
    return up, total - up, p


def add(d, zeros, up, down, p, method):
    out["wilcoxon"].append({"d": [float(v) for v in d], "zeros": zeros, "up": float(up), "down": float(down), "p": float(p), "method": method})


# Without ties: scipy's exact distribution.
for n in (1, 2, 3, 5, 6, 10, 30, 50):
    d = random.normal(0.3, 1, n)
    r = stats.wilcoxon(d, method="exact")
    up = stats.rankdata(abs(d))[d > 0].sum()
    assert r.statistic == min(up, n * (n + 1) / 2 - up)
    add(d, "wilcox", up, n * (n + 1) / 2 - up, r.pvalue, "exact")
# Ties and zeros: enumeration, beside scipy's own permutation test where it has one (it drops zeros).
for case in ([1, 1, 1, 1, 1], [2, 2], [1, -1, 2, 2, -3, 3, 3], [0, 0, 0, 1, 1, 1, -2], [0, 0, 0, 0, 0, 1.5], [0, 0, 0],
             [0.3 - 0.2, 0.2 - 0.1, -0.1, 0.4, 0.5, 0.6], list(random.integers(-3, 4, 14)), list(random.integers(0, 2, 12))):
    for zeros in ("wilcox", "pratt"):
        d = np.round(np.array(case, float), 12)
        up, down, p = enumerated(d, zeros)
        if zeros == "wilcox" and (d != 0).sum() > 1:
            r = stats.wilcoxon(d[d != 0], method=stats.PermutationMethod(n_resamples=np.inf))
            assert abs(r.pvalue - p) < 1e-12, (case, r.pvalue, p)
        add(case, zeros, up, down, p, "exact")
# Beyond the exact range: scipy's normal approximation with correction, with and without ties.
for d in (random.normal(0.1, 1, 120), random.integers(-4, 6, 300).astype(float)):
    kept = d[d != 0]
    r = stats.wilcoxon(kept, method="asymptotic", correction=True)
    up = stats.rankdata(abs(kept))[kept > 0].sum()
    add(d, "wilcox", up, len(kept) * (len(kept) + 1) / 2 - up, r.pvalue, "normal")

for n in (2, 6, 10, 31):
    v = random.lognormal(0, 1, n)
    low, high = stats.t.interval(0.95, n - 1, v.mean(), stats.sem(v))
    out["student"].append({"v": v.tolist(), "low": low, "high": high})

# Exact power of the t-test of n x 3 / pi units, by the noncentral t distribution.
for effect, n, level in ((1.0, 10, 0.05), (0.5, 33, 0.05), (2.0, 6, 0.05), (1.0, 16, 0.05 / 15), (0.2, 210, 0.05)):
    limit, centre = stats.t.ppf(1 - level / 2, n - 1), effect * np.sqrt(n * 3 / np.pi)
    out["power"].append({"effect": effect, "n": n, "level": level, "power": stats.nct.sf(limit, n - 1, centre)})

json.dump(out, open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "statistics.json"), "w"), indent=1)

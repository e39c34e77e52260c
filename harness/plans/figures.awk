# One row per scenario and system of a sweep, from the frames.csv of its runs: the numbers behind the figures of Reparo's
# evaluation. Frames of all clips and seeds are pooled. `just reparo-figures` calls it; by hand, on any sweep:
#   find runs/DIR -name frames.csv | sort | xargs awk -f harness/plans/figures.awk
# Runs that were scored with an LPIPS (`freezeframe score RUN --metrics default,lpips_squeeze`) get a column of it.
# Paths are DIR/SCENARIO/SYSTEM[-OPTIONS]/CLIP/seed-N/frames.csv.

BEGIN { FS = ","; fps = 30 }

function column(name) {
    if (!(name in at)) { print FILENAME ": no column " name > "/dev/stderr"; failed = 1; exit 1 }
    return $at[name]
}

# Sorts list[1..n] of key `k` in place (heapsort: lists have thousands of values).
function sort(list, k, n,    i, x) {
    for (i = int(n / 2); i >= 1; i--) sink(list, k, i, n)
    for (i = n; i > 1; i--) { x = list[k, 1]; list[k, 1] = list[k, i]; list[k, i] = x; sink(list, k, 1, i - 1) }
}
function sink(list, k, i, n,    child, x) {
    while ((child = 2 * i) <= n) {
        if (child < n && list[k, child + 1] > list[k, child]) child++
        if (list[k, i] >= list[k, child]) return
        x = list[k, i]; list[k, i] = list[k, child]; list[k, child] = x; i = child
    }
}
# The value below which a share p of the sorted list lies, between neighbours in proportion.
function quantile(list, k, n, p,    x, low) {
    x = 1 + p * (n - 1); low = int(x)
    return low >= n ? list[k, n] : list[k, low] + (x - low) * (list[k, low + 1] - list[k, low])
}

FNR == 1 {
    split("", at)
    for (i = 1; i <= NF; i++) at[$i] = i
    n = split(FILENAME, part, "/")
    key = part[n - 4] SUBSEP part[n - 3]
    if (!(key in frames)) { order[++keys] = key; frames[key] = 0 }
    next
}
column("stream") == "rgb" {
    n = ++frames[key]
    if (column("status") == "frozen" || column("status") == "blank") frozen[key]++
    size[key, n] = column("data_bytes") + column("parity_bytes") + column("repeat_bytes")
    sent[key] += size[key, n]
    if (column("psnr") != "") {
        m = ++shown[key]
        psnr[key, m] = column("psnr") + 0
        psnr_sum[key] += column("psnr"); ssim_sum[key] += column("ssim")
        if (column("psnr") < 30) low[key]++
        for (name in at) if (name ~ /^lpips_/ && $at[name] != "") {
            if (lpips != "" && lpips != name) { print FILENAME ": scored with another LPIPS" > "/dev/stderr"; failed = 1; exit 1 }
            lpips = name; perceived[key]++; lpips_sum[key] += $at[name]
        }
    }
}
END {
    if (failed) exit 1
    print "| scenario | system | frames | PSNR mean | worst 10 % | p5 | p25 | p50 | p75 | p95 | SSIM | < 30 dB % | not rendered % | kbit/s | frame bytes p50 | p95 | max |" (lpips == "" ? "" : " " lpips " |")
    print "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|" (lpips == "" ? "" : "---|")
    for (i = 1; i <= keys; i++) {
        key = order[i]; n = frames[key]; m = shown[key]
        if (!m) continue
        split(key, part, SUBSEP)
        sort(psnr, key, m); sort(size, key, n)
        worst = int((m + 9) / 10); sum = 0
        for (j = 1; j <= worst; j++) sum += psnr[key, j]
        printf "| %s | %s | %d | %.2f | %.2f", part[1], part[2], n, psnr_sum[key] / m, sum / worst
        printf " | %.2f | %.2f | %.2f | %.2f | %.2f", quantile(psnr, key, m, 0.05), quantile(psnr, key, m, 0.25), quantile(psnr, key, m, 0.5), quantile(psnr, key, m, 0.75), quantile(psnr, key, m, 0.95)
        printf " | %.3f | %.1f | %.1f | %.0f", ssim_sum[key] / m, 100 * low[key] / m, 100 * frozen[key] / n, sent[key] * 8 * fps / n / 1000
        printf " | %d | %d | %d |", quantile(size, key, n, 0.5), quantile(size, key, n, 0.95), size[key, n]
        if (lpips != "") printf perceived[key] ? " %.3f |" : " |", perceived[key] ? lpips_sum[key] / perceived[key] : 0
        print ""
    }
}

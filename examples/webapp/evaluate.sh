#!/usr/bin/env bash
# From nothing to two scored reports: this page, and Chromium with ULPFEC. Results: ./page, ./chromium.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
freezeframe=${FREEZEFRAME:-freezeframe}
clip=(--clip person-0 --size 320x240 --frames 60 --no-depth --metrics psnr)

"$freezeframe" setup webrtc
"$freezeframe" app http://127.0.0.1:8080 --serve "python3 $here/server.py 8080" --caller '/?role=caller' --callee '/?role=callee' \
    --scenario clean "${clip[@]}" --out page || [ $? = 4 ]
"$freezeframe" run ge-low --system "$root/adapters/chromium/chromium-vp8-ulpfec.toml" --backend namespaces "${clip[@]}" --out chromium || [ $? = 4 ]

#!/usr/bin/env bash
# All that wants a GPU, in one command: tests/bench/gpu.sh FOLDER. What each part says goes to a file in the folder.
set -u
out="${1:?usage: tests/bench/gpu.sh FOLDER}"
mkdir -p "$out"
part() {
    name="$1"; shift
    echo "+ $*"
    { "$@"; echo "exit $?"; } >"$out/$name.txt" 2>&1
    tail -n 3 "$out/$name.txt"
}
part doctor minae doctor
part tests python -m pytest -rs -p no:cacheprovider
part check minae check --backend cupy
part kernels python tests/bench/kernels.py --backend cupy
part bench minae bench --backend cupy --rounds 3 --seconds 1 --curves --out "$out"
part section minae run 14.1 --full --backend cupy --out "$out/14.1"

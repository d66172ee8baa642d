#!/usr/bin/env bash
# All checks that need a GPU, in one command: tests/bench/gpu.sh FOLDER [PART…]. The output of each part goes to a file
# in the folder, the figures and the results of the sections to one archive. Only the packages that minae needs must be
# installed, not minae itself. Without the network the tests of the download fail, and 14.1 takes the sample of MNIST.
# Parts joined by +, such as tests+sections, run side by side. MINAE_TESTS chooses among the tests as pytest's -k does,
# MINAE_SECTIONS='A.1|C.*' among the sections, MINAE_JOBS says how many of these run at a time, and MINAE_WORKLOADS what
# the benchmark measures. The parts that read a clock come last, and alone.
set -u
cd "$(dirname "$0")/../.."
out="$(mkdir -p "${1:?usage: tests/bench/gpu.sh FOLDER [PART…]}" && cd "$1" && pwd)"
shift
# An installation puts kernels/ and chapters/ into minae/ as packages; here copies in a folder of their own do the same.
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cp -r minae tests README.md pyproject.toml "$work"
cp -r kernels "$work/minae/kernels"
cp -r chapters "$work/minae/chapters"
cd "$work"
export PYTHONPATH="$work${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 MINAE_CACHE="${MINAE_CACHE:-$work/cache}"
if [ -z "${CUDA_HOME:-}" ] && command -v nvcc >/dev/null; then  # where numba-cuda finds libNVVM
    export CUDA_HOME="$(dirname "$(dirname "$(readlink -f "$(command -v nvcc)")")")"
fi
mkdir -p "$out/figures"
export out
minae="python3 -m minae"
part() {
    local name="$1" start="$SECONDS"; shift
    echo "+ $name: $*"
    { "$@"; echo "exit $?"; } >"$out/$name.txt" 2>&1
    echo "- $name, $((SECONDS - start)) s:" && tail -n 3 "$out/$name.txt"
}
# a section at --quick: one line of the table, and below it what it said where it failed
section() {
    local start="$SECONDS" said code; said="$(python3 -m minae run "$1" --quick --backend cupy --out "$out/figures/$1" 2>&1)"; code="$?"
    echo "$1: exit $code, $((SECONDS - start)) s"
    [ "$code" = 0 ] || printf '%s\n' "$said" | tail -n 25
}
export -f section
sections() {
    python3 -c 'from minae import chapters; print(*(s["number"] for s in chapters.sections()))' | tr ' ' '\n' |
        grep -E "^(${MINAE_SECTIONS:-.*})$" |
        OPENBLAS_NUM_THREADS=1 xargs -P "${MINAE_JOBS:-4}" -I{} bash -c 'section {}'
}
# what README shows, one command a line; the models that a command reads are trained before it
commands() {
    mkdir -p "$work/commands" && cd "$work/commands" && export MINAE_BACKEND=cupy
    python3 -c "import numpy as np, minae; d = minae.data.mnist(); np.save('x', d.train[:2000]); np.save('t', d.test[:300])"
    failed=0
    while read -r line; do
        local start="$SECONDS" said code; said="$($minae $line 2>&1)"; code="$?"
        echo "exit $code, $((SECONDS - start)) s: minae $line"
        [ "$code" = 0 ] || { failed=1; printf '%s\n' "$said" | tail -n 12; }
    done <<'EOF'
train x.npy -o deep.safetensors --epochs 2
train x.npy -o noisy.safetensors --model denoising --level 0.3 --epochs 1
train x.npy -o contractive.safetensors --model contractive --sizes 784 32 --epochs 1
train x.npy -o k.safetensors --model k_sparse --sizes 784 64 --k 8 --epochs 1
train x.npy -o small.safetensors --model compressive --epochs 2
train x.npy -o pictures.safetensors --model variational --image 28 28 1 --channels 16 32 --sizes 784 32 --epochs 1
encode deep.safetensors t.npy -o codes.npy
encode k.safetensors t.npy -o k.npy
reconstruct deep.safetensors t.npy -o r.npy
score deep.safetensors t.npy -o errors.csv --flag 0.95
sample pictures.safetensors -n 48 -o sheet.png
compress small.safetensors t.npy -o t.mnc
decompress small.safetensors t.mnc -o back.npy
shrink deep.safetensors --bits 4 -o shrunk.safetensors
encode shrunk.safetensors t.npy -o shrunk.npy
info deep.safetensors
check contractive
EOF
    return "$failed"
}

[ $# -gt 0 ] || set -- doctor check tests sections commands section count kernels bench curves
for group in "$@"; do
    for name in ${group//+/ }; do
        case "$name" in
        doctor) part doctor $minae doctor & ;;
        check) part check $minae check --backend cupy & ;;
        tests) part tests python3 -m pytest -rs -p no:cacheprovider -W default -k "${MINAE_TESTS:-cupy}" & ;;
        commands) part commands commands & ;;
        sections) part sections sections & ;;
        count) part count python3 tests/bench/kernels.py --count & ;;
        section) part section $minae run 14.1 --backend cupy --out "$out/figures" & ;;
        kernels) part kernels python3 tests/bench/kernels.py --backend cupy & ;;
        bench) part bench $minae bench ${MINAE_WORKLOADS:-} --backend cupy --rounds 3 --seconds 0.5 --no-compile --out "$out/figures" & ;;
        curves) part curves $minae bench 784-500 --backend cupy --rounds 2 --seconds 0.5 --no-compile --curves --out "$out/figures/curves" & ;;
        *) echo "unknown part $name" >&2; exit 2 ;;
        esac
    done
    wait
done
tar -C "$out" -czf "$out/figures.tar.gz" figures && rm -r "$out/figures"

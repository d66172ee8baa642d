#!/usr/bin/env bash
# All checks that need a GPU, in one command: tests/bench/gpu.sh FOLDER [PART…]. The output of each part goes to a file
# in the folder, the figures to one archive. Only the packages that minae needs must be installed, not minae itself.
# Without the network the tests of the download fail, and 14.1 takes the sample of MNIST. The longest part is the last.
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
export PYTHONPATH="$work" PYTHONUNBUFFERED=1 MINAE_CACHE="${MINAE_CACHE:-$work/cache}"
if [ -z "${CUDA_HOME:-}" ] && command -v nvcc >/dev/null; then  # where numba-cuda finds libNVVM
    export CUDA_HOME="$(dirname "$(dirname "$(readlink -f "$(command -v nvcc)")")")"
fi
mkdir -p "$out/figures"
minae="python3 -m minae"
part() {
    name="$1"; shift
    echo "+ $name: $*"
    { "$@"; echo "exit $?"; } >"$out/$name.txt" 2>&1
    tail -n 3 "$out/$name.txt"
}

[ $# -gt 0 ] || set -- doctor check tests section count kernels bench curves
for name in "$@"; do
    case "$name" in
    doctor) part doctor $minae doctor ;;
    check) part check $minae check --backend cupy ;;
    tests) part tests python3 -m pytest -rs -p no:cacheprovider -W default -k cupy ;;
    count) part count python3 tests/bench/kernels.py --count ;;
    section) part section $minae run 14.1 --backend cupy --out "$out/figures" ;;
    kernels) part kernels python3 tests/bench/kernels.py --backend cupy ;;
    bench) part bench $minae bench --backend cupy --rounds 3 --seconds 0.5 --out "$out/figures" ;;
    curves) part curves $minae bench 784-500 --backend cupy --rounds 2 --seconds 0.5 --curves --out "$out/figures/curves" ;;
    *) echo "unknown part $name" >&2; exit 2 ;;
    esac
done
tar -C "$out" -czf "$out/figures.tar.gz" figures && rm -r "$out/figures"

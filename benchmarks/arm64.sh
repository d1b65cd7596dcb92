#!/bin/sh
# Runs benchmarks/twenty_steps.py on emulated ARM64 processors:
#
#     sh benchmarks/arm64.sh FOLDER [PROCESSOR...]
#
# PROCESSOR is cortex-a72 (Raspberry Pi 4), neoverse-n1 (AWS Graviton2), neoverse-v1 (AWS Graviton3,
# with SVE) or apple-m1 (as under Linux); by default all of them. It needs Debian 12 with
# the package qemu-user, the environment of `make`, and 2.5 GB in FOLDER, which a later run uses again.
# On two shared cores, a processor takes five minutes.
set -eu
repository=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1" && cd "$1" && folder=$PWD && shift
python=3.11

if ! [ -d root ]; then
    # This machine's sources, and a state of its own: an ARM64 machine where nothing is installed yet.
    mkdir -p apt/lists/partial apt/archives/partial
    : > apt/status
    install="install --yes --download-only --no-install-recommends"
    for command in update "$install python$python libstdc++6"; do
        apt-get --quiet --quiet -o APT::Architecture=arm64 -o APT::Architectures::=arm64 \
            -o APT::Sandbox::User=root -o Dir::State="$folder/apt" -o Dir::Cache="$folder/apt" \
            -o Dir::State::status="$folder/apt/status" $command
    done
    for package in apt/archives/*.deb; do dpkg-deb --extract "$package" unpacked; done
    mkdir unpacked/proc && mv unpacked root
fi
if ! [ -d packages ]; then
    "$repository/.venv/bin/uv" pip install --target installed --python-version $python \
        --python-platform aarch64-manylinux_2_28 \
        -c "$repository/requirements.lock" -r "$repository/pyproject.toml"
    mv installed packages
fi

# XLA's compiler asks /proc/cpuinfo for the processor, and would find this machine's. qemu looks
# below its root first.
cpuinfo() {
    printf 'processor\t: 0\nFeatures\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid %s\n' "$3"
    printf 'CPU implementer\t: %s\nCPU architecture: 8\nCPU part\t: %s\n' "$1" "$2"
}
v81="atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"
cd "$repository"
for processor in ${*:-cortex-a72 neoverse-n1 neoverse-v1 apple-m1}; do
    case $processor in
        cortex-a72) emulated=cortex-a72 && set -- 0x41 0xd08 "" ;;
        neoverse-n1) emulated=neoverse-n1 && set -- 0x41 0xd0c "$v81" ;;
        neoverse-v1) emulated=max,sme=off && set -- 0x41 0xd40 "$v81 jscvt fcma sve i8mm bf16" ;;
        apple-m1) emulated=max,sve=off,sme=off && set -- 0x61 0x023 "$v81 jscvt fcma sha3 sha512" ;;
        *) echo "error: $processor is not one of the processors" >&2 && exit 1 ;;
    esac
    echo "$processor:"
    cpuinfo "$@" > "$folder/root/proc/cpuinfo"
    PYTHONPATH="$folder/packages" qemu-aarch64 -cpu "$emulated" -L "$folder/root" \
        "$folder/root/usr/bin/python$python" -m benchmarks.twenty_steps
done

#!/usr/bin/env bash
# Install a lock into an environment of Python: files with the lock's hashes and nothing else.
#   envs/install.sh PYTHON LOCK [TORCH_INDEX]
# TORCH_INDEX is the address of an index with another build of torch (for CPUs, for a version of CUDA). If the lock lacks
# the hash of that build, torch comes from that index alone, and CUDA's libraries have the versions that torch names.
set -euo pipefail
python=$1 lock=$2 index=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

pip() { "$python" -m pip "$@" --quiet --disable-pip-version-check; }
verified() { pip install --require-hashes --no-deps "$@"; }

# Packages without a wheel are built with this, not with what the index has today.
verified --requirement "$here/build.lock"

# torch first: of all files with the lock's hashes, pip would choose one of an index over one of a folder.
torch=$(sed -n 's/^\(torch==[^ ]*\).*/\1/p' "$lock")
unknown=
if [ -n "$torch" ]; then
  # As an extra index it could offer any other package too, under a higher version.
  pip download --no-deps --dest "$folder" ${index:+--index-url "$index"} "$torch"
  wheel=$(echo "$folder"/torch-*)
  if grep -qFf <("$python" -m pip hash "$wheel" | grep '^--hash') "$lock"; then
    pip install --no-deps "$wheel"
  elif [ -n "$index" ]; then
    echo "warning: ${wheel##*/} comes from $index unverified: $lock lacks its hash" >&2
    pip install --no-deps "$wheel"
    unknown=1
  fi
fi
verified --no-build-isolation --use-pep517 --requirement "$lock"

needs_cuda='import importlib.metadata as m; print(any(r.startswith(("nvidia-", "cuda-")) for r in m.requires("torch")))'
if [ -n "$unknown" ]; then
  pip install "$torch"
elif [ -n "$torch" ] && [ "$("$python" -c "$needs_cuda")" = True ]; then
  verified --requirement "$here/cuda.lock"
fi
"$python" -m pip check

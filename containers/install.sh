#!/usr/bin/env bash
# Install the packages of envs/image.in at the lock's versions in /opt/crosstune. Dockerfile and crosstune.def run it as
# root on Debian, beside a copy of envs/. An existing environment stays as it is.
#   install.sh TORCH_INDEX     address of an index with the wanted build of torch (for CPUs, for a version of CUDA);
#                              if empty, pip's configuration decides
set -euo pipefail
index=$1
here=$(cd "$(dirname "$0")" && pwd)
python=/opt/crosstune/bin/python

if [ ! -x $python ]; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -qq --yes --no-install-recommends ca-certificates git python3 python3-venv >/dev/null
  rm -rf /var/lib/apt/lists/*
  python3 -m venv "${python%/bin/python}"
fi

options=(--quiet --disable-pip-version-check --root-user-action ignore)
# Use a cache if the build provides one; the image keeps none.
[ -d /root/.cache/pip ] || options+=(--no-cache-dir)
# torch alone comes from its index. As an extra index it could offer any other package too, under a higher version.
if [ -n "$index" ]; then
  $python -m pip install "${options[@]}" --no-compile --no-deps -i "$index" \
    "$(grep '^torch==' "$here/requirements.lock")"
fi
# pip compiles files one by one; one process per core is faster. Files for a newer Python stay uncompiled.
$python -m pip install "${options[@]}" --no-compile --constraint "$here/requirements.lock" --requirement "$here/image.in"
$python -m compileall -qq -j 0 /opt/crosstune/lib || true

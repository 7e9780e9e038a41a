#!/usr/bin/env bash
# The environment of envs/image.in at the versions of the lock, in /opt/crosstune. Dockerfile and crosstune.def run it as
# root on Debian, beside a copy of envs/. What is there already stays as it is.
#   install.sh TORCH_INDEX     address of an index with the build of torch to take (for CPUs, for a version of CUDA);
#                              empty: the build that pip finds as it is configured
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
[ -z "$index" ] || export PIP_EXTRA_INDEX_URL=$index
# A cache is used where the build has been handed one; the image keeps none.
[ -d /root/.cache/pip ] || options+=(--no-cache-dir)
# pip compiles one file after another; a process for each core is faster. Files for a newer Python stay as they are.
$python -m pip install "${options[@]}" --no-compile --constraint "$here/requirements.lock" --requirement "$here/image.in"
$python -m compileall -qq -j 0 /opt/crosstune/lib || true

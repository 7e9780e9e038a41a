#!/usr/bin/env bash
# Install the packages of envs/image.lock in /opt/crosstune. Dockerfile and crosstune.def run it as root on Debian, beside
# the files of envs/ that it needs. An existing environment stays as it is.
#   setup.sh [TORCH_INDEX]     another build of torch: envs/install.sh
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=/opt/crosstune/bin/python

if [ ! -x $python ]; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -qq --yes --no-install-recommends ca-certificates git python3 python3-venv >/dev/null
  rm -rf /var/lib/apt/lists/*
  python3 -m venv "${python%/bin/python}"
fi

export PIP_ROOT_USER_ACTION=ignore PIP_COMPILE=no
# Use a cache if the build provides one; the image keeps none.
[ -d /root/.cache/pip ] || export PIP_NO_CACHE_DIR=1
bash "$here/install.sh" $python "$here/image.lock" "${1:-}"
# pip compiles files one by one; one process per core is faster. Files for a newer Python stay uncompiled.
$python -m compileall -qq -j 0 /opt/crosstune/lib || true

# shellcheck shell=bash
# For podman_up.sh and apptainer_up.sh: giving up with a reason, and installing so that down.sh can take it back.
export DEBIAN_FRONTEND=noninteractive

cannot() { # REASON
  echo "$1" >&2
  exit 77
}

need_debian() { # WHAT IS TO BE INSTALLED
  [ "$(id -u)" = 0 ] || cannot "only root can install $1"
  command -v apt-get >/dev/null || cannot "no apt-get, which installs $1"
}

mirror() {
  local found
  found=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null | head -1 || true)
  echo "${found:-http://deb.debian.org/debian}"
}

install() { # FOLDER PACKAGE...
  local folder=$1 before
  shift
  # One after another: both scripts may run at once.
  exec {turn}>"$folder/turn"
  flock "$turn"
  before=$(dpkg-query --show --showformat '${Package}\n')
  apt-get install -qq --yes --no-install-recommends "$@" >/dev/null 2>&1 || {
    apt-get update -qq && apt-get install -qq --yes --no-install-recommends "$@" >/dev/null
  } || cannot "Debian's packages cannot be had here: $*"
  dpkg-query --show --showformat '${Package}\n' | grep -vxF "$before" >>"$folder/installed" || true
  flock --unlock "$turn"
}

#!/usr/bin/env bash
# AdTally on another release of Debian, with its Erlang/OTP and its Elixir:
#
#   test/integration/debian.sh RELEASE [COMMAND...]
#
# runs the command, bin/test without one, on a copy of the files that Git knows,
# in a tree of that release that debootstrap makes the first time: trixie has
# OTP 27, forky has OTP 29. Needs root, debootstrap, and Rust from rustup, which
# the tree borrows. Mounts are in a namespace that ends with the command, and so
# do the processes that it leaves. The exit code is the command's.
#
#   AD_TALLY_DEBIAN_TREES   folder with a tree a release, which several
#                           checkouts may share; default: _build/debian/trees
#   AD_TALLY_DEBIAN_MIRROR  default: the host's, from its apt configuration,
#                           or else http://deb.debian.org/debian
#
# The copy and all that is built from it stay in _build/debian, so that the next
# run builds only what has changed.
set -euo pipefail

readonly packages=(ca-certificates elixir erlang-dev erlang-nox gcc libc6-dev python3-venv)

fail() {
  printf '%s\n' "$@" >&2
  exit 1
}

(($#)) || fail "Usage: test/integration/debian.sh RELEASE [COMMAND...], where RELEASE is trixie or forky."
((EUID == 0)) || fail "Needs root, for debootstrap and chroot."

readonly release=$1
shift
(($#)) || set -- bin/test

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
readonly root=$PWD
readonly tree=${AD_TALLY_DEBIAN_TREES:-$root/_build/debian/trees}/$release
readonly work=$root/_build/debian/$release

mirror() {
  local uri=${AD_TALLY_DEBIAN_MIRROR:-}
  if [[ -z $uri ]] && command -v apt-get >/dev/null; then
    # shellcheck disable=SC2016 # apt's variable
    uri=$(apt-get indextargets --format '$(REPO_URI)' "Created-By: Packages" "Label: Debian" | head -n 1)
  fi
  printf '%s' "${uri:-http://deb.debian.org/debian}"
}

# Makes the tree beside its place and moves it there, so that half a tree is
# never taken for one.
make_tree() {
  local new=$tree.new script=()
  command -v debootstrap >/dev/null || fail "Needs debootstrap: apt-get install debootstrap"
  # A debootstrap older than the release has no script of its name; all recent ones are sid's.
  [[ -e /usr/share/debootstrap/scripts/$release ]] || script=(/usr/share/debootstrap/scripts/sid)

  rm -rf -- "$new"
  mkdir -p "$new"
  debootstrap --variant=minbase "$release" "$new" "$(mirror)" "${script[@]}"
  # A mirror that lags behind serves lists that have expired.
  in_namespace "$new" sh -c "apt-get -o Acquire::Check-Valid-Until=false update &&
    apt-get install --yes --no-install-recommends ${packages[*]} </dev/null && apt-get clean"
  mv -T "$new" "$tree"
}

# Brings the copy to what the working tree has of the files that Git knows. Only
# files that differ are written, which Cargo and Mix tell by their times.
copy_project() {
  local index=$work/index wanted
  cp "$(git rev-parse --git-path index)" "$index.now"
  GIT_INDEX_FILE=$index.now git add --update
  wanted=$(GIT_INDEX_FILE=$index.now git write-tree)
  mkdir -p "$work/project"
  GIT_INDEX_FILE=$index git --work-tree="$work/project" read-tree --reset -u "$wanted"
}

# in_namespace TREE COMMAND...: with the copy, home and temporary files of this
# checkout in place of the tree's, and with the host's Rust and network settings.
in_namespace() {
  mkdir -p "$work"/{project,home,tmp} "$1"/{project,opt/rust}
  TREE=$1 WORK=$work RUST=$rust unshare --mount --propagation private --pid --fork --kill-child \
    bash -c "$setup" in_namespace "${@:2}"
}

# shellcheck disable=SC2016 # expanded in the namespace
readonly setup='
  set -euo pipefail
  share() { mount --rbind "$1" "$TREE$2"; }
  share "$WORK/project" /project
  share "$WORK/home" /root
  share "$WORK/tmp" /tmp
  share "$RUST" /opt/rust
  mount -o remount,bind,ro "$TREE/opt/rust"
  share /dev /dev
  mount -t proc proc "$TREE/proc"
  for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
    if [[ -e $file && -d $TREE${file%/*} ]]; then
      [[ -e $TREE$file ]] || touch "$TREE$file"
      share "$(readlink -f "$file")" "$file"
    fi
  done

  settings=(HOME=/root PATH=/opt/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
    CARGO_HOME=/root/.cargo)
  while IFS= read -r variable; do
    settings+=("$variable=${!variable}")
  done < <(compgen -e | grep -iE "^(https?_proxy|no_proxy|PIP_.*|TERM)$")

  # A shell reaps what the command leaves, and passes its exit code on.
  chroot "$TREE" env --ignore-environment --chdir=/project "${settings[@]}" "$@"
  exit
'

rust=$(rustc --print sysroot) || fail "Needs Rust: https://rustup.rs"
readonly rust
[[ $rust != /usr ]] || fail "Needs a Rust that lies in a folder of its own: https://rustup.rs"

mkdir -p "$work"
exec 9>"$work/lock"
flock 9
[[ -d $tree ]] || make_tree
copy_project
echo "=== Debian $release, $(in_namespace "$tree" elixir --version | tail -n 1): $*"
status=0
in_namespace "$tree" "$@" || status=$?
rm -rf -- "$work/tmp"
exit "$status"

# Functions of ./demo, ./check and .ci/run. Sourced with the repository as working directory.

say() { printf '%s\n' "$*"; }
fail() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# Packages of packages.txt for this machine, one a line. $1: the last section wanted (build, deb, tests or ci).
wanted_packages() {
  local architecture
  architecture=$(dpkg --print-architecture)
  awk -v last="$1" -v architecture="$architecture" '
    /^#: / { if (done) exit; done = ($2 == last); next }
    { sub(/#.*/, "") }
    NF == 0 { next }
    NF == 2 && $2 != "[" architecture "]" { next }
    { print $1 }' packages.txt
}

# Names that the installed packages of architecture $1 provide for others, one a line.
provided_packages() {
  dpkg-query -W -f '${db:Status-Status} ${Architecture} ${Provides}\n' 2>/dev/null | awk -v native="$1" '
    $1 == "installed" && ($2 == native || $2 == "all") {
      $1 = $2 = ""
      gsub(/\([^)]*\)|:[a-z0-9]+/, "")
      gsub(/[ ,]+/, "\n")
      print
    }' || true
}

# Packages up to section $1 that are not installed, one a line. dpkg also lists packages that were never installed
# ("not-installed"), that left their configuration ("config-files") or that are installed for another architecture, so
# the whole state is compared. A package also counts as installed if an installed one provides its name.
missing_packages() {
  local package architecture known provided='' asked=no
  architecture=$(dpkg --print-architecture)
  for package in $(wanted_packages "$1"); do
    known=$(dpkg-query -W -f '${db:Status-Status} ${Architecture}\n' "$package" 2>/dev/null) || true
    ! grep -qxE "installed( ($architecture|all)?)?" <<<"$known" || continue
    if [[ $asked == no ]]; then
      provided=$(provided_packages "$architecture") asked=yes
    fi
    grep -qxF -e "$package" <<<"$provided" || printf '%s\n' "$package"
  done
}

# Installs the missing packages up to section $1 of packages.txt. $2: yes installs them, no only names them.
install_missing() {
  if ! command -v dpkg-query >/dev/null; then
    say "not a Debian system: the packages of packages.txt must be there already"
    return
  fi
  local missing run=()
  missing=$(missing_packages "$1" | tr '\n' ' ')
  missing=${missing% }
  [[ -n $missing ]] || return 0
  local line="apt-get install --yes --no-install-recommends $missing"
  if [[ $2 == no ]]; then
    fail "missing: $missing. Install it with: $line"
  fi
  if [[ $(id -u) != 0 ]]; then
    command -v sudo >/dev/null \
      || fail "missing: $missing. As root, please: apt-get update && $line"
    run=(sudo)
  fi
  say "installing what is missing: ${run[*]:+sudo }$line"
  "${run[@]}" apt-get update -qq || fail "apt-get update failed: is the network reachable?"
  # shellcheck disable=SC2086  # a list of names
  "${run[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install --yes -qq --no-install-recommends $missing >/dev/null \
    || fail "apt-get could not install: $missing"
}

# Sets up the build folder $1 (once) with the meson options that follow. Debug information has only lines and names,
# which saves a third of the compiler's time: `meson configure build -Ddebug=true -Dcpp_args=` gives all of it. Several
# sources of a library are compiled at a time, which saves half of it: `meson configure build -Dunity=off` ends that.
configure() {
  local folder=$1
  shift
  if [[ -f $folder/build.ninja ]]; then
    return
  fi
  say "configuring $folder"
  CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1 \
    meson setup "$folder" -Ddebug=false -Dcpp_args=-g1 -Dunity=on "$@" >"$folder.log" 2>&1 || {
    cat "$folder.log" >&2
    fail "meson setup failed"
  }
  rm -f "$folder.log"
}

# Builds targets $2… (default: all) in folder $1. Shows the compiler's output only if it fails.
build() {
  local folder=$1
  shift
  say "building $folder"
  local log=$folder/build.log
  CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1 ninja -C "$folder" "$@" >"$log" 2>&1 || {
    grep -v '^\[[0-9]*/[0-9]*\]' "$log" >&2 || cat "$log" >&2
    fail "the build failed: all of it in $log"
  }
}

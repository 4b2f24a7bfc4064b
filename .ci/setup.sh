#!/usr/bin/env bash
# Prepares a clean clone: .venv with everything in it, and the system's packages that are missing.
#
#   .ci/setup.sh          what the product and the demo need
#   .ci/setup.sh test     and what only the tests need
#   .ci/setup.sh test-all and what only the slow tests need: Spark, 450 MB, Airflow, 300 MB, and the
#                         whole MLflow, 800 MB
#
# Quick when there is nothing to do; installs again when pyproject.toml or constraints.txt change.
# PYTHON=path chooses the Python of the .venv (3.11 or 3.12).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly VENV=.venv
readonly TEMPLATES=/usr/share/prometheus/alertmanager
readonly INSTALLED=$VENV/.installed # what was installed last: a digest
readonly INSTALLED_SPARK=$VENV/.installed-spark

say() { printf 'setup: %s\n' "$*" >&2; }
die() {
  say "$@"
  exit 1
}

# --- Debian packages ----------------------------------------------------------------------------

updated=
as_root() { # COMMAND...: however we become root; 1 if we cannot
  local become=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || return 1
    become=(sudo)
    [ -t 0 ] || become=(sudo -n)
  fi
  "${become[@]}" env "$@"
}

apt() { as_root DEBIAN_FRONTEND=noninteractive apt-get "$@"; }

apt_update() {
  command -v apt-get >/dev/null || return 1
  [ -n "$updated" ] || apt update -qq || return 1
  updated=yes
}

install_packages() { # WHY PACKAGE...; 1 if they cannot be installed here
  local why=$1
  shift
  say "installing $* ($why)"
  if ! { apt_update && apt install -y -qq --no-install-recommends "$@" >/dev/null; }; then
    say "could not install them; as root: apt-get install $*"
    return 1
  fi
}

first_known() { # PACKAGE...: the first that the system's lists have
  local package
  apt_update || true
  for package in "$@"; do
    if apt-cache show "$package" >/dev/null 2>&1; then
      printf '%s' "$package"
      return
    fi
  done
  printf '%s' "$1"
}

# --- Python -------------------------------------------------------------------------------------

is_right_python() {
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null
}

find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3.12 python3; do
    if is_right_python "$candidate"; then
      printf '%s' "$candidate"
      return
    fi
  done
  return 1
}

make_venv() {
  local python version
  if ! python=$(find_python); then
    version=$(first_known python3.11 python3.12)
    install_packages "no Python 3.11 or 3.12 was found" "$version" "$version-venv" ||
      die "Python 3.11 or 3.12 is needed"
    python=$(find_python) || die "Python 3.11 or 3.12 is needed"
  fi
  say "making $VENV with $python"
  rm -rf "$VENV"
  # Debian's Python comes without ensurepip; then `venv` needs a package of its own, or the pip
  # that may be there.
  if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    install_packages "Python's venv" "$version-venv" || true
  fi
  if "$python" -c 'import ensurepip' 2>/dev/null; then
    "$python" -m venv "$VENV"
  elif "$python" -m pip --version >/dev/null 2>&1; then
    "$python" -m venv --without-pip "$VENV"
    "$python" -m pip --python "$VENV/bin/python" install -q pip
  else
    die "no pip for $VENV: install $version-venv"
  fi
}

digest() { cat pyproject.toml constraints.txt | sha256sum | cut -d' ' -f1; }

install_python_packages() {
  if [ -f "$INSTALLED" ] && [ "$(cat "$INSTALLED")" = "$(digest)" ]; then
    return
  fi
  say "installing Python packages into $VENV (TensorFlow is large)"
  # Compiled now: where PYTHONDONTWRITEBYTECODE is set, every process would compile anew what it
  # imports.
  "$VENV/bin/python" -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
  digest >"$INSTALLED"
}

# An extra, and left out of `make test`: it takes more than a minute to fetch and unpack.
prepare_spark() {
  if [ -f "$INSTALLED_SPARK" ] && [ "$(cat "$INSTALLED_SPARK")" = "$(digest)" ]; then
    return
  fi
  say "installing Spark into $VENV"
  "$VENV/bin/python" -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[spark]'
  digest >"$INSTALLED_SPARK"
}

# An environment of its own, for whose pins cannot be met together with ours: docker/NAME says them.
prepare_apart() { # NAME
  local place=.venv-$1 asked=docker/$1/requirements.txt pins=docker/$1/constraints.txt wanted
  wanted=$(cat "$asked" "$pins" | sha256sum)
  if [ -f "$place/.installed" ] && [ "$(cat "$place/.installed")" = "$wanted" ]; then
    return
  fi
  say "making $place"
  rm -rf "$place"
  "$VENV/bin/python" -m venv --without-pip "$place"
  "$VENV/bin/python" -m pip --python "$place/bin/python" install --disable-pip-version-check -q \
    -c "$pins" -r "$asked"
  printf '%s' "$wanted" >"$place/.installed"
}

# --- Kafka --------------------------------------------------------------------------------------

ask_kafka() { # PYTHON EXPRESSION: whether it is true
  "$VENV/bin/python" -c "import sys; from placestream.stack.kafka_jars import *; sys.exit(not ($1))" \
    2>/dev/null
}

prepare_kafka() {
  local missing=()
  ask_kafka 'find_java() and jars_dir().is_dir()' && return
  ask_kafka 'find_java()' ||
    missing+=("$(first_known openjdk-17-jre-headless openjdk-21-jre-headless default-jre-headless)")
  ask_kafka 'jars_dir().is_dir()' || command -v mvn >/dev/null || missing+=(maven)
  if [ ${#missing[@]} -gt 0 ]; then
    install_packages "for real Kafka" "${missing[@]}" || true
  fi
  say "fetching Kafka's jars (once)"
  "$VENV/bin/python" -m placestream.stack.kafka_jars >/dev/null || say "the demo will use a broker in memory; tests that need Kafka will fail"
}

# --- What only tests need -----------------------------------------------------------------------

# Prometheus and Alertmanager check the alert rules, and run in a test. Debian has them in packages
# that also start servers, so the programs are taken out of them, and nothing is installed on the
# system but the templates that Debian's Alertmanager reads from a fixed place.
prepare_programs() { # PACKAGE PROGRAM...
  local package=$1 program place missing=()
  shift
  for program in "$@"; do
    command -v "$program" >/dev/null || [ -x "$VENV/bin/$program" ] || missing+=("$program")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  place=$(mktemp -d)
  say "fetching ${missing[*]}"
  if { (cd "$place" && apt-get download -qq "$package" 2>/dev/null) ||
    { apt_update && (cd "$place" && apt-get download -qq "$package"); }; } &&
    dpkg-deb -x "$place/$package"_*.deb "$place"; then
    for program in "${missing[@]}"; do
      install -m 755 "$place/usr/bin/$program" "$VENV/bin/$program"
    done
    if [ -d "$place$TEMPLATES" ] && [ ! -d "$TEMPLATES" ]; then
      as_root mkdir -p "${TEMPLATES%/*}" && as_root cp -r "$place$TEMPLATES" "$TEMPLATES" ||
        say "could not copy $TEMPLATES: the test of live alerts will fail"
    fi
  else
    say "could not get ${missing[*]}: tests of the alerts will fail; they are in Debian's $package"
  fi
  rm -rf "$place"
}

# The Java of docs/producers.md is compiled in its test; servers need no compiler.
prepare_java_compiler() {
  command -v javac >/dev/null && return
  install_packages "to test the Java example" \
    "$(first_known openjdk-17-jdk-headless openjdk-21-jdk-headless default-jdk-headless)" ||
    say "the test of the Java example will be skipped"
}

# A real Chromium looks at the console in its tests. (Without a font the pages have no text.)
prepare_browser() {
  command -v chromium-headless-shell >/dev/null || command -v chromium >/dev/null && return
  install_packages "to test the console" \
    "$(first_known chromium-headless-shell chromium)" fonts-dejavu-core ||
    say "tests of the console will fail"
}

is_right_python "$VENV/bin/python" && "$VENV/bin/python" -m pip --version >/dev/null 2>&1 ||
  make_venv
install_python_packages
prepare_kafka
if [ "${1:-}" = test ] || [ "${1:-}" = test-all ]; then
  prepare_programs prometheus promtool prometheus
  prepare_programs prometheus-alertmanager amtool prometheus-alertmanager
  prepare_browser
fi
if [ "${1:-}" = test-all ]; then
  prepare_java_compiler
  prepare_spark
  prepare_apart airflow
  prepare_apart mlflow
fi

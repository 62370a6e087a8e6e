# shellcheck shell=bash
# Sourced by the other scripts: makes `.venv` in the repository root and installs this project into it.
#
#   make_environment EXTRA…    .venv holds the project with these extras at the versions of constraints.txt
#   make_libraries             what OpenCV needs to load; says so when it cannot be installed
#   make_rendering             off-screen MuJoCo works and MUJOCO_GL says how; says so when it cannot
#
# pip does the installing, so that every setting of pip's (index, proxy, certificates, wheel folders) holds.
# uv, which reads none of them, only helps out with a Python where the system has none that will do.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="$ROOT/.venv"
PYTHON="$VENV/bin/python"
STAMP="$VENV/imitate-installed" # One line for each set of extras that is completely installed.
INSTALL_LOG="$VENV/install.log"
# pip installs sources alone; Python keeps what it compiles of them. Where it may not, each command takes 7 s rather
# than 3 s to start.
unset PYTHONDONTWRITEBYTECODE
# Older than 3.11 cannot run this project; newer than 3.13 has no builds of the pinned mujoco.
SUPPORTED='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'

step() { printf '\n==> %s\n' "$*"; }
note() { printf '    %s\n' "$*"; }
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

find_python() {
    local name
    for name in python3 python3.13 python3.12 python3.11 python; do
        if "$name" -c "$SUPPORTED" 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    return 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# Installs Debian packages; fails quietly where that is not possible (no apt-get, no rights, no network).
install_packages() {
    command -v apt-get >/dev/null && as_root true 2>/dev/null || return 1
    note "installing system packages: $*"
    # A fresh machine may still be busy with its own updates, which hold apt's lock.
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=120)
    as_root "${apt[@]}" install --no-install-recommends "$@" >/dev/null 2>&1 && return
    # Its package lists are empty or old.
    as_root "${apt[@]}" update >/dev/null 2>&1
    as_root "${apt[@]}" install --no-install-recommends "$@" >/dev/null 2>&1
}

create_venv() {
    local python package
    if python="$(find_python)"; then
        step "Creating .venv with $("$python" -V)"
        "$python" -m venv --clear "$VENV" >/dev/null 2>&1 && return
        no_space_left && fail "$(disk_is_full)"
        # Debian and Ubuntu ship venv as a package of its own, named like the interpreter.
        package="$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
        install_packages "$package" && "$python" -m venv --clear "$VENV" >/dev/null 2>&1 && return
    fi
    if command -v uv >/dev/null; then
        step "Creating .venv with uv"
        uv venv --quiet --clear --seed --python '>=3.11,<3.14' "$VENV" && return
        fail "uv could not create $VENV (its message is above)"
    fi
    [ -z "$python" ] || fail "$python cannot create environments: run  sudo apt-get install $package"
    fail "Python 3.11 to 3.13 is needed, found $(python3 -V 2>/dev/null || echo none): install python3.12 or uv"
}

free_megabytes() { df -Pm "$1" | awk 'NR == 2 { print $4 }'; }
no_space_left() { [ "$(free_megabytes "$ROOT")" -lt 20 ]; }
disk_is_full() {
    echo "the disk is full: $(free_megabytes "$ROOT") MB are free in $ROOT and" \
        "$(free_megabytes "${TMPDIR:-/tmp}") MB in ${TMPDIR:-/tmp}; .venv takes 2200 MB, with CUDA several times that"
}

fingerprint() { cat "$ROOT/pyproject.toml" "$ROOT/constraints.txt" <(printf '%s' "$ROOT") | cksum | tr ' ' -; }

# One line of pip's output after the other: shows what is being fetched, on one line in a terminal.
show_install() {
    local line
    while IFS= read -r line; do
        case "$line" in
        *Downloading* | Collecting* | Processing* | Building* | Installing*)
            if [ -t 1 ]; then
                printf '\r\033[K    %.100s' "${line#"${line%%[! ]*}"}"
            elif [ "${line#Installing}" != "$line" ]; then
                note "${line:0:100}"
            fi
            ;;
        esac
    done
    [ -t 1 ] && printf '\r\033[K'
    return 0
}

why_install_failed() {
    if no_space_left || grep -q 'No space left on device' "$INSTALL_LOG"; then
        disk_is_full
    elif grep -qE 'NewConnectionError|NameResolutionError|Timeout|ProxyError|SSLError' "$INSTALL_LOG"; then
        echo "the Python package index cannot be reached: check the network and pip's settings (pip config list)"
    else
        echo "pip failed: $(grep -m1 -E '^ *(ERROR|error):' "$INSTALL_LOG" || tail -n1 "$INSTALL_LOG")"
    fi
}

installed() {
    local extra
    for extra in core "$@"; do
        grep -qxF "$(fingerprint) $extra" "$STAMP" 2>/dev/null || return 1
    done
}

make_environment() {
    { "$PYTHON" -c "$SUPPORTED" && "$PYTHON" -m pip --version; } >/dev/null 2>&1 || create_venv
    if installed "$@"; then
        step "Using the environment in .venv"
        return
    fi
    step "Installing into .venv (the first time this takes a few minutes)"
    # Nothing counts as installed while versions may change; an interruption here leaves it so.
    local before extras
    before="$(grep -F "$(fingerprint) " "$STAMP" 2>/dev/null || true)"
    rm -f "$STAMP"
    extras="$(IFS=, && echo "${*:+[$*]}")"
    "$PYTHON" -m pip install --no-input --no-compile --disable-pip-version-check --retries 2 \
        -c "$ROOT/constraints.txt" -e "$ROOT$extras" 2>&1 | tee "$INSTALL_LOG" | show_install ||
        fail "$(why_install_failed) (details: $INSTALL_LOG)"
    { echo "$before" && printf "$(fingerprint) %s\n" core "$@"; } >"$STAMP.new" && mv "$STAMP.new" "$STAMP"
}

make_libraries() {
    "$PYTHON" -c 'import cv2' 2>/dev/null && return
    step "Installing the system libraries of OpenCV"
    install_packages libgl1 libglib2.0-0 || true
    "$PYTHON" -c 'import cv2' 2>/dev/null && return
    fail "OpenCV cannot be loaded: run  sudo apt-get install libgl1 libglib2.0-0"
}

RENDER_ONE='import mujoco; mujoco.Renderer(mujoco.MjModel.from_xml_string("<mujoco/>"), 16, 16).render()'

choose_rendering() {
    local gl
    for gl in ${MUJOCO_GL:-} osmesa egl; do
        if MUJOCO_GL="$gl" "$PYTHON" -c "$RENDER_ONE" >/dev/null 2>&1; then
            export MUJOCO_GL="$gl"
            return
        fi
    done
    return 1
}

make_rendering() {
    choose_rendering && return
    step "Installing off-screen rendering for MuJoCo"
    install_packages libosmesa6 libegl1 || true
    choose_rendering || note "MuJoCo cannot render here, so there are no videos: run  sudo apt-get install libosmesa6"
}

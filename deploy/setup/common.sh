# What the setup scripts share; sourced by them from the top of the checkout. POSIX sh.

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Runs a command as root, where this user may: as root itself, or by sudo without a password. Otherwise returns 1.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then sudo -n "$@"
    else return 1
    fi
}

# Installs Debian packages and is quiet when it works; returns 1, having said why, when it may not or cannot.
install_packages() {
    command -v apt-get >/dev/null 2>&1 && as_root true || return 1
    say "Installing system packages: $*"
    log=$(mktemp) || return 1
    if as_root env DEBIAN_FRONTEND=noninteractive sh -c \
        'apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"' install "$@" >"$log" 2>&1 </dev/null
    then rm -f "$log"
    else
        tail -n 5 "$log" >&2
        rm -f "$log"
        return 1
    fi
}

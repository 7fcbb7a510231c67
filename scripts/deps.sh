#!/usr/bin/env bash
# Makes sure that the programs are there which lubod needs beside itself, and with "test" those that its tests need.
# On Debian and its kin what is missing is installed, as root or with sudo. Costs nothing when everything is there.
#
# usage: scripts/deps.sh run|test
set -euo pipefail

die() {
	echo "deps: $*" >&2
	exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# Debian keeps PostgreSQL's server programs out of PATH. The daemon looks in the same places.
has_postgresql() {
	has initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null ||
		compgen -G '/usr/pgsql-*/bin/initdb' >/dev/null || compgen -G '/usr/libexec/postgresql*/initdb' >/dev/null ||
		[ -x /usr/local/pgsql/bin/initdb ]
}

# Go downloads its modules over TLS.
has_certificates() {
	[ -n "${SSL_CERT_FILE:-}${SSL_CERT_DIR:-}" ] || compgen -G '/etc/ssl/certs/*' >/dev/null ||
		[ -e /etc/pki/tls/certs/ca-bundle.crt ] || [ "$(uname)" = Darwin ]
}

# The race detector is linked by a C compiler, which needs the headers too.
has_compiler() {
	# shellcheck disable=SC2046 # CC may hold arguments
	echo '#include <stdlib.h>' | $(go env CC) -E -x c - >/dev/null 2>&1
}

# The API is tested with the scripts of biliup's own document, where that lies beside the repository.
has_requests() {
	[ ! -e ../shared/seed/rest-api.md ] || python3 -c 'import requests' 2>/dev/null || /usr/bin/python3 -c 'import requests' 2>/dev/null
}

check_go() {
	has go || die "Go is missing: install Go 1.26 or newer from https://go.dev/dl/ and put its bin directory into PATH"
	local version
	version=$(go env GOVERSION 2>/dev/null) || version=$(cd / && go env GOVERSION) # an old one refuses the go.mod here
	[[ $version =~ go([0-9]+)\.([0-9]+) ]] || return 0 # built from source: its author knows
	((BASH_REMATCH[1] > 1 || BASH_REMATCH[1] == 1 && BASH_REMATCH[2] >= 26)) ||
		die "Go ${version#go} is too old: install Go 1.26 or newer from https://go.dev/dl/"
}

install_packages() {
	local packages="$*" sudo=() log
	has apt-get || die "missing here: $packages (names of Debian packages); there is no apt-get, so install them your way"
	if [ "$(id -u)" -ne 0 ]; then
		if has sudo && sudo -n true 2>/dev/null; then
			sudo=(sudo -n)
		elif has sudo && [ -t 0 ] && [ -z "${CI:-}" ]; then
			sudo=(sudo)
		else
			die "missing here: $packages; this user may not install them, so run as root: apt-get install $packages"
		fi
	fi
	echo "deps: installing $packages" >&2
	log=$(mktemp)
	local apt=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
	# Without a network the packages may still lie in apt's cache: only the installation decides.
	"${apt[@]}" update </dev/null >"$log" 2>&1 || true
	# shellcheck disable=SC2086 # one word per package
	if ! "${apt[@]}" install -y --no-install-recommends $packages </dev/null >>"$log" 2>&1; then
		die "missing here: $packages; apt-get could not install them (no network?), its messages are in $log: $(tail -n 1 "$log")"
	fi
	rm -f "$log"
}

# find_missing sets missing to the packages of what is not here.
find_missing() {
	missing=()
	has_postgresql || missing+=(postgresql)
	{ has ffmpeg && has ffprobe; } || missing+=(ffmpeg)
	has curl || missing+=(curl)
	has_certificates || missing+=(ca-certificates)
	[ "$1" != test ] || has_compiler || missing+=(gcc libc6-dev)
	[ "$1" != test ] || has_requests || missing+=(python3-requests)
}

purpose=${1:-run}
check_go
find_missing "$purpose"
if [ ${#missing[@]} -gt 0 ]; then
	install_packages "${missing[@]}"
	find_missing "$purpose"
	[ ${#missing[@]} -eq 0 ] || die "still missing after their installation: ${missing[*]}"
fi

#!/usr/bin/env bash
# Holds the repository against what no test runs: generated code, lint, import rules, wire compatibility, format,
# modules. Everything is checked even after a failure, so that one run shows all there is to do.
#
# usage: scripts/verify.sh directory-of-tools [example-module…]
set -uo pipefail
tools=$1
shift
modules=(. "$@")
export PATH="$tools:$PATH"
failed=()

check() {
	local name=$1
	shift
	if "$@"; then
		echo "ok      $name"
	else
		echo "FAILED  $name" >&2
		failed+=("$name")
	fi
}

in_modules() {
	local module status=0
	for module in "${modules[@]}"; do
		(cd "$module" && "$@") || {
			echo "  in module $module" >&2
			status=1
		}
	done
	return $status
}

generated_hashes() {
	find cmd db host plugins sdk \( -name '*.gen.go' -o -name '*.pb.go' \) -type f -print0 | sort -z | xargs -0 sha256sum
}

# Compares without git, so that it also serves before a commit.
generated() {
	local before after
	before=$(generated_hashes)
	make --no-print-directory gen || return 1
	after=$(generated_hashes)
	[ "$before" = "$after" ] || {
		echo "generated code was not up to date; it is now, so commit it:" >&2
		diff <(echo "$before") <(echo "$after") | awk '/^[<>]/ { print "  " $3 }' | sort -u >&2
		return 1
	}
}

formatted() {
	local files
	files=$(gofmt -l cmd db host plugins sdk tools 2>&1)
	[ -z "$files" ] || {
		printf 'not formatted, run make fmt:\n%s\n' "$files" >&2
		return 1
	}
}

rules() {
	(cd tools && go test ./rules && go run ./rules ..)
}

# What a build leaves in the wrong place is committed easily, and stays in the history for ever.
small() {
	local large
	large=$(git ls-files -z | xargs -0 -I{} find {} -maxdepth 0 -size +1024k 2>/dev/null)
	[ -z "$large" ] || {
		printf 'larger than 1 MiB, is it meant to be committed?\n%s\n' "$large" >&2
		return 1
	}
}

check "no large file is committed" small
check "generated code is up to date (make gen)" generated
check "Go code is formatted (make fmt)" formatted
check "modules are tidy" in_modules go mod tidy -diff
check "import rules, names of migrations" rules
check "lint of Go code" in_modules golangci-lint run ./...
check "lint of .proto files" buf lint
check ".proto files are formatted" buf format --diff --exit-code
# The baseline is the wire format of the last release, and only a release replaces it: buf build --exclude-source-info -o sdk/proto/v1.binpb
check "wire format is compatible with the last release" buf breaking --against sdk/proto/v1.binpb

if [ ${#failed[@]} -gt 0 ]; then
	printf 'verify: %d of the checks failed\n' "${#failed[@]}" >&2
	exit 1
fi

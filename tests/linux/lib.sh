# Shared by the tests of this directory; sourced by bash as: . lib.sh PLEX86 KIT [...]
#
# Owns: where kernel and initramfs are, a directory of the test's own, running the guest, verdicts.
# Paths are absolute. KIT is build/guest, as guest/build-kernel and guest/make-initramfs fill it.
# shellcheck shell=bash
here=$(dirname "$(realpath "$0")")
plex86=$(realpath "$1") kit=$(realpath "$2")
kernel=$kit/linux-6.1/vmlinux
initramfs=$kit/initramfs.cpio.gz
failures=0

if [ ! -r "$kernel" ] || [ ! -r "$initramfs" ]; then
	echo "FAIL: no guest in $kit: run guest/build-kernel 6.1 and guest/make-initramfs"
	exit 1
fi
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

fail()
{
	echo "FAIL: $*"
	failures=$((failures + 1))
}

# guest WORD...: plex86 run with kernel and initramfs; sets status, writes out, err and text, which is
# out without CRs. `prefix` goes before plex86; `limit` (seconds) is far beyond what a slow host needs.
prefix=() limit=${TEST_LIMIT:-300}
guest()
{
	timeout -s KILL "$limit" "${prefix[@]}" "$plex86" run -k "$kernel" -i "$initramfs" "$@" \
		>out 2>err
	status=$?
	tr -d '\r' <out >text
}

# expect WHAT WANTED GOT
expect()
{
	[ "$2" = "$3" ] && return
	fail "$1: wanted '$2', got '$3'"
	tail -n 5 out err
}

# has FILE REGEX: a line of FILE matches.
has()
{
	grep -aEq -e "$2" "$1" && return
	fail "nothing like '$2' in $1:"
	tail -n 20 "$1"
}

finish()
{
	[ "$failures" -eq 0 ] && echo ok
	exit "$((failures > 0))"
}

skip()
{
	echo "skipped: $*"
	exit 77
}

# Shared by the network tests net-user and net-tap; sourced by sh.
#
# Owns: their arguments, a directory with files to transfer, background processes and the verdict.
# May not touch any network but loopback and namespaces the test makes.
# shellcheck shell=sh
plex86='' kernel='' initrd='' peer='' mib=64 inside=no
while [ $# -gt 0 ]; do
	case $1 in
	--plex86) plex86=$2; shift ;;
	--kernel) kernel=$2; shift ;;
	--initrd) initrd=$2; shift ;;
	--peer) peer=$2; shift ;;
	--mib) mib=$2; shift ;; # of the large file
	--inside) inside=yes ;; # the namespace is made
	*) echo "$0: unknown argument '$1'" >&2; exit 2 ;;
	esac
	shift
done
for file in "$plex86" "$kernel" "$initrd" "$peer"; do
	[ -r "$file" ] || { echo "$0: cannot read '$file'" >&2; exit 2; }
done

dir='' pids='' failures=0

cleanup() {
	for pid in $pids; do
		kill "$pid" 2>/dev/null
	done
	rm -rf "$dir"
}

# Make $dir with the files to transfer, $dir/www/large and small; their hashes are $large and $small.
prepare() {
	dir=$(mktemp -d) || exit 1
	trap cleanup EXIT
	trap 'exit 1' INT TERM HUP
	mkdir "$dir/www"
	dd if=/dev/urandom of="$dir/www/large" bs=1M count="$mib" 2>/dev/null
	dd if=/dev/urandom of="$dir/www/small" bs=1M count=4 2>/dev/null
	large=$(hash_of "$dir/www/large")
	small=$(hash_of "$dir/www/small")
}

# background NAME COMMAND...: its output goes to $dir/NAME.
background() {
	name=$1
	shift
	"$@" >"$dir/$name" 2>"$dir/$name.err" &
	pids="$pids $!"
}

# port_of NAME: what a net-peer in the background printed.
port_of() {
	for _ in $(seq 100); do
		[ ! -s "$dir/$1" ] || break
		sleep 0.1
	done
	head -n 1 "$dir/$1"
}

hash_of() {
	sha256sum <"$1" | cut -d ' ' -f 1
}

# equal WHAT GOT EXPECTED
equal() {
	if [ "$2" = "$3" ]; then
		echo "ok: $1"
	else
		echo "FAIL: $1: '$2', not '$3'"
		failures=$((failures + 1))
	fi
}

# said NAME: what the guest printed behind "NAME: ".
said() {
	tr -d '\r' <"$dir/guest" | sed -n "s/^$1: //p"
}

# The guest's services, as lines of a script for it: port 8000 hashes what it gets, 8001 sends the
# large file, and the guest lives until somebody talks to port 8002.
services() {
	cat <<'END'
printf '#!/bin/sh\necho ready; sha256sum | cut -d " " -f 1\n' >/hash
printf '#!/bin/sh\necho ready; cat /large\n' >/send
printf '#!/bin/sh\necho ready; >/done\n' >/finish
chmod +x /hash /send /finish
nc -ll -p 8000 -e /hash &
nc -ll -p 8001 -e /send &
nc -ll -p 8002 -e /finish &
while [ ! -e /done ]; do sleep 1; done
END
}

finish() {
	if [ "$failures" -ne 0 ]; then
		echo "--- guest:"
		cat "$dir/guest" "$dir/guest.err"
	fi
	exit "$((failures != 0))"
}

# Shared by the disk tests; sourced by bash, with $plex86 the program and $guest the directory of
# kernel and initramfs.
#
# Owns: a temporary directory, $dir, which is current and goes away at the end, and running guests
# that look at disks. May not touch anything outside it.
# shellcheck shell=bash
: "${plex86:?}" "${guest:?}"
kernel=$guest/linux-6.1/vmlinux
initramfs=$guest/initramfs.cpio.gz
limit=200 # seconds, of a guest: far beyond what a slow host needs

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

fail()
{
	echo "FAIL: $*" >&2
	exit 1
}

# run_guest SCRIPT OPTION...: run SCRIPT in a guest with these options; its output is in `console`.
run_guest()
{
	local script=$1
	shift
	timeout "$limit" "$plex86" run -k "$kernel" -i "$initramfs" "$@" -- /bin/sh -c "$script" \
		</dev/null >console 2>messages
}

# guest_does SCRIPT OPTION...: the same, and SCRIPT must succeed.
guest_does()
{
	local status=0
	run_guest "$@" || status=$?
	[ "$status" = 0 ] || fail "status $status of: $1
$(cat console messages)"
}

sum()
{
	sha256sum <"$1" | cut -d ' ' -f 1
}

# make_disk IMAGE SIZE FILE...: an ext4 file system with these files in it.
make_disk()
{
	local image=$1 size=$2
	shift 2
	rm -rf "$image" content
	mkdir content
	[ $# = 0 ] || cp "$@" content
	truncate -s "$size" "$image"
	mke2fs -q -t ext4 -F -d content "$image"
}

# file_sum IMAGE PATH: the checksum of a file in an image.
file_sum()
{
	rm -f dumped
	debugfs -R "dump $2 dumped" "$1" 2>/dev/null
	[ -f dumped ] || fail "$1: no $2 in it"
	sum dumped
}

clean()
{
	e2fsck -fn "$1" >fsck 2>&1 || fail "$1: $(cat fsck)"
}

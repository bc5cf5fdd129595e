# Shared by the benchmarks of this directory; sourced by bash, with $root the top of the tree.
#
# Owns: where plex86, QEMU and their kernels are, running a peer with the host's time beside its
# figures, and what must be built for a peer. Needs of its user: $work, a directory, and $jobs.
# shellcheck shell=bash
: "${root:?}"
# shellcheck source=.ci/lib.sh
. "$root/.ci/lib.sh"

here=$root/tests/bench
plex86=${PLEX86:-$root/build/plex86}
qemu=${QEMU:-qemu-system-i386}
kernel=$root/build/guest/linux-6.1/vmlinux
pae_kernel=$root/build/guest/linux-6.1-pae/vmlinux
stock_kernel=$root/build/guest/linux-686-pae/vmlinuz
plain_kernel=$root/build/guest/linux-6.1-plain/arch/x86/boot/bzImage

note()
{
	printf '%s\n' "$*" >&2
}

# check_number OPTION VALUE REGEX WHAT
check_number()
{
	[[ $2 =~ $3 ]] || die "bench: $1 '$2': not a number of $4"
}

# check_list OPTION LIST ALLOWED
check_list()
{
	local word words
	IFS=, read -ra words <<<"$2"
	for word in "${words[@]}"; do
		[[ ,$3, == *,$word,* ]] || die "bench: $1 '$word': not one of ${3//,/, }"
	done
}

build_tools()
{
	mkdir -p "$work"
	"${CC:-gcc}" -O2 -Wall -Wextra -Werror -o "$work/wall" "$here/wall.c"
	"${CC:-gcc}" -O2 -Wall -Wextra -Werror -o "$work/mkcpio" "$root/guest/mkcpio.c"
}

# build_bench BITS: a static program, and an initramfs that holds nothing else.
build_bench()
{
	local dir=$work/$1
	mkdir -p "$dir"
	"${CC:-gcc}" "-m$1" -std=gnu11 -O2 -msse2 -mfpmath=sse -static -Wall -Wextra -Werror \
		-o "$dir/bench" "$here/bench.c" "$here/sha256.c" ||
		die "bench: cannot build for $1 bits (on Debian: apt-get install gcc-multilib)"
	echo "file /bench 0755 $dir/bench" | "$work/mkcpio" >"$dir/initramfs.cpio"
}

# run_timed PEER GOOD COMMAND...: what the peer prints behind "bench " on standard output, each line
# after the host's time. GOOD is the exit status that means success.
run_timed()
{
	local peer=$1 good=$2 line status
	shift 2
	set +e
	timeout 900 "$work/wall" "$@" </dev/null 2>"$work/$peer.stderr" | while IFS= read -r line; do
		line=${line%$'\r'}
		case $line in
		"bench "*) echo "$EPOCHREALTIME ${line#bench }" ;;
		*) printf '%s\n' "$line" >&3 ;;
		esac
	done 3>"$work/$peer.console"
	status=${PIPESTATUS[0]}
	set -e
	[ "$status" = "$good" ] && return
	note "bench: $peer: exit status $status instead of $good; what it said is in $work/$peer.*; the end:"
	tail -qn 3 "$work/$peer.console" "$work/$peer.stderr" >&2
	return 1
}

# samples_of PEER: figures out of run_timed's lines. `bench end` carries the guest's own idea of the
# nanoseconds since `bench begin`, which is compared with the host's: clock = guest / host.
samples_of()
{
	awk -v peer="$1" '
		$2 == "begin" { begin = $1; next }
		$2 == "end" { printf "%s clock %.4f\n", peer, $3 / (($1 - begin) * 1e9); next }
		$2 != "wall" { print peer, $2, $3 }'
}

# prepare_PEER: build or find what it needs; on failure print why.
prepare_plex86()
{
	{
		[ -n "${PLEX86:-}" ] || build_plex86
		"$root/guest/build-kernel" 6.1 --jobs "$jobs" &&
			"$root/guest/build-kernel" 6.1-pae --jobs "$jobs"
	} >&2 || echo "could not be built"
}

prepare_qemu()
{
	command -v "$qemu" >/dev/null || { echo "$qemu is not installed" && return; }
	"$root/guest/build-kernel" 6.1 --plain --jobs "$jobs" >&2 || echo "its kernel could not be built"
}

host_description()
{
	echo "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), Linux $(uname -r)"
}

# The first CPU this may run on.
first_cpu()
{
	taskset -cp $$ | sed 's/.*: //; s/[,-].*//'
}

# qemu_microvm MIB: set `command` to a QEMU with virtio over MMIO and without PCI, as plex86's machine,
# and `qemu_words` to what its kernel must be told. Without a local APIC, for which its firmware would
# have to let the 8259's interrupts through; the TSC's frequency is told, for there is nothing to
# measure it by.
# shellcheck disable=SC2054,SC2034 # the commas are QEMU's own; for those who source this
qemu_microvm()
{
	command=("$qemu" -M "microvm,acpi=off,pit=on,pic=on,rtc=on,memory-backend=ram" -accel tcg
		-cpu max,-apic -global virtio-mmio.force-legacy=false
		-object "memory-backend-memfd,id=ram,size=$1M,share=on" -m "$1"
		-nodefaults -display none -no-reboot -serial stdio
		-device isa-debug-exit,iobase=0xf4,iosize=4 -kernel "$plain_kernel")
	qemu_words="console=ttyS0 panic=-1 tsc=reliable tsc_early_khz=$(
		awk '/^cpu MHz/ { printf "%d", $4 * 1000; exit }' /proc/cpuinfo)"
}

# qemu_drive ID FILE OPTION: one more disk in `command`.
# shellcheck disable=SC2054
qemu_drive()
{
	command+=(-drive "if=none,id=$1,file=$2,format=raw,aio=io_uring,$3"
		-device "virtio-blk-device,drive=$1")
}

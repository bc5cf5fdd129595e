# The jobs of the benchmark on each peer; sourced by `run`, after lib.sh.
#
# Owns: the Debian for i386 they run in ($root/build/guest/apps.ext4, and unpacked for the host's own
# run), and how each peer is started with it. What the jobs are is jobs.sh's.
# shellcheck shell=bash
: "${root:?}" "${work:?}" "${here:?}"

jobs_image=$root/build/guest/apps.ext4
jobs_script=$work/jobs.img # jobs.sh as a disk
jobs_tree=$work/jobs
jobs_memory=512 # MiB: gcc, and a tmpfs

# Guests boot off the image read-only, and init is a shell that reads jobs.sh off a disk of its own.
jobs_words="quiet root=/dev/vda ro JOBS_END=f4 init=/bin/bash -- /dev/vdb"

prepare_jobs()
{
	build_apps >&2 || return
	cp "$here/jobs.sh" "$jobs_script" && truncate -s 1M "$jobs_script"
}

# The same files for the host; device files are left out, which nobody but root could make.
prepare_jobs_native()
{
	local tar=$root/build/guest/rootfs-apps/rootfs.tar
	if [ ! "$jobs_tree" -nt "$tar" ]; then
		rm -rf "$jobs_tree" && mkdir -p "$jobs_tree" &&
			tar -C "$jobs_tree" -x --no-same-owner --exclude='./dev/*' -f "$tar" &&
			touch "$jobs_tree" || return
	fi
	# Build tools ask for no more of /dev than this.
	touch "$jobs_tree/dev/null"
	cp "$here/jobs.sh" "$jobs_tree/jobs.sh"
}

jobs_native()
{
	local user=()
	[ "$(id -u)" = 0 ] || user=(--user --map-root-user)
	run_timed native 0 taskset -c "$(first_cpu)" unshare "${user[@]}" --mount sh -c \
		'mount --bind /dev/null "$1/dev/null" && exec chroot "$1" /bin/bash /jobs.sh' - \
		"$jobs_tree"
}

jobs_plex86()
{
	run_timed plex86 1 "$plex86" run -k "$kernel" -m "${jobs_memory}M" -d "$jobs_image,cow" \
		-d "$jobs_script,ro" -a "$jobs_words"
}

# The machine's own words for its devices come last, and behind the -- they would be init's.
jobs_qemu()
{
	local devices='virtio_mmio.device=512@0xfeb00e00:12 virtio_mmio.device=512@0xfeb00c00:11'
	qemu_microvm "$jobs_memory"
	qemu_drive image "$jobs_image" snapshot=on
	qemu_drive script "$jobs_script" readonly=on
	run_timed qemu 1 "${command[@]}" -append "$qemu_words $devices $jobs_words"
}

# sample_jobs PEER
sample_jobs()
{
	"jobs_$1" | samples_of "$1"
}

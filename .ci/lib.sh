# Shared by ./demo, ./check and tests/bench/run; sourced by bash, with $root the top of the tree and
# $jobs how many jobs a build may use.
#
# Owns: installing packages, and building plex86 and its guest, each quick when nothing is to do.
# May not touch anything outside $root/build* but, through apt, the system's packages.
# shellcheck shell=bash
: "${root:?}"

say()
{
	printf '== %s\n' "$*"
}

die()
{
	printf 'plex86: %s\n' "$*" >&2
	exit 2
}

# The names of all packages of the groups given, from .ci/packages.
packages_of()
{
	local group
	for group; do
		awk -v group="$group" '!/^#/ && $2 == group { print $1 }' "$root/.ci/packages"
	done
}

# Those of its arguments that are not installed.
missing_packages()
{
	local name
	for name; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] ||
			echo "$name"
	done
}

# Set `become`, the words before a command that make it root's; fails if there is no way. Where
# nobody can type a password, sudo must not ask for one.
find_root()
{
	if [ "$(id -u)" = 0 ]; then
		become=(env)
	elif [ -t 0 ]; then
		become=(sudo) && command -v sudo >/dev/null
	else
		become=(sudo -n) && sudo -n true 2>/dev/null
	fi
}

# install_packages GROUP...: through apt, only what is missing.
install_packages()
{
	local names missing become
	command -v dpkg-query >/dev/null ||
		die "packages: no dpkg-query here: install what .ci/packages names, pass --no-install"
	mapfile -t names < <(packages_of "$@")
	mapfile -t missing < <(missing_packages "${names[@]}")
	[ ${#missing[@]} -gt 0 ] || return 0
	find_root || die "packages missing, and neither root nor sudo here: ${missing[*]}" \
		"(as root: apt-get install ${missing[*]})"
	say "installing ${missing[*]}"
	"${become[@]}" apt-get update -qq
	"${become[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

# configure PRESET BUILD-DIR [CMAKE-OPTION...]. A directory configured by hand keeps its generator.
configure()
{
	local preset=$1 dir=$root/$2 generator=()
	shift 2
	[ -f "$dir/CMakeCache.txt" ] || generator=(-G Ninja)
	cmake -S "$root" --preset "$preset" -B "$dir" "${generator[@]}" "$@" >/dev/null
}

build_plex86()
{
	: "${jobs:?}"
	say "building plex86"
	configure release build
	cmake --build "$root/build" -j "$jobs"
}

# The kernel tells its progress itself; a second run finds nothing to do.
build_guest()
{
	say "building the guest kernel and its initramfs"
	"$root/guest/build-kernel" 6.1 --jobs "$jobs"
	"$root/guest/make-initramfs"
}

# plex86.ko for the hosts that it is tested in. From nothing: 200 MB of network, two minutes.
build_kmod()
{
	say "building plex86.ko for its test hosts"
	"$root/tests/kmod-vm/fetch-hosts"
	cmake --build "$root/build" -t kmod >"$root/build/kmod.log" 2>&1 ||
		{ cat "$root/build/kmod.log" >&2; die "plex86.ko: cannot build it"; }
}

# The same for a kernel that checks itself; from nothing, 20 CPU minutes. After build_guest.
build_kmod_debug()
{
	say "building the debug kernel for plex86.ko"
	"$root/tests/kmod-vm/build-debug-kernel" --jobs "$jobs"
	build_kmod
}

# The three distributions, the other two kernels they are tested on, and one with PAE. From nothing that takes a
# minute for each image, and for each kernel four minutes of two CPUs and 130 MB of network.
build_distributions()
{
	local name
	say "building the kernels and images of whole distributions"
	for name in 6.1-pae 5.10 6.12; do
		"$root/guest/build-kernel" "$name" --jobs "$jobs"
	done
	for name in bookworm bullseye trixie; do
		"$root/guest/build-rootfs" "$name"
	done
}

# What a PC without Linux is tested with. From nothing: half a minute, and a few MB of network.
build_pc_disk()
{
	say "building the disk of a PC"
	"$root/guest/build-pc-disk"
}

# Debian's own kernels. From nothing: 100 MB of network, half a minute.
build_stock()
{
	local flavour
	say "fetching Debian's own kernels"
	for flavour in 686 686-pae; do
		"$root/guest/build-stock" "$flavour"
	done
}

# The kernel for gdb and KUnit, and the one of docs/debugging.md, the same with bugs. From nothing that
# takes five CPU minutes.
build_debug_guests()
{
	say "building the kernels for debuggers"
	"$root/docs/debugging/plant-bugs" --jobs "$jobs"
}

# A Debian with what some tests and the benchmark's jobs use: windows to show, a compiler, python,
# stress-ng, fio. From nothing: two minutes, and 180 MB of network.
build_apps()
{
	say "building the image of applications"
	"$root/guest/build-rootfs" bookworm --name apps \
		--include fio,gcc,libc6-dev,python3-minimal,stress-ng,x11-apps
}

# The other distributions with what the long soak works with. From nothing: two minutes, and 200 MB of network.
build_soak()
{
	local suite
	say "building the images of the soak"
	for suite in bullseye trixie; do
		"$root/guest/build-rootfs" "$suite" --name "soak-$suite" --include fio,stress-ng
	done
}

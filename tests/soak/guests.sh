# Shared by tests/soak/soak; sourced by bash: its guests from their start to their end, and their copies.
#
# Owns: for guest N disk.N, in.N (a FIFO: its standard input), console.N, messages.N; for copies the same
# with "copy". pids, inputs (descriptors), forwards (host ports) and generation (how often it was moved) are
# by N. rounds gets a line for each transfer of the host to a guest.
# shellcheck shell=bash disable=SC2154 # set in soak
limit=1800 # seconds, of each wait: far more than it takes

show()
{
	tail -n 15 "console.$1" "messages.$1"
}

# With what every guest finds at /mnt: the programs, and files with sums of the host's.
prepare_kit()
{
	local i
	rm -rf content
	mkdir -p content/tree
	cp "$here/member" "$here/net.pl" content
	for i in $(seq $((60 / scale))); do
		head -c $((RANDOM * 6 + 1)) /dev/urandom >"content/tree/file.$i"
	done
	(cd content/tree && sha256sum -- *) >content/sums
	make_disk kit.img 24M
}

make_disk()
{
	rm -f "$1"
	truncate -s "$2" "$1"
	mke2fs -q -t ext4 -F -d content "$1" || fail "mke2fs $1"
}

start_server()
{
	"${apart[@]}" perl "$here/net.pl" serve 127.0.0.1 0 >server </dev/null &
	server=$!
	until [ -s server ]; do
		kill -0 "$server" 2>/dev/null || { fail 'no server' && exit 1; }
		sleep 0.1
	done
}

has_disk()
{
	[ $(($1 % 2)) = 1 ]
}

# What a guest's first program does, but for the place where the root file system is.
begin_work()
{
	local n=$1 other others=''
	for ((other = 1; other <= guests; other++)); do
		[ "$other" = "$n" ] || others+=" 10.9.0.$other"
	done
	echo "ip link set eth1 up; ip addr add 10.9.0.$n/24 dev eth1"
	[ "$boot" = systemd ] || printf '%s; ' 'mount -t ext4 -o ro /dev/vda /mnt' 'mount -t proc proc /mnt/proc' \
		'mount -t sysfs sys /mnt/sys' 'mount --bind /dev /mnt/dev' 'mount -t tmpfs tmpfs /mnt/run'
	local root='' enter=exec
	[ "$boot" = systemd ] || root=/mnt enter='exec chroot /mnt'
	echo "mount -t tmpfs tmpfs $root/tmp; mount -t ext4 /dev/vdb $root/mnt ||
		mount -t ext4 -o ro /dev/vdb $root/mnt"
	echo "$enter /bin/bash /mnt/member $n $scale $(cat server)$others"
}

start_guest()
{
	local n=$1 spec=${specs[($1 - 1) % ${#specs[@]}]} disk=kit.img,ro how=() masks='' unit
	if has_disk "$n"; then
		make_disk "disk.$n" 128M
		disk=disk.$n
	fi
	forwards[n]=$(perl "$here/net.pl" port)
	if [ "$boot" = systemd ]; then
		# These want to write to the root file system.
		for unit in systemd-remount-fs systemd-growfs@- systemd-resolved; do
			masks+=" systemd.mask=$unit.service"
		done
		how=(-a "root=/dev/vda ro systemd.volatile=state$masks")
	else
		how=(-i "$kit/initramfs.cpio.gz" -a 'ip=:::::eth0:dhcp')
	fi
	rm -f "in.$n"
	mkfifo "in.$n"
	: >"console.$n"
	exec {inputs[n]}<>"in.$n"
	local environment=()
	[ "$n" != 1 ] || [ -z "$preload" ] || environment=("LD_PRELOAD=$preload")
	"${apart[@]}" env "${environment[@]}" "$plex86" run --name "soak-$n" --engine "$engine" -m "$memory" \
		-k "$kit/linux-${spec%%:*}/vmlinux" -d "$kit/${spec#*:}.ext4,ro" -d "$disk" "${how[@]}" \
		-a "$append" -n "user,hostfwd=tcp:127.0.0.1:${forwards[n]}-:8000" -n "lan=$dir/lan" \
		-- /bin/sh -c "$(begin_work "$n")" <"in.$n" >"console.$n" 2>"messages.$n" &
	pids[n]=$! generation[n]=0
}

# await FILE PID TEXT: until a line of FILE begins with TEXT; fails if the process ends first.
await()
{
	local waited
	for ((waited = 0; waited < limit * 5; waited++)); do
		! grep -aq "^$3" "$1" || return 0
		kill -0 "$2" 2>/dev/null || return 1
		sleep 0.2
	done
	return 1
}

await_begin()
{
	await "console.$1" "${pids[$1]}" begin && return
	fail "guest $1 does not begin" && show "$1"
	return 1
}

# Whether the process ends; one that does not is killed.
await_end()
{
	local waited
	for ((waited = 0; waited < limit * 5; waited++)); do
		kill -0 "$1" 2>/dev/null || return 0
		sleep 0.2
	done
	kill -KILL "$1"
	return 1
}

# A sum that is wrong does not end the run: there may be more to see.
all_live()
{
	local n
	for ((n = 1; n <= guests; n++)); do
		kill -0 "${pids[n]}" 2>/dev/null || { fail "guest $n ended by itself" && show "$n" && return 1; }
	done
}

# All guests at the same time: each is waited for by its mappings' locks, not by the CPU.
take_samples()
{
	local n now=$((SECONDS - begun)) samplers=()
	for ((n = 1; n <= guests; n++)); do
		sample_guest $now "guest$n.${generation[n]}" "soak-$n" "${pids[n]}" >>samples.csv &
		samplers+=($!)
	done
	wait "${samplers[@]}"
	sample_host $now "$TMPDIR" $alone >>samples.csv
}

# Is there enough to judge? A slow host takes longer.
seen_enough()
{
	local n
	[ "$guests" -lt 2 ] || [ -s copies ] || return
	for ((n = 1; n <= guests; n++)); do
		[ "$(grep -c ",guest$n.${generation[n]}," samples.csv)" -ge "$least" ] || return
	done
}

# The host's own transfers, one to each guest.
ask_guests()
{
	local n count said status
	trap - EXIT
	trap '' INT TERM HUP
	for ((n = 1; n <= guests; n++)); do
		count=$((RANDOM * 20 / scale + 1))
		said=$(perl "$here/net.pl" ask 127.0.0.1 "${forwards[n]}" $count)
		status=$?
		[ $status != 0 ] || echo "done guest$n $((2 * count))" >>rounds
		[ $status != 1 ] || fail "host to guest $n: $said"
	done
}

# saved N FILE [OPTION]: into a file, and how long it took into `saves`.
saved()
{
	local told
	if ! told=$(timeout $limit "$plex86" snapshot ${3:+"$3"} "soak-$1" "$2" 2>&1); then
		fail "snapshot of guest $1: $told" && show "$1"
		return 1
	fi
	echo "guest$1 $told" >>saves
}

# Each guest in turn; see soak's usage.
save_guests()
{
	local n
	trap - EXIT
	trap '' INT TERM HUP
	for ((n = 1; n <= guests; n++)); do
		[ ! -e stopping ] || return
		saved $n copy.snapshot || continue
		has_disk $n || try_copy $n "$1"
		rm -f copy.snapshot
	done
}

# Has the copy finished a round of each kind since it was resumed? peer: nobody is there.
all_kinds()
{
	local kind
	for kind in stress disk forks tree host; do
		await console.copy "$1" "done $kind" || return
	done
}

try_copy()
{
	local n=$1 with=${resume:-$engine} pid status=0
	[ "$with" != both ] || { with=$engine && [ $(($2 % 2)) = 1 ] && with=user; }
	rm -f in.copy
	mkfifo in.copy
	: >console.copy
	exec 8<>in.copy
	"${apart[@]}" "$plex86" resume --name "soak-copy-$n" --engine "$with" -n user -n "lan=$dir/lan-copy" copy.snapshot \
		<in.copy >console.copy 2>messages.copy 8>&- &
	pid=$!
	echo $pid >copy.pid
	all_kinds $pid || { fail "copy $2 of guest $n does not go on" && show copy; }
	echo stop >&8
	await_end $pid || { fail "copy $2 of guest $n does not end" && show copy; }
	wait $pid || status=$?
	exec 8>&-
	[ $status = 0 ] || { fail "copy $2 of guest $n: status $status" && show copy; }
	judge_console copy "copy $2 of guest $n"
	echo "guest$n $with $(compared copy)" >>copies
	rm -f copy.pid
}

# Guests with disks are ended with a snapshot, and go on from it.
move_guests()
{
	local n
	for ((n = 1; n <= guests; n++)); do
		has_disk $n || continue
		saved $n move.snapshot --stop || continue
		wait "${pids[n]}" 2>/dev/null
		"${apart[@]}" "$plex86" resume --name "soak-$n" --engine "$engine" move.snapshot <"in.$n" \
			>>"console.$n" 2>>"messages.$n" &
		pids[n]=$! generation[n]=$((generation[n] + 1))
		echo "guest$n" >>moved
		say "guest $n goes on from a snapshot"
	done
}

end_guest()
{
	echo stop >&"${inputs[$1]}"
}

# compared N|copy: rounds of each kind, and bytes, that its console tells of.
compared()
{
	tr -d '\r' <"console.$1" | awk '$1 == "done" && NF == 4 { rounds[$2]++; bytes += $4 }
		$1 == "lost" { lost++ }
		END { printf "%.0f bytes", bytes
			n = split("stress disk forks tree host peer", kind)
			for (i = 1; i <= n; i++) printf " %s %d", kind[i], rounds[kind[i]]
			printf " lost %d\n", lost }'
}

# judge_console N|copy WHO
judge_console()
{
	local line kind
	tr -d '\r' <"console.$1" | grep -a '^FAIL' | head -n 5 >wrong."$1"
	while read -r line; do
		fail "$2: $line"
	done <wrong."$1"
	grep -aq '^end' "console.$1" || { fail "$2 does not come to its end" && show "$1"; }
	for kind in stress disk forks tree host; do
		grep -aq "^done $kind" "console.$1" || fail "$2: no round of $kind"
	done
}

check_guest()
{
	local n=$1 status=0
	await_end "${pids[n]}" || { fail "guest $n does not end" && show "$n"; }
	wait "${pids[n]}" || status=$?
	[ $status = 0 ] || { fail "guest $n: status $status" && show "$n"; }
	judge_console "$n" "guest $n"
	[ "$guests" = 1 ] || grep -aq '^done peer' "console.$n" || fail "guest $n: no transfer to another"
	grep -q "^done guest$n " rounds || fail "guest $n: no transfer from the host"
	! grep -v "^plex86: snapshot '" "messages.$n" >said."$n" || fail "guest $n: $(head -n 3 said."$n")"
	exec {inputs[n]}>&-
	! has_disk "$n" || check_disk "$n"
}

# The file system is whole, and the host's files are as they were.
check_disk()
{
	e2fsck -fn "disk.$1" >fsck 2>&1 || fail "guest $1: its disk: $(cat fsck)"
	rm -rf dumped
	mkdir dumped
	debugfs -R 'rdump /tree dumped' "disk.$1" 2>/dev/null
	(cd dumped/tree && sha256sum --quiet -c ../../content/sums) || fail "guest $1: files on its disk"
}

check_left_behind()
{
	local left
	left=$(survivors)
	[ -z "$left" ] || fail "processes are left: $(paste -sd ' ' <<<"$left")"
	left=$(find tmp lan lan-copy run ! -type d ! -name '*.lock' ! -name lock)
	[ -z "$left" ] || fail "files are left: $(paste -sd ' ' <<<"$left")"
}

# What was done, a table.
report()
{
	local n
	for ((n = 1; n <= guests; n++)); do
		echo "guest $n (${specs[(n - 1) % ${#specs[@]}]}$(has_disk "$n" && echo ', a disk')):" \
			"$(compared "$n"), from the host $(awk -v g="guest$n" '$2 == g { b += $3 } END { printf "%.0f", b }' rounds)"
	done
	echo "snapshots: $(wc -l <saves), moves: $(wc -l <moved)," \
		"copies that went on: $(wc -l <copies)," \
		"bytes they compared: $(awk '{ b += $3 } END { printf "%.0f", b }' copies)"
}

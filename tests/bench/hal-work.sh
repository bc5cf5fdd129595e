#!/bin/sh
# What tests/bench/hal measures, on the host and in its guests; any POSIX shell.
# usage: hal-work.sh host|guest disk|net|share SECONDS FILE|ADDRESS|DIRECTORY IPERF3-PORT RR-PORT
#
# Owns: the measurements, and their lines: "bench NAME RATE". In a guest the programs are on /mnt,
# the disk measured is /dev/vdb, the folder has the tag "tree".
where=$1 device=$2 seconds=$3 target=$4 iperf_port=$5 rr_port=$6

if [ "$where" = guest ]; then
	mount --bind /dev /mnt/dev && mount -t proc proc /mnt/proc && mount -t tmpfs tmpfs /mnt/tmp
	programs='chroot /mnt'
	rr='/mnt/rr'
	direct=1
else
	programs=''
	rr=rr
	direct=0
fi

die()
{
	echo "hal-work: $*"
	exit 1
}

# Since the boot, 1/100 s.
now()
{
	awk '{ printf "%d", $1 * 100 }' /proc/uptime
}

# one_fio NAME RW BLOCK DEPTH FIELD DIVISOR: the field of fio's terse format, version 3.
one_fio()
{
	rate=$($programs fio --name=x --filename="$target" --rw="$2" --bs="$3" --iodepth="$4" \
		--direct=$direct --ioengine=libaio --thread --time_based --runtime="$seconds" \
		--allow_file_create=0 --invalidate=0 --output-format=terse --terse-version=3 |
		awk -F ';' -v field="$5" -v divisor="$6" '$1 == 3 { print $field / divisor }')
	[ -n "$rate" ] || die "fio: no figure for $1"
	echo "bench $1 $rate"
}

disk()
{
	[ "$where" = host ] || target=/dev/vdb
	for depth in 1 32; do
		one_fio "read_1M_QD${depth}_MiB" read 1M $depth 7 1024
		one_fio "write_1M_QD${depth}_MiB" write 1M $depth 48 1024
		one_fio "read_4K_random_QD$depth" randread 4k $depth 8 1
		one_fio "write_4K_random_QD$depth" randwrite 4k $depth 49 1
	done
}

# one_iperf NAME OPTION...: the receiver's Mbit/s.
one_iperf()
{
	name=$1
	shift
	rate=$($programs iperf3 -c "$target" -p "$iperf_port" -t "$seconds" -f m "$@" |
		awk '$NF == "receiver" { print $(NF - 2) }')
	[ -n "$rate" ] || die "iperf3: no figure for $name"
	echo "bench $name $rate"
}

net()
{
	one_iperf tcp_out_Mbit
	one_iperf tcp_in_Mbit -R
	for how in trips connections; do
		rate=$($rr $how "$target" "$rr_port" "$seconds") || die "rr $how failed"
		echo "bench tcp_$how $rate"
	done
}

# repeat NAME UNITS COMMAND...: how many of UNITS a second, repeating the command for long enough.
# What a guest has cached of the folder is forgotten first.
repeat()
{
	name=$1 units=$2 spent=0 times=0
	shift 2
	while [ $spent -lt $((seconds * 100)) ]; do
		[ "$where" = host ] || echo 3 >/proc/sys/vm/drop_caches
		began=$(now)
		"$@" >/dev/null || die "$* failed"
		spent=$((spent + $(now) - began))
		times=$((times + 1))
	done
	echo "bench $name $(awk "BEGIN { print $units * $times * 100 / $spent }")"
}

stat_all()
{
	find . -type f -print0 | xargs -0 stat
}

tar_all()
{
	tar cf - .
}

share()
{
	if [ "$where" = guest ]; then
		mkdir /share
		mount -t virtiofs tree /share || die 'no shared folder'
		target=/share
	fi
	cd "$target" || die "no $target"
	files=$(find . -type f | wc -l)
	bytes=$(tar_all | wc -c)
	repeat find_files "$files" find .
	repeat stat_files "$files" stat_all
	repeat tar_MiB $((bytes >> 20)) tar_all
}

started=$(now)
echo 'bench begin'
$device
echo "bench end $(($(now) - started))0000000"

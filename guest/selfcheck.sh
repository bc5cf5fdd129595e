#!/bin/sh
# selfcheck: does this machine compute, remember and communicate correctly?
#
# Owns: the checks a guest runs on itself, by content: every result is compared with a value known
# beforehand (of "seq 1 100000" and the like, computed elsewhere). Prints "ok NAME" or "FAIL NAME:
# WHY" for each, then a count; exits 0 only if all passed. Speed is never judged.

tmp=/tmp/selfcheck
passed=0 failed=0

# A check is a function that runs in a subshell: it says why and leaves it if it is not satisfied.
expect() {
	[ "$2" = "$3" ] && return
	echo "$1: wanted '$2', got '$3'"
	exit 1
}

at_least() {
	[ "$3" -ge "$2" ] && return
	echo "$1: wanted $2 or more, got '$3'"
	exit 1
}

check() {
	rm -rf "$tmp"
	mkdir -p "$tmp"
	if why=$(cd "$tmp" && "$1" 2>&1); then
		echo "ok $1"
		passed=$((passed + 1))
	else
		echo "FAIL $1: $(echo "$why" | tr '\n' ' ')"
		failed=$((failed + 1))
	fi
}

sum_of() {
	"$1" | cut -d ' ' -f 1
}

# Hundredths of a second since boot, by the monotonic clock.
uptime_cs() {
	read -r up rest </proc/uptime
	echo "${up%.*}${up#*.}"
}

# ---- the system
system() {
	expect machine i686 "$(uname -m)"
	expect kernel Linux "$(uname -s)"
	expect hostname plex86 "$(hostname)"
	expect user 0 "$(id -u)"
	expect init 1 "$(pidof init)"
	expect processors 1 "$(grep -c '^processor' /proc/cpuinfo)"
	for where in /proc /sys /dev /dev/pts /dev/shm /tmp /run; do
		grep -q " $where " /proc/mounts || expect mount "$where" none
	done
}

# ---- processes
exit_status() {
	for status in 0 1 7 42 127 128 255; do
		/bin/sh -c "exit $status"
		expect status $status $?
	done
	/bin/sh -c 'kill -KILL $$'
	expect killed 137 $?
	/nonexistent 2>/dev/null
	expect 'not found' 127 $?
}

many_processes() {
	n=0 sum=0
	while [ $n -lt 300 ]; do
		(exit $((n % 100)))
		sum=$((sum + $?))
		n=$((n + 1))
	done
	expect sum 14850 $sum
}

exec_processes() {
	n=0 output=
	while [ $n -lt 100 ]; do
		output=$output$(/bin/busybox echo -n x)
		n=$((n + 1))
	done
	expect length 100 ${#output}
}

background_jobs() {
	sum=0 pids=
	for n in 1 2 3 4 5 6 7 8; do
		(
			usleep $(((9 - n) * 10000))
			exit $n
		) &
		pids="$pids $!"
	done
	for pid in $pids; do
		wait "$pid"
		sum=$((sum + $?))
	done
	expect sum 36 $sum
}

arguments() {
	expect words 20000 "$(seq 1 20000 | xargs echo | wc -w)"
	value=$(seq 1 8000 | tr '\n' ' ')
	expect environment "$value" "$(VALUE=$value /bin/sh -c 'echo "$VALUE"')"
}

# ---- pipes, signals
pipes() {
	expect sum 100000 "$(seq 1 100000 | sort -rn | head -n 1)"
	expect cats a8177876b2886cb74338f9a050089431 \
		"$(seq 1 200000 | head -c 1048576 | cat | cat | cat | cat | sum_of md5sum)"
	expect 'closed pipe' y "$(yes | head -n 1)"
	mkfifo fifo
	seq 1 1000 >fifo &
	expect fifo 1000 "$(tail -n 1 <fifo)"
	wait
}

signals() {
	expect trap 'usr1 usr1 usr2 exit' "$(/bin/sh -c '
		trap "echo -n usr1\ " USR1
		trap "echo -n usr2\ " USR2
		trap "echo exit" EXIT
		kill -USR1 $$; kill -USR1 $$; kill -USR2 $$; :')"
	sleep 60 &
	kill -TERM $!
	wait $!
	expect term 143 $?
	timeout 1 sleep 60
	expect timeout 143 $?
	/bin/sh -c 'trap "" TERM; kill -TERM $$; exit 5'
	expect ignored 5 $?
}

stop_and_continue() {
	sh -c 'while :; do usleep 10000; done' &
	kill -STOP $!
	usleep 50000
	expect stopped T "$(cut -d ' ' -f 3 "/proc/$!/stat")"
	kill -CONT $!
	usleep 50000
	[ "$(cut -d ' ' -f 3 "/proc/$!/stat")" != T ] || expect continued S T
	kill -KILL $!
	wait $!
	expect status 137 $?
}

# ---- memory and files
big_memory() {
	expect dd 33554432 "$(dd if=/dev/zero bs=32M count=1 2>/dev/null | wc -c)"
	expect awk 1250025000 "$(awk 'BEGIN {
		for (i = 1; i <= 50000; i++) a[i] = i
		for (i in a) s += a[i]
		printf "%d", s }')"
	expect sort 338f61e49110b3940f942ab40ec5978f "$(seq 1 100000 | sort | sum_of md5sum)"
	grep -q '\[stack\]' /proc/self/maps || expect maps stack none
}

checksums() {
	expect md5 900150983cd24fb0d6963f7d28e17f72 "$(echo -n abc | sum_of md5sum)"
	expect sha256 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad \
		"$(echo -n abc | sum_of sha256sum)"
	seq 1 100000 >numbers
	expect md5 dea9193b768319cbb4ff1a137ac03113 "$(sum_of md5sum <numbers)"
	expect sha256 b2bc7d3f8b652d2ec96865b68ad8f80e22cca174abe1aed7889e242a747d590f "$(sum_of sha256sum <numbers)"
	expect sha1 5fde1cce603e6566d20da811c9c8bcccb044d4ae "$(dd if=/dev/zero bs=1M count=8 2>/dev/null | sum_of sha1sum)"
}

compression() {
	seq 1 100000 >numbers
	for pack in gzip bzip2; do
		$pack -c numbers >packed
		$pack -dc packed | cmp -s - numbers || expect $pack same different
	done
	mkdir tree
	for n in 1 2 3 4 5 6 7 8; do
		seq $n 5000 >tree/$n
	done
	tar -cf tree.tar tree
	(cd tree && md5sum *) >sums
	rm -r tree
	tar -xf tree.tar
	(cd tree && md5sum -c ../sums) >/dev/null || expect tar same different
}

files() {
	n=0
	while [ $n -lt 300 ]; do
		echo $n >file$n
		n=$((n + 1))
	done
	expect count 300 "$(ls | wc -l)"
	expect sum 44850 "$(cat file* | awk '{ s += $1 } END { print s }')"
	mv file7 moved
	ln -s moved soft
	ln moved hard
	expect soft 7 "$(cat soft)"
	echo more >>hard
	expect hard '7 more' "$(cat moved | tr '\n' ' ' | sed 's/ $//')"
	expect links 2 "$(stat -c %h moved)"
	chmod 4750 moved
	expect mode 4750 "$(stat -c %a moved)"
	truncate -s 3 file100
	expect truncated 3 "$(stat -c %s file100)"
	rm file*
	expect left 3 "$(ls | wc -l)"
}

copies() {
	dd if=/dev/urandom of=data bs=64k count=32 2>/dev/null
	expect size 2097152 "$(stat -c %s data)"
	dd if=data of=copy bs=777 2>/dev/null
	cmp -s data copy || expect copy same different
	dd if=/dev/urandom of=other bs=64k count=32 2>/dev/null
	! cmp -s data other || expect random different same
	dd if=data of=sparse bs=64k count=1 seek=100 2>/dev/null
	expect sparse 6619136 "$(stat -c %s sparse)"
	at_least 'sparse blocks saved' 1 $((6619136 - $(stat -c %b sparse) * 512))
	expect hole "$(dd if=/dev/zero bs=64k count=100 2>/dev/null | sum_of md5sum)" \
		"$(dd if=sparse bs=64k count=100 2>/dev/null | sum_of md5sum)"
}

filesystem_on_loop() {
	dd if=/dev/zero of=image bs=1M count=8 2>/dev/null
	mke2fs -F image >/dev/null 2>&1 || expect mke2fs 0 $?
	mkdir disk
	mount -t ext2 -o loop image disk || expect mount 0 $?
	seq 1 100000 >disk/numbers
	umount disk
	mount -t ext2 -o loop,ro image disk || expect 'second mount' 0 $?
	sum=$(sum_of md5sum <disk/numbers)
	umount disk
	expect md5 dea9193b768319cbb4ff1a137ac03113 "$sum"
}

# ---- arithmetic
integers() {
	expect shift 1099511627776 $((1 << 40))
	expect product 12345678987654321 $((111111111 * 111111111))
	expect quotient 3074457345618258602 $((9223372036854775807 / 3))
	expect remainder -1 $((-7 % 3))
	expect bc 93326215443944152681699238856266700490715968264381621468592963895217599993229915608941463976156518286253697920827223758251185210916864000000000000000000000000 \
		"$(echo 'p=1; for (i=1; i<=100; i++) p*=i; p' | BC_LINE_LENGTH=0 bc)"
}

# This awk has no mathematical functions: square root by Newton, e and pi by their series.
series='
function arctan(x,  sum, term, k) {
	for (term = x; term > 1e-17; term *= x * x) {
		sum += (k % 2 ? -term : term) / (2 * k + 1)
		k++
	}
	return sum
}
BEGIN {
	for (i = 1; i <= 20000; i++) s += 1 / (i * i)
	for (root = i = 1; i < 10; i++) root = (root + 2 / root) / 2
	for (e = term = i = 1; i < 30; i++) e += term /= i
	printf "%.12f %.12f %.12f %.12f", s, root, e, 16 * arctan(1 / 5) - 4 * arctan(1 / 239)
}'
series_value='1.644884068098 1.414213562373 2.718281828459 3.141592653590'

floating_point() {
	expect series "$series_value" "$(awk "$series")"
}

# The registers of each must survive the others' turns.
floating_point_in_turns() {
	for n in 1 2 3 4; do
		awk "$series" >result$n &
	done
	wait
	for n in 1 2 3 4; do
		expect "series $n" "$series_value" "$(cat result$n)"
	done
}

# ---- time
sleeping() {
	before=$(uptime_cs) date_before=$(date +%s)
	sleep 1
	after=$(uptime_cs) date_after=$(date +%s)
	at_least 'hundredths of a second slept' 99 $((after - before))
	at_least 'seconds the two clocks agree within' 0 \
		$((2 - (after - before) / 100 + (date_after - date_before)))
	at_least 'seconds the two clocks agree within' 0 \
		$((2 + (after - before) / 100 - (date_after - date_before)))
	at_least year 2024 "$(date +%Y)"
}

clock_never_goes_back() {
	last=$(uptime_cs) n=0
	while [ $n -lt 300 ]; do
		now=$(uptime_cs)
		at_least clock "$last" "$now"
		last=$now
		n=$((n + 1))
	done
}

timer_interrupts() {
	count() {
		awk '$1 == "0:" { print $2 }' /proc/interrupts
	}
	before=$(count)
	sleep 0.2
	at_least ticks $((before + 1)) "$(count)"
}

# ---- network
ping_loopback() {
	expect replies 1 "$(ping -c 3 -i 0.1 127.0.0.1 | grep -c '3 packets received')"
}

tcp_loopback() {
	seq 1 100000 >numbers
	mkfifo open # nc hangs up when its input ends
	exec 3<>open
	nc -l -p 7777 <&3 >received &
	n=0
	until grep -q ':1E61 .* 0A ' /proc/net/tcp; do
		n=$((n + 1))
		[ $n -lt 500 ] || expect listening yes no
		usleep 10000
	done
	nc 127.0.0.1 7777 <numbers
	wait
	cmp -s numbers received || expect data same different
}

for name in system exit_status many_processes exec_processes background_jobs arguments pipes \
	signals stop_and_continue big_memory checksums compression files copies filesystem_on_loop \
	integers floating_point floating_point_in_turns sleeping clock_never_goes_back \
	timer_interrupts ping_loopback tcp_loopback; do
	check $name
done
rm -rf "$tmp"
echo "selfcheck: $passed passed, $failed failed"
[ $failed -eq 0 ]

#!/bin/sh
# work.sh DIR: work whose results are known: the same lines wherever it runs, by whatever shell,
# kernel and CPU. On the host by the tests, in a guest by what they compare with it.
#
# DIR has `data`; what is written goes there as well, for whoever looks at the file system later.
# WORK_ROUNDS and WORK_PROGRAMS: less of it, or more.
set -eu
cd "$1"
rounds=${WORK_ROUNDS:-25} programs=${WORK_PROGRAMS:-39}

echo "data: $(sha256sum <data)"
echo "data, again: $(md5sum <data) $(sha1sum <data)"

# Through a compressor and back, with pipes between processes.
gzip -c data >data.gz
echo "gzip: $(gzip -dc data.gz | sha256sum)"
echo "bytes: $(od -An -v -tx1 data | tr -d ' \n' | sha256sum)"
echo "sorted: $(od -An -v -tx4 -w4 data | LC_ALL=C sort | sha256sum)"

# Children that end with a status of their own, many at a time.
storm() {
	sum=0 round=0
	while [ $round -lt "$rounds" ]; do
		pids= i=0
		while [ $i -lt 8 ]; do
			(exit $(((round * 8 + i) % 251))) &
			pids="$pids $!"
			i=$((i + 1))
		done
		for pid in $pids; do
			status=0
			wait "$pid" || status=$?
			sum=$((sum + status))
		done
		round=$((round + 1))
	done
	echo "$sum"
}
echo "forks: $(storm)"

# Programs, each of an address space of its own.
run=1 words=
while [ $run -le "$programs" ]; do
	words="$words$(expr $run \* $run)"
	run=$((run + 1))
done
echo "programs: $(echo "$words" | sha256sum)"

# Floating point: sums that are exact in binary, whatever precision the CPU has.
echo "sum: $(awk 'BEGIN { for (i = 1; i <= 60000; i++) s += i / 1024; printf "%.10f", s }')"

# Many files, some of them gone again.
mkdir files
i=0
while [ $i -lt 60 ]; do
	dd if=data of=files/$i bs=4096 skip=$i count=3 2>/dev/null
	[ $((i % 3)) -ne 2 ] || rm files/$((i - 1))
	i=$((i + 1))
done
sync
echo "files: $(cat files/* | sha256sum) $(ls files | LC_ALL=C sort | sha256sum)"

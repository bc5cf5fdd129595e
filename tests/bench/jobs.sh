# The jobs of the benchmark: what people do on a Linux, each printed as `bench NAME NANOSECONDS`.
# Read by bash as `bash jobs.sh`, natively in the root directory of a Debian for i386 with gcc and
# python3-minimal, or as the only program (init) of a guest that has the same as its root.
#
# Owns: what the jobs are. It works in a tmpfs, so that no disk is measured. Like bench.c it knows
# nothing of the machine under it, but that JOBS_END=f4 ends one by a write to port 0xF4.
# shellcheck shell=bash
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
dir=/tmp/jobs
mount -t tmpfs tmpfs /tmp
mkdir $dir
cd $dir


# timed NAME COMMAND...
timed()
{
	local name=$1 from to
	shift
	from=${EPOCHREALTIME/./}
	"$@" >"$name.out"
	to=${EPOCHREALTIME/./}
	echo "bench $name $(((to - from) * 1000))"
}

# Twenty files, of which each has its own constants, so that no two are alike.
write_program()
{
	local i
	for ((i = 0; i < 20; i++)); do
		cat >"part$i.c" <<END
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct item$i { char name[$((i + 20))]; unsigned key, count; struct item$i *left, *right; };
static struct item$i *insert(struct item$i *at, unsigned key)
{
	if (!at) {
		at = calloc(1, sizeof(*at));
		at->key = key;
		snprintf(at->name, sizeof(at->name), "item %u", key);
	} else if (key < at->key) {
		at->left = insert(at->left, key);
	} else if (key > at->key) {
		at->right = insert(at->right, key);
	}
	at->count++;
	return at;
}
static unsigned long total(const struct item$i *at)
{
	return at ? at->count * strlen(at->name) + total(at->left) + total(at->right) : 0;
}
static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}
unsigned long part$i(unsigned seed)
{
	struct item$i *tree = NULL;
	int numbers[$((i * 8 + 64))];
	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		seed = seed * 1103515245 + $((i * 2 + 12345));
		numbers[i] = seed >> 16 & 1023;
		tree = insert(tree, numbers[i]);
	}
	qsort(numbers, sizeof(numbers) / sizeof(numbers[0]), sizeof(numbers[0]), compare);
	return total(tree) + numbers[$i];
}
END
		echo "unsigned long part$i(unsigned);" >>parts.h
		echo "sum += part$i(sum);" >>calls.h
	done
	cat >main.c <<'END'
#include <stdio.h>
#include "parts.h"
int main(void)
{
	unsigned long sum = 1;
#include "calls.h"
	printf("%lu\n", sum);
	return 0;
}
END
}

compile()
{
	local i objects=()
	for ((i = 0; i < 20; i++)); do
		gcc -O2 -Wall -c "part$i.c"
		objects+=("part$i.o")
	done
	gcc -O2 -Wall -o program main.c "${objects[@]}"
	./program
}

# Each round makes five processes, two of them subshells.
shell()
{
	local i word
	for ((i = 0; i < 100; i++)); do
		word=$(echo "round $i" | sed s/round/turn/)
		/bin/test "$word" = "turn $i"
		expr "$i" + 1 >/dev/null || return
	done
	echo "$word"
}

python()
{
	local i
	for ((i = 0; i < 50; i++)); do
		python3 -c "import os; print(os.getpid() > 0)"
	done
}

check()
{
	[ "$(tail -n 1 "$1.out")" = "$2" ] && return
	echo "jobs: $1: wrong result '$(tail -n 1 "$1.out")'"
	exit 1
}

write_program
# Once untimed: what comes from the disk is then in memory.
gcc -c main.c && python3 -c pass
echo "bench begin"
from=${EPOCHREALTIME/./}
timed compile_20_files compile
timed shell_500_processes shell
timed python_50_starts python
to=${EPOCHREALTIME/./}
check compile_20_files 179696
check shell_500_processes "turn 99"
check python_50_starts True
echo "bench end $(((to - from) * 1000))"
[ "${JOBS_END:-}" != f4 ] || printf '\0' | dd of=/dev/port bs=1 seek=244 conv=notrunc status=none
exit 0

# Is what was sampled flat? Reads the table of tests/soak/sample.sh, judges each column of each guest and
# of the host, and prints a table and, for what grows, lines that begin with FAIL. Exits with 1 if there
# are any, or if nothing was long enough to be judged.
#
# A series is judged without its first fifth, when everything fills up for the first time. It grows
#   - if the median of the last third is more than that of the first third, by more than a share of it
#     and a slack: "bounds"; or
#   - if its lower quartile rises from each sixth of the time to the next, by more than half of that in
#     all: a leak that is too slow for the bounds yet.
# What is noise, as the number of mappings of programs that come and go, is in the bounds; they are
# stated where the columns are.
#
# -v least=N: how many samples a series must have to be judged (18: three for each sixth).
BEGIN {
	FS = ","
	if (!least)
		least = 18
	#                 share slack
	bounds("processes 0     0")
	bounds("threads   0     4") # workers for disks come and go
	bounds("files     0     16") # sockets of transfers, and /proc now and then
	bounds("mappings  0.5   4000") # a cache of the guest's working set
	bounds("own       0.2   8192") # pss without ram
	bounds("anon      0.1   8192")
	bounds("shared    0.2   8192")
	# Not judged: RAM is as large as the guest was made, but fills up slowly, and comes and goes with a balloon.
	bounds("ram       -1    0")
	bounds("temps     0    2")
	bounds("temp_kib  0.1  8192")
	bounds("kernel    0.1  16384")
}

function bounds(text,   f) {
	split(text, f, " ")
	order[++columns] = f[1]
	share[f[1]] = f[2]
	slack[f[1]] = f[3]
}

# The q-th quantile of value[from..to].
function quantile(from, to, q,   n, i, j, v, sorted) {
	for (i = from; i <= to; i++) {
		v = value[i]
		for (j = n; j && sorted[j] > v; j--)
			sorted[j + 1] = sorted[j]
		sorted[j + 1] = v
		n++
	}
	return sorted[int((n - 1) * q) + 1]
}

# Part k of n of the series behind its first fifth.
function part(k, n, q,   skip, count) {
	skip = int(samples / 5)
	count = samples - skip
	return quantile(skip + 1 + int(count * (k - 1) / n), skip + int(count * k / n), q)
}

function show(who, column) {
	printf "%-12s %-10s %8d %12d %12d\n", who, column, samples, part(1, 3, 0.5), part(3, 3, 0.5)
}

function judge(who, column,   first, last, allowed, k, low, before, lowest, rises) {
	first = part(1, 3, 0.5)
	last = part(3, 3, 0.5)
	allowed = first * share[column] + slack[column]
	printf "%-12s %-10s %8d %12d %12d %12d\n", who, column, samples, first, last, first + allowed
	if (last > first + allowed)
		complain(who, column, sprintf("%d, and later %d; %d is allowed", first, last, first + allowed))
	for (k = 1; k <= 6; k++) {
		low = part(k, 6, 0.25)
		rises += k > 1 && low > before
		if (k == 1)
			lowest = low
		before = low
	}
	if (rises == 5 && before - lowest > allowed / 2)
		complain(who, column, sprintf("rises all the time, from %d to %d", lowest, before))
	judged++
}

function complain(who, column, text) {
	complaints[++failures] = "FAIL: " who ": " column ": " text
}

function remember(who, column, sample) {
	if (sample != "")
		table[who, column, ++count[who, column]] = sample
}

FNR == 1 {
	for (i = 1; i <= NF; i++)
		name[i] = $i
	next
}

{
	if (!($2 in seen))
		whos[++guests] = $2
	seen[$2] = 1
	for (i = 3; i <= NF; i++) {
		value_of[name[i]] = $i
		remember($2, name[i], $i)
	}
	if (value_of["pss"] != "")
		remember($2, "own", value_of["pss"] - value_of["ram"])
}

END {
	printf "%-12s %-10s %8s %12s %12s %12s\n", "who", "what", "samples", "first", "last", "allowed"
	for (g = 1; g <= guests; g++)
		for (c = 1; c <= columns; c++) {
			samples = count[whos[g], order[c]]
			if (!samples)
				continue
			if (samples < least) {
				printf "%-12s %-10s %8d (too few to be judged)\n", whos[g], order[c], samples
				continue
			}
			for (i = 1; i <= samples; i++)
				value[i] = table[whos[g], order[c], i]
			if (share[order[c]] < 0)
				show(whos[g], order[c])
			else
				judge(whos[g], order[c])
		}
	if (!judged)
		complain("all", "samples", "no series is long enough to be judged")
	for (i = 1; i <= failures; i++)
		print complaints[i]
	exit(failures > 0)
}

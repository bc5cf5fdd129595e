# Shared by tests/soak/soak; sourced by bash. What plex86 holds, as lines of a table.
#
# Owns: the table's columns. Sizes are in KiB, of all processes of a guest together:
#   processes threads files mappings   how many there are
#   rss pss                            memory of the processes; pss counts what they share once
#   anon                               of that, what is their own: heaps and stacks
#   shared                             what they share beside the guest's RAM: shadows, state
#   ram                                what of the guest's RAM the host has given it
# and of the host:
#   temps temp_kib                     files in $TMPDIR, sockets and the like included
#   kernel                             memory of the kernel's own; where no others use the host
# shellcheck shell=bash
: "${plex86:?}" "${dir:?}"
columns=seconds,who,processes,threads,files,mappings,rss,pss,anon,shared,ram,temps,temp_kib,kernel

# tree_of PID: it and its descendants, into `tree`. Without a process, as is all that is done for each of them.
tree_of()
{
	local children child word
	tree+=("$1")
	for children in /proc/"$1"/task/*/children; do
		word=''
		{ read -r word <"$children"; } 2>/dev/null || [ -n "$word" ] || continue
		for child in $word; do
			tree_of "$child"
		done
	done
}

# start_of PID: when it was started, into `start`: with its number, its name for ever.
start_of()
{
	local line='' words
	start=''
	{ read -r line <"/proc/$1/stat"; } 2>/dev/null
	read -ra words <<<"${line##*) }"
	start=${words[19]:-}
}

# sample_guest SECONDS WHO NAME PID: a line; nothing, if the guest does not answer.
sample_guest()
{
	local pid tree=() files=() open=0 list start status
	status=$(timeout 60 "$plex86" control "$3" status 2>/dev/null |
		jq -r '.return | "\(.shared / 1024 | floor),\(.resident / 1024 | floor)"') || return 0
	[ -n "$status" ] || return 0
	tree_of "$4"
	for pid in "${tree[@]}"; do
		files+=("/proc/$pid")
		list=("/proc/$pid/fd"/*)
		open=$((open + ${#list[@]}))
		start_of "$pid"
		echo "$pid $start" >>"$dir/seen"
	done
	printf '%s,%s,%s,%s\n' "$1" "$2" ${#tree[@]} "$(
		cat "${files[@]/%//status}" "${files[@]/%//smaps_rollup}" 2>/dev/null |
			awk -v open=$open -v maps="$(cat "${files[@]/%//maps}" 2>/dev/null | wc -l)" -v status="$status" '
				{ sum[$1] += $2 }
				END { printf "%d,%d,%d,%d,%d,%d,%s,,,", sum["Threads:"], open, maps, sum["Rss:"],
					sum["Pss:"], sum["RssAnon:"], status }')"
}

# The kernel's own: what it has given to nobody who would be found by the other numbers.
kernel_kib()
{
	awk '{ sub(":", "", $1); kib[$1] = $2 }
		END {
			users = kib["Buffers"] + kib["Cached"] + kib["AnonPages"] + kib["SReclaimable"]
			print kib["MemTotal"] - kib["MemFree"] - users
		}' /proc/meminfo
}

# sample_host SECONDS TMPDIR ALONE: with the kernel's memory if nobody else is on this host.
sample_host()
{
	printf '%s,host,,,,,,,,,,%s,%s,%s\n' "$1" "$(find "$2" -mindepth 1 2>/dev/null | wc -l)" \
		"$(du -sk "$2" 2>/dev/null | cut -f 1)" "$([ "$3" = yes ] && kernel_kib)"
}

# Those of all processes ever sampled that live.
survivors()
{
	local pid start began
	sort -u "$dir/seen" 2>/dev/null | while read -r pid began; do
		start_of "$pid"
		[ -z "$began" ] || [ "$start" != "$began" ] || echo "$pid"
	done
}

# Samples ("PEER NAME VALUE" a line) to medians, a markdown table and JSON.
#
# Variables: peers (in order), runs, host (a description), uml_bits, json and svg (files or empty),
# absent (file of "PEER WHY" lines), what (the unit of all values; default: nanoseconds a time),
# reference (the peer others are compared with; default: native). Plain awk, no extension; the plot
# is plot.awk's.

BEGIN {
	if (what == "")
		what = "nanoseconds a time"
	if (reference == "")
		reference = "native"
}

{
	key = $1 SUBSEP $2
	sample[key, ++count[key]] = $3
	if (!($2 in seen) && $2 != "clock") {
		seen[$2] = 1
		name[++names] = $2
	}
}

# The middle of a sorted copy; of the middle two, their mean.
function median(key,    n, i, j, v, s)
{
	n = count[key]
	for (i = 1; i <= n; i++) {
		v = sample[key, i]
		for (j = i - 1; j >= 1 && s[j] > v; j--)
			s[j + 1] = s[j]
		s[j + 1] = v
	}
	return n % 2 ? s[(n + 1) / 2] : (s[n / 2] + s[n / 2 + 1]) / 2
}

function figure(v)
{
	return sprintf(v < 10 ? "%.2f" : "%.0f", v)
}

function title(peer)
{
	if (peer == "native")
		return "native 32-bit"
	if (peer == "qemu")
		return "QEMU TCG"
	if (peer == "qemu-stock")
		return "QEMU TCG, Debian's kernel"
	if (peer == "hybrid" || peer == "emulator")
		return "plex86 " peer ", Debian's kernel"
	if (peer == "uml")
		return "User-mode Linux" (uml_bits == 64 ? " (64-bit programs)" : "")
	return peer
}

function table(    i, p, key, line, rule, value)
{
	line = "| " what " |"
	rule = "|---|"
	for (p = 1; p <= peer_count; p++) {
		line = line " " title(peer[p]) " |"
		rule = rule "---:|"
		if (compared && peer[p] != reference) {
			line = line " × " reference " |"
			rule = rule "---:|"
		}
	}
	print line
	print rule
	for (i = 1; i <= names; i++) {
		line = "| " name[i] " |"
		for (p = 1; p <= peer_count; p++) {
			key = peer[p] SUBSEP name[i]
			value = (key in count) ? median(key) : ""
			line = line " " (value == "" ? "–" : figure(value)) " |"
			if (!compared || peer[p] == reference)
				continue
			key = reference SUBSEP name[i]
			if (value == "" || !(key in count))
				line = line " – |"
			else
				line = line " " sprintf("%.2f", value / median(key)) " |"
		}
		print line
	}
}

function quoted(text)
{
	gsub(/[\\"]/, "\\\\&", text)
	return "\"" text "\""
}

function write_json(    i, p, k, key, comma, inner)
{
	printf "{\n  \"host\": %s,\n  \"unit\": %s,\n  \"runs\": %d,\n", quoted(host),
		quoted(what), runs > json
	printf "  \"absent\": {" > json
	for (i = 1; i <= absentees; i++)
		printf "%s%s: %s", (i > 1 ? ", " : ""), quoted(absent_peer[i]),
			quoted(absent_why[i]) > json
	printf "},\n  \"results\": {" > json
	name[names + 1] = "clock" # guest clock / host clock, no time
	for (i = 1; i <= names + 1; i++) {
		printf "%s\n    %s: {", comma, quoted(name[i]) > json
		comma = ","
		inner = ""
		for (p = 1; p <= peer_count; p++) {
			key = peer[p] SUBSEP name[i]
			if (!(key in count))
				continue
			printf "%s\n      %s: {\"median\": %.4f, \"samples\": [", inner,
				quoted(peer[p]), median(key) > json
			inner = ","
			for (k = 1; k <= count[key]; k++)
				printf "%s%s", (k > 1 ? ", " : ""), sample[key, k] > json
			printf "]}" > json
		}
		printf "\n    }" > json
	}
	print "\n  }\n}" > json
}

END {
	peer_count = split(peers, peer, " ")
	for (p = 1; p <= peer_count; p++)
		if (peer[p] == reference)
			compared = 1
	while ((getline line < absent) > 0) {
		absent_peer[++absentees] = substr(line, 1, index(line, " ") - 1)
		absent_why[absentees] = substr(line, index(line, " ") + 1)
	}

	print "Median of " runs " runs on " host ".\n"
	table()
	print ""
	for (i = 1; i <= absentees; i++)
		print "Left out: " absent_peer[i] ": " absent_why[i] "."
	for (p = 1; p <= peer_count; p++) {
		if (!((peer[p], "clock") in count))
			continue
		clock = median(peer[p] SUBSEP "clock")
		if (clock < 0.95 || clock > 1.05)
			printf "Beware: the clock of %s ran at %.2f of the host's.\n", peer[p], clock
	}
	if (json != "")
		write_json()
	if (svg != "")
		write_svg()
}

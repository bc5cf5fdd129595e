# The ratios as bars, in SVG: read by awk together with report.awk, whose medians these are.
#
# Variable: svg (file). The axis is logarithmic; left of the line marked 1 is faster than the
# reference.

function log10(v)
{
	return log(v) / log(10)
}

function ratio(peer_name, row,    key, base)
{
	key = peer_name SUBSEP row
	base = reference SUBSEP row
	return (key in count) && (base in count) ? median(key) / median(base) : 0
}

function shade(p)
{
	return p == "plex86" ? "#1f6feb" : p == "qemu" ? "#9aa4af" : "#d29922"
}

function svg_text(x, y, anchor, text)
{
	printf "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, text > svg
}

# The decades that hold every ratio, 1 among them.
function find_range(    i, p, r)
{
	low = 0
	high = 1
	for (i = 1; i <= names; i++)
		for (p = 1; p <= peer_count; p++) {
			r = ratio(peer[p], name[i])
			while (r > 0 && log10(r) < low)
				low--
			while (r > 0 && log10(r) > high)
				high++
		}
}

function x_of(r)
{
	return left + (log10(r) - low) / (high - low) * (right - left)
}

function write_svg(    i, p, r, y, bars, row, x, exponent, height)
{
	left = 170
	right = 700
	bars = 0
	for (p = 1; p <= peer_count; p++)
		bars += peer[p] != reference
	row = bars * 11 + 8
	height = 50 + names * row
	find_range()
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"760\" height=\"%d\" " \
	       "font-family=\"sans-serif\" font-size=\"11\">\n", height > svg
	printf "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n" > svg
	x = left
	for (p = 1; p <= peer_count; p++) {
		if (peer[p] == reference)
			continue
		printf "<rect x=\"%d\" y=\"8\" width=\"10\" height=\"10\" fill=\"%s\"/>\n", x,
			shade(peer[p]) > svg
		svg_text(x + 14, 17, "start", title(peer[p]) ", time × " reference)
		x += 180
	}
	for (exponent = low; exponent <= high; exponent++) {
		x = x_of(10 ^ exponent)
		printf "<line x1=\"%.1f\" y1=\"36\" x2=\"%.1f\" y2=\"%d\" stroke=\"%s\"/>\n", x, x,
			height - 6, exponent ? "#dddddd" : "#444444" > svg
		svg_text(x, 32, "middle", 10 ^ exponent)
	}
	for (i = 1; i <= names; i++) {
		y = 42 + (i - 1) * row
		svg_text(left - 8, y + row / 2, "end", name[i])
		for (p = 1; p <= peer_count; p++) {
			if (peer[p] == reference)
				continue
			r = ratio(peer[p], name[i])
			if (r > 0) {
				x = x_of(r)
				printf "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"9\" fill=\"%s\"/>\n",
					(r < 1 ? x : x_of(1)), y, (r < 1 ? x_of(1) - x : x - x_of(1)) + 1,
					shade(peer[p]) > svg
				svg_text((r < 1 ? x_of(1) : x) + 4, y + 9, "start", sprintf("%.2f", r))
			}
			y += 11
		}
	}
	print "</svg>" > svg
}

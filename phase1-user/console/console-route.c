/*
 * Which of the guest's two consoles the user sees: see console-route.h.
 *
 * Only lines that begin with a bracket are looked at: so the kernel's do, by their time stamp,
 * which makes it unlikely that two that are alike are not the same.
 */
#include "console-route.h"
#include "../../common/fnv.h"

/* Has this line been there before? Remembers it. */
static bool seen(struct console_route *r, const u8 *line, size_t n)
{
	const u64 hash = fnv64(line, n);

	for (unsigned i = 0; i < r->lines; i++)
		if (r->hash[i] == hash)
			return true;
	if (r->lines < ROUTE_LINES)
		r->hash[r->lines++] = hash;
	return false;
}

static void release_line(struct console_route *r)
{
	const size_t n = r->held;

	r->held = 0;
	if (n)
		r->out(r->opaque, r->line, n);
}

static void boot_byte(struct console_route *r, u8 byte)
{
	if (r->held == 0 && !r->passing)
		r->passing = byte != '[';
	if (r->passing) {
		r->out(r->opaque, &byte, 1);
		r->passing = byte != '\n';
		return;
	}
	r->line[r->held++] = byte;
	if (byte == '\n' && seen(r, r->line, r->held)) {
		r->held = 0;
	} else if (byte == '\n') {
		release_line(r);
	} else if (r->held == ROUTE_LINE_MAX) {
		release_line(r);
		r->passing = true;
	}
}

void console_route_serial(struct console_route *r, const u8 *data, size_t n)
{
	if (r->hvc)
		return;
	if (!r->booting) {
		r->out(r->opaque, data, n);
		return;
	}
	for (size_t i = 0; i < n; i++)
		boot_byte(r, data[i]);
}

void console_route_hvc(struct console_route *r, const u8 *data, size_t n)
{
	if (!r->hvc)
		console_route_booted(r);
	r->hvc = true;
	r->out(r->opaque, data, n);
}

void console_route_lost_hvc(struct console_route *r)
{
	r->hvc = false;
}

void console_route_booted(struct console_route *r)
{
	r->booting = false;
	release_line(r);
}

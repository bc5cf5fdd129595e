/*
 * The debugger's commands: registers, memory, points, running and stopping. Queries are in
 * query.c.
 *
 * Owns: what each packet means, and its reply. An unknown one has an empty reply.
 */
#include "session.h"

#include <string.h>

/* Numbers in replies; gdb shows most of them as they are. */
enum { ERROR_GENERAL = 0x01, ERROR_ADDRESS = 0x0e, ERROR_SYNTAX = 0x16 };

static void reply_ok(struct gdb *g)
{
	gdb_print(&g->reply, "OK");
}

/* ---- registers ---- */

static void read_registers(struct gdb *g)
{
	for (unsigned n = 0; n < GDB_REGISTERS; n++)
		gdb_register_put(&g->cpu, n, &g->reply);
}

static void read_register(struct gdb *g, const char *at)
{
	u32 n;

	if (!gdb_take_u32(&at, &n) || *at || n >= GDB_REGISTERS)
		gdb_reply_error(g, ERROR_GENERAL);
	else
		gdb_register_put(&g->cpu, n, &g->reply);
}

static void put_registers(struct gdb *g, const char *why)
{
	const bool ok = gdb_put_registers(g);

	if (why)
		gdb_reply_why(g, why);
	else if (!ok)
		gdb_reply_why(g, "this host's CPU cannot hold that");
	else
		reply_ok(g);
}

/* All of them: what cannot be seen is `x` here as well. */
static void write_registers(struct gdb *g, const char *at)
{
	const char *why = NULL;

	for (unsigned n = 0; n < GDB_REGISTERS; n++) {
		const unsigned size = gdb_register_size(n);
		u8 bytes[GDB_REGISTER_MAX];
		const char *refused = NULL;

		if (*at == 'x' && strspn(at, "x") >= 2 * size)
			at += 2 * size;
		else if (gdb_take_bytes(&at, bytes, size) == size)
			refused = gdb_register_set(&g->cpu, n, bytes);
		else
			refused = "not as many bytes as there are registers";
		if (refused && !why)
			why = refused;
	}
	put_registers(g, why);
}

static void write_register(struct gdb *g, const char *at)
{
	u8 bytes[GDB_REGISTER_MAX];
	unsigned size;
	u32 n;

	if (!gdb_take_u32(&at, &n) || !gdb_take_word(&at, "=") || n >= GDB_REGISTERS) {
		gdb_reply_error(g, ERROR_GENERAL);
		return;
	}
	size = gdb_register_size(n);
	if (gdb_take_bytes(&at, bytes, size) != size || *at)
		gdb_reply_error(g, ERROR_SYNTAX);
	else
		put_registers(g, gdb_register_set(&g->cpu, n, bytes));
}

/* ---- memory ---- */

/* "ADDRESS,LENGTH", and behind it the end of the packet, or `end`. */
static bool take_range(const char **at, u32 *address, u32 *len, const char *end)
{
	return gdb_take_u32(at, address) && gdb_take_word(at, ",") && gdb_take_u32(at, len) &&
	       (*end ? gdb_take_word(at, end) : !**at);
}

static void read_memory(struct gdb *g, const char *at)
{
	u8 bytes[GDB_PACKET_MAX / 2 - 1];
	u32 address, len;
	size_t n;

	if (!take_range(&at, &address, &len, "")) {
		gdb_reply_error(g, ERROR_SYNTAX);
		return;
	}
	n = gdb_memory_read(g->cpu.vm, g->space, address, bytes,
			    len < sizeof(bytes) ? len : sizeof(bytes));
	if (len && !n)
		gdb_reply_error(g, ERROR_ADDRESS);
	else
		gdb_put_hex(&g->reply, bytes, n);
}

static void write_bytes(struct gdb *g, u32 address, const void *bytes, size_t len)
{
	if (gdb_memory_write(g->cpu.vm, g->space, address, bytes, len))
		reply_ok(g);
	else
		gdb_reply_error(g, ERROR_ADDRESS);
}

/* In digits. */
static void write_memory(struct gdb *g, const char *at)
{
	u8 bytes[GDB_PACKET_MAX / 2];
	u32 address, len;

	if (!take_range(&at, &address, &len, ":") || len > sizeof(bytes) ||
	    gdb_take_bytes(&at, bytes, len) != len || *at)
		gdb_reply_error(g, ERROR_SYNTAX);
	else
		write_bytes(g, address, bytes, len);
}

/* As bytes. */
static void write_memory_binary(struct gdb *g, const char *at)
{
	const char *end = g->reader.data + g->reader.len;
	u32 address, len;

	if (!take_range(&at, &address, &len, ":") || (size_t)(end - at) != len)
		gdb_reply_error(g, ERROR_SYNTAX);
	else
		write_bytes(g, address, at, len);
}

/* ---- points ---- */

static void change_point(struct gdb *g, const char *at, bool set)
{
	struct gdb_point point;
	const char *why = NULL;

	point.type = (u8)*at - '0';
	if (point.type >= GDB_POINT_TYPES)
		return;
	at++;
	if (!gdb_take_word(&at, ",") || !take_range(&at, &point.la, &point.len, "")) {
		gdb_reply_error(g, ERROR_SYNTAX);
		return;
	}
	if (!set)
		gdb_points_clear(&g->points, &point);
	else if ((why = gdb_points_refusal(&point)) == NULL && !gdb_points_set(&g->points, &point))
		why = "64 breakpoints and watch points are all there can be";
	if (why)
		gdb_reply_why(g, why);
	else
		reply_ok(g);
}

/* ---- running ---- */

static bool must_be_stopped(struct gdb *g)
{
	if (g->stopped)
		return true;
	gdb_reply_why(g, "the guest is running");
	gdb_send(g);
	return false;
}

/* "c", "s", "C05", "S05", and of the first two an address to go on at; signals are nothing that a
 * machine could be given. */
static void resume(struct gdb *g, const char *at)
{
	const bool step = (*at | 0x20) == 's', with_signal = *at < 'a';
	u32 signal, address;

	at++;
	if (!must_be_stopped(g))
		return;
	if (with_signal && !gdb_take_u32(&at, &signal))
		goto bad;
	if (with_signal && *at == ';')
		at++;
	if (*at) {
		if (!gdb_take_u32(&at, &address) || *at)
			goto bad;
		g->cpu.vm->cpu.rip = address;
		g->cpu.changed = true;
		gdb_put_registers(g);
	}
	gdb_resume(g, step);
	return;
bad:
	gdb_reply_error(g, ERROR_SYNTAX);
	gdb_send(g);
}

/* A thread, which must be ours: 1, 0 (any) or -1 (all). */
static bool take_thread(const char **at)
{
	u32 id;

	if (gdb_take_word(at, "-1"))
		return true;
	return gdb_take_u32(at, &id) && id <= 1;
}

/* ";ACTION:THREAD;ACTION...": the first action that is for our thread counts. */
static void resume_actions(struct gdb *g, const char *at)
{
	char action = '\0';
	u32 ignored;

	if (!must_be_stopped(g))
		return;
	while (!action && *at == ';') {
		const char what = *++at;

		if (!what || !strchr("cCsS", what))
			break;
		at++;
		if (what < 'a' && !gdb_take_u32(&at, &ignored))
			break;
		if (*at != ':' || (at++, take_thread(&at)))
			action = what;
		else
			at += strcspn(at, ";");
	}
	if (action) {
		gdb_resume(g, (action | 0x20) == 's');
		return;
	}
	gdb_reply_error(g, ERROR_SYNTAX);
	gdb_send(g);
}

static void report_stop(struct gdb *g)
{
	if (g->stopped)
		gdb_reply_stop(g);
	else
		gdb_reply_why(g, "the guest is running");
}

static void detach(struct gdb *g)
{
	reply_ok(g);
	g->hang_up = true;
	gdb_session_detach(g);
}

static void choose_thread(struct gdb *g, const char *at)
{
	if (*at)
		at++;
	if (take_thread(&at) && !*at)
		reply_ok(g);
	else
		gdb_reply_error(g, ERROR_GENERAL);
}

/* Packets whose names are words. True: the reply has been sent, or will be. */
static bool named(struct gdb *g, const char *at)
{
	if (!strcmp(at, "vCont?")) {
		gdb_print(&g->reply, "vCont;c;C;s;S");
	} else if (gdb_take_word(&at, "vCont")) {
		resume_actions(g, at);
		return true;
	} else if (gdb_take_word(&at, "vKill;")) {
		reply_ok(g);
		gdb_kill(g);
	}
	return false;
}

void gdb_command(struct gdb *g)
{
	const char *packet = g->reader.data, *rest = packet + 1;

	switch (packet[0]) {
	case '?':
		report_stop(g);
		break;
	case 'g':
		read_registers(g);
		break;
	case 'G':
		write_registers(g, rest);
		break;
	case 'p':
		read_register(g, rest);
		break;
	case 'P':
		write_register(g, rest);
		break;
	case 'm':
		read_memory(g, rest);
		break;
	case 'M':
		write_memory(g, rest);
		break;
	case 'X':
		write_memory_binary(g, rest);
		break;
	case 'Z':
	case 'z':
		change_point(g, rest, packet[0] == 'Z');
		break;
	case 'c':
	case 'C':
	case 's':
	case 'S':
		resume(g, packet);
		return;
	case 'b':
		if (!g->machine->travel || (strcmp(packet, "bs") && strcmp(packet, "bc")))
			break;
		if (must_be_stopped(g))
			gdb_reverse(g, packet[1] == 's');
		return;
	case 'D':
		detach(g);
		break;
	case 'k':
		gdb_kill(g);
		return;
	case 'H':
	case 'T':
		choose_thread(g, packet[0] == 'H' ? rest : packet);
		break;
	case 'v':
		if (named(g, packet))
			return;
		break;
	case 'q':
	case 'Q':
		gdb_query(g);
		break;
	}
	gdb_send(g);
}

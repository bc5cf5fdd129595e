/*
 * The debugger's queries: what this server can do, the target description, threads, and monitor
 * commands.
 *
 * Owns: what packets that begin with `q` or `Q` mean, and their replies.
 */
#include "session.h"

#include <string.h>

enum { ERROR_SYNTAX = 0x16 };

#define OUTPUT_PIECE 4096u /* bytes of text in a packet */
#define LINE_MAX     512u  /* of a monitor command */

/* Is the word one of those between semicolons? */
static bool has_feature(const char *list, const char *word)
{
	const size_t len = strlen(word);

	for (; *list; list += strcspn(list, ";"), list += *list == ';')
		if (!strncmp(list, word, len) && (!list[len] || list[len] == ';'))
			return true;
	return false;
}

static void tell_features(struct gdb *g, const char *theirs)
{
	g->swbreak = has_feature(theirs, "swbreak+");
	g->hwbreak = has_feature(theirs, "hwbreak+");
	gdb_print(&g->reply,
		  "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;vContSupported+;swbreak+;"
		  "hwbreak+",
		  GDB_PACKET_MAX);
	if (g->machine->travel)
		gdb_print(&g->reply, ";ReverseStep+;ReverseContinue+");
}

/* "target.xml:OFFSET,LENGTH": a piece of it, with a letter in front that tells whether it is the
 * last. */
static void tell_description(struct gdb *g, const char *at)
{
	char buffer[GDB_DESCRIPTION_MAX];
	struct gdb_text xml = {.data = buffer, .size = sizeof(buffer)};
	const u32 most = GDB_PACKET_MAX / 2 - 1; /* as long as that even if all is escaped */
	u32 offset, len;

	if (!gdb_take_word(&at, "target.xml:")) {
		gdb_print(&g->reply, "E00");
		return;
	}
	if (!gdb_take_u32(&at, &offset) || !gdb_take_word(&at, ",") || !gdb_take_u32(&at, &len) ||
	    *at) {
		gdb_reply_error(g, ERROR_SYNTAX);
		return;
	}
	gdb_text_clear(&xml);
	gdb_registers_describe(&xml);
	if (len > most)
		len = most;
	if (offset > xml.len)
		offset = xml.len;
	gdb_print(&g->reply, "%c", len < xml.len - offset ? 'm' : 'l');
	gdb_put(&g->reply, xml.data + offset, len < xml.len - offset ? len : xml.len - offset);
}

/* What a command has said goes out in pieces before the reply. */
static void send_output(struct gdb *g, const struct gdb_text *text)
{
	for (size_t at = 0; at < text->len; at += OUTPUT_PIECE) {
		const size_t left = text->len - at;

		gdb_text_clear(&g->reply);
		gdb_print(&g->reply, "O");
		gdb_put_hex(&g->reply, text->data + at, left < OUTPUT_PIECE ? left : OUTPUT_PIECE);
		gdb_send(g);
	}
	gdb_text_clear(&g->reply);
	gdb_print(&g->reply, "OK");
}

static void run_monitor(struct gdb *g, const char *at)
{
	char line[LINE_MAX];
	const size_t n = gdb_take_bytes(&at, (u8 *)line, sizeof(line) - 1);

	if (*at) {
		gdb_reply_why(g, "a monitor command of this length there is not");
		return;
	}
	line[n] = '\0';
	gdb_text_clear(&g->text);
	gdb_monitor(g, line, &g->text);
	if (g->text.full) {
		static const char more[] = "\n(there is more, which is left out)\n";

		if (g->text.len > g->text.size - sizeof(more))
			g->text.len = g->text.size - sizeof(more);
		gdb_put(&g->text, more, sizeof(more) - 1);
	}
	send_output(g, &g->text);
}

static void set_space(struct gdb *g, const char *at)
{
	if ((*at != '0' && *at != '1') || at[1]) {
		gdb_reply_error(g, ERROR_SYNTAX);
		return;
	}
	g->space = *at == '1' ? GDB_PHYSICAL : GDB_LINEAR;
	gdb_print(&g->reply, "OK");
}

static void set_no_ack(struct gdb *g)
{
	g->no_ack = true;
	gdb_print(&g->reply, "OK");
}

static void describe_thread(struct gdb *g)
{
	static const char halted[] = "vcpu, halted", running[] = "vcpu";

	if (g->cpu.vm->cpu.halted)
		gdb_put_hex(&g->reply, halted, sizeof(halted) - 1);
	else
		gdb_put_hex(&g->reply, running, sizeof(running) - 1);
}

/* Those that take no arguments: their replies. */
static const char *simple_reply(const char *packet)
{
	static const struct {
		const char *packet, *reply;
	} simple[] = {
		{"qAttached", "1"},    {"qC", "QC1"},	    {"qfThreadInfo", "m1"},
		{"qsThreadInfo", "l"}, {"qSymbol::", "OK"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(simple); i++)
		if (!strcmp(packet, simple[i].packet))
			return simple[i].reply;
	return NULL;
}

void gdb_query(struct gdb *g)
{
	const char *at = g->reader.data, *simple = simple_reply(at);

	if (simple)
		gdb_print(&g->reply, "%s", simple);
	else if (gdb_take_word(&at, "qSupported"))
		tell_features(g, at + (*at == ':'));
	else if (gdb_take_word(&at, "qXfer:features:read:"))
		tell_description(g, at);
	else if (gdb_take_word(&at, "qRcmd,"))
		run_monitor(g, at);
	else if (!strcmp(at, "QStartNoAckMode"))
		set_no_ack(g);
	else if (gdb_take_word(&at, "Qqemu.PhyMemMode:"))
		set_space(g, at);
	else if (!strcmp(at, "qqemu.PhyMemMode"))
		gdb_print(&g->reply, "%d", g->space == GDB_PHYSICAL);
	else if (gdb_take_word(&at, "qThreadExtraInfo,"))
		describe_thread(g);
}

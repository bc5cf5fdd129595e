/*
 * Unit tests of the gdb server's monitor commands.
 */
#include "gdb-talk.h"

/* ---- monitor commands ---- */

/* What it prints: the digits of all `O` packets, as text. */
static const char *monitor(const char *line)
{
	static struct gdb_reader reader;
	static char text[1 << 17];
	static u8 frame[4096];
	char packet[2048] = "qRcmd,";
	size_t n = 0;

	for (const char *c = line; *c; c++)
		sprintf(packet + strlen(packet), "%02x", (u8)*c);
	g->out_len = g->out_done = 0;
	mock_receive(m, frame, gdb_frame(frame, packet, strlen(packet)));
	gdb_reader_init(&reader);
	for (size_t i = 0; i < g->out_len; i++) {
		const char *at = reader.data + 1;

		if (gdb_reader_take(&reader, g->out[i]) != GDB_PACKET)
			continue;
		if (reader.data[0] == 'O' && strcmp(reader.data, "OK"))
			n += gdb_take_bytes(&at, (u8 *)text + n, sizeof(text) - n - 1);
	}
	assert_begins(said(), "OK");
	text[n] = '\0';
	return text;
}

static void test_monitor(void **state)
{
	struct vm *vm = *state;

	attach();
	assert_non_null(strstr(monitor("help"), "info registers"));
	vm->cpu.gpr[GPR_BX] = 0xc0ffee;
	ask("c");
	stop(DEBUG_STOP_STEP, 0);
	assert_non_null(strstr(monitor("info registers"), "ebx 00c0ffee"));
	assert_non_null(strstr(monitor("info registers"), "virtual CPL 0, IF 0"));
	assert_begins(monitor("info mem"), "paging is off");
	assert_begins(monitor("info  tlb "), "paging is off");
	assert_begins(monitor("info events"), "last 3 events");
	assert_begins(monitor("info events 2"), "last 2 events");
	assert_begins(monitor("info events 4000000000"), "last 3 events");
	assert_non_null(strstr(monitor("info events x"), "not a number"));
	assert_begins(monitor("info pic"), "master, IRQ 0-7: requested (IRR) 00");
	assert_begins(monitor("info pit"), "counter 0: mode");
	assert_begins(monitor("walk 0x1000"), "00001000: paging is off");
	assert_begins(monitor("walk"), "usage: walk ADDRESS");
	assert_begins(monitor("walk 1 2"), "usage: walk ADDRESS");
	assert_begins(monitor("phys 0x60000 4"), "00060000  00 00 00 00");
	assert_begins(monitor("phys 0x60000 4097"), "at most 4096");
	assert_begins(monitor("phys 0x100000000 1"), "'0x100000000': not a number");
	assert_begins(monitor("trace on"), "no trace file");
	assert_begins(monitor("trace what"), "trace: on or off");
	assert_begins(monitor("snapshot saved"), "saved: 1.5 MB in 0.25 s");
	assert_begins(monitor("snapshot refused"), "snapshot 'refused': no");
	assert_begins(monitor("snapshot"), "usage: snapshot FILE");
	assert_begins(monitor("reset"), "a reset is not supported");
	assert_begins(monitor("info"), "no such command");
	assert_begins(monitor("info x"), "no such command");
	assert_begins(monitor(""), "no such command");
	assert_begins(monitor("help a b c d e f g h"), "usage: help");
	assert_string_equal(monitor("quit"), "");
	assert_int_equal(m->machine.end, END_SIGNAL);
}

/* More than there is room for is cut, and said to be. */
static void test_monitor_long(void **state)
{
	struct vm *vm = *state;
	const char *text;

	vm_paging(vm, KPAGE);
	for (u32 i = 0; i < 1024; i++) {
		poke32(vm, AT_PD + 4 * i, AT_PT | UPAGE);
		poke32(vm, AT_PT + 4 * i, i % 2 ? KPAGE : UPAGE);
	}
	attach();
	text = monitor("info mem");
	assert_true(strlen(text) > 60000);
	assert_non_null(strstr(text, "(there is more, which is left out)"));
	assert_false(g->hang_up);
}

/* Any byte in the PIC, the PIT and the flags of a guest whose code has got at its process. */
static void test_monitor_hostile(void **state)
{
	struct vm *vm = *state;
	static const char *const lines[] = {"info registers", "info pic",	 "info pit",
					    "info mem",	      "walk 0xc0000000", "walk 0xfffff000"};

	attach();
	srand(2);
	for (unsigned round = 0; round < 200; round++) {
		for (size_t i = 0; i < sizeof(vm->pic); i++)
			((u8 *)&vm->pic)[i] = rand();
		for (size_t i = 0; i < sizeof(vm->pit); i++)
			((u8 *)&vm->pit)[i] = round ? rand() : 0;
		for (size_t i = 0; i < sizeof(vm->cpu); i++)
			((u8 *)&vm->cpu)[i] = rand();
		vm->cpu.halted = vm->cpu.shutdown = false; /* engine_get_state() sees to these */
		ask("c");
		stop(DEBUG_STOP_STEP, 0);
		for (unsigned i = 0; i < ARRAY_SIZE(lines); i++)
			monitor(lines[i]);
		ask("g");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GDB_TEST(test_monitor),
		GDB_TEST(test_monitor_long),
		GDB_TEST(test_monitor_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

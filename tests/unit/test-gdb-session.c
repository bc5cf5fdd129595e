/*
 * Unit tests of the gdb server's session and commands: a debugger that says this and that, and a
 * guest that is stopped, run, crashed and ended under it.
 */
#include "gdb-talk.h"

/* ---- coming and going ---- */

static void test_attach_stops(void **state)
{
	(void)state;
	assert_true(runs());
	gdb_session_attach(g);
	assert_true(m->machine.paused & PAUSE_DEBUGGER);
	assert_false(g->stopped);
	assert_begins(ask("?"), "T05"); /* answered when it stands */
	assert_true(g->stopped);
	assert_says("qAttached", "1");
	assert_says("D", "OK");
	assert_true(runs());
	assert_true(g->hang_up);
	assert_int_equal(m->debug.count, 0);
}

static void test_wait(void **state)
{
	(void)state;
	gdb_session_start(g, &m->machine, true);
	assert_false(runs());
	attach();
	assert_begins(ask("?"), "T05");
	ask("c");
	assert_true(runs());
}

static void test_handshake(void **state)
{
	const char *features;

	(void)state;
	attach();
	features = ask("qSupported:multiprocess+;swbreak+;hwbreak+;xmlRegisters=i386");
	for (const char *const *word =
		     (const char *[]){"PacketSize=4000", "QStartNoAckMode+", "qXfer:features:read+",
				      "vContSupported+", "swbreak+", "hwbreak+", NULL};
	     *word; word++)
		assert_non_null(strstr(features, *word));
	assert_true(g->swbreak && g->hwbreak);
	mock_receive(m, "$qC#b4", 6);
	assert_memory_equal(g->out, "+$QC1#c5", 8);
	assert_says("QStartNoAckMode", "OK");
	mock_receive(m, "$qC#b4", 6);
	assert_memory_equal(g->out, "$QC1#c5", 7);
	assert_says("qfThreadInfo", "m1");
	assert_says("qsThreadInfo", "l");
	assert_says("qSymbol::", "OK");
	assert_says("Hg0", "OK");
	assert_says("Hc-1", "OK");
	assert_says("Hg2", "E01");
	assert_says("T1", "OK");
	assert_says("T2", "E01");
	assert_begins(ask("qThreadExtraInfo,1"), "76637075");
	/* What there is not. */
	assert_says("vMustReplyEmpty", "");
	assert_says("qTStatus", "");
	assert_says("!", "");
	assert_says("Z7,0,1", "");
}

static void test_damaged_and_again(void **state)
{
	(void)state;
	attach();
	mock_receive(m, "$qC#b5", 6);
	assert_int_equal(g->out_len, 1);
	assert_int_equal(g->out[0], '-');
	mock_receive(m, "$qC#b4", 6);
	g->out_done = g->out_len;
	mock_receive(m, "-", 1);
	assert_int_equal(g->out_len - g->out_done, 7);
	assert_memory_equal(g->out + g->out_done, "$QC1#c5", 7);
	g->out_done = g->out_len;
	ask("QStartNoAckMode");
	mock_receive(m, "$qC#b5", 6);
	assert_begins(said(), "E.");
}

static void test_vanishes(void **state)
{
	(void)state;
	attach();
	assert_says("Z0,c0001000,1", "OK");
	ask("vCont;c");
	assert_int_equal(m->debug.count, 1);
	/* While the guest runs: the engine hears of it when that stands. */
	gdb_session_detach(g);
	assert_int_equal(m->debug.count, 1);
	mock_stand(m);
	assert_int_equal(m->debug.count, 0);
	assert_true(runs());
	/* A stop of its breakpoints that was on its way. */
	assert_false(stop(DEBUG_STOP_BREAK, 0xc0001000));
	/* The next one has none, even if it comes at once. */
	attach();
	assert_says("Z0,c0001000,1", "OK");
	ask("c");
	gdb_session_detach(g);
	attach();
	assert_int_equal(m->debug.count, 0);
	ask("c");
	assert_int_equal(m->debug.count, 0);
	/* While it stands. */
	stop(DEBUG_STOP_STEP, 0);
	assert_false(runs());
	gdb_session_detach(g);
	assert_true(runs());
}

/* ---- registers and memory ---- */

static void test_registers(void **state)
{
	char packet[2 * GDB_PACKET_MAX / 4];
	struct vm *vm = *state;

	vm->cpu.gpr[GPR_AX] = 0x11223344;
	attach();
	assert_begins(ask("g"), "44332211");
	assert_says("p0", "44332211");
	assert_says("p8", "00000100");
	assert_says("p10", "xxxxxxxxxxxxxxxxxxxx");
	assert_says("P0=78563412", "OK");
	assert_int_equal(vm->cpu.gpr[GPR_AX], 0x12345678);
	assert_int_equal(m->regs_calls, 1);
	assert_says("p38", "E01"); /* one too many */
	assert_says("pffffffffff", "E01");
	assert_says("P38=00", "E01");
	assert_says("P0=785634", "E16");
	assert_says("P0=7856341200", "E16");
	assert_begins(ask("Pa=23000000"), "E.segment registers are read-only");
	/* All of them as they are, but one. */
	snprintf(packet, sizeof(packet), "G%s", ask("g"));
	memcpy(packet + 1 + 8, "efbeadde", 8);
	assert_says(packet, "OK");
	assert_int_equal(vm->cpu.gpr[GPR_CX], 0xdeadbeef);
	assert_begins(ask("G00000000"), "E.");
	m->has_fpu = true;
	m->fpu_refused = true;
	ask("?");
	ask("c");
	stop(DEBUG_STOP_STEP, 0);
	assert_begins(ask("P18=00000000"), "E.this host's CPU");
	assert_int_equal(m->fpu_calls, 1);
}

static void test_memory(void **state)
{
	struct vm *vm = *state;

	poke32(vm, AT_DATA, 0x11223344);
	attach();
	assert_says("m60000,4", "44332211");
	assert_says("m60000,0", "");
	assert_says("mfffff,8", "00"); /* the last byte of RAM */
	assert_says("m100000,4", "E0e");
	assert_says("md0000000,4", "E0e");
	assert_says("m60000", "E16");
	assert_says("m,4", "E16");
	assert_says("m100060000,4", "E16");
	assert_int_equal(strlen(ask("m60000,ffffffff")), GDB_PACKET_MAX - 2);
	assert_says("M60000,2:beef", "OK");
	assert_int_equal(peek32(vm, AT_DATA), 0x1122efbe);
	assert_says("M60000,2:bee", "E16");
	assert_says("M60000,2:beefbe", "E16");
	assert_says("Mfffff,2:beef", "E0e");
	assert_says("X60000,0:", "OK");
	assert_says("X60000,4:#$}*", "OK");
	assert_memory_equal(vm->ram + AT_DATA, "#$}*", 4);
	assert_says("X60000,5:#$}*", "E16");
	assert_says("Xfffff,2:ab", "E0e");
}

static void test_physical_memory(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, KPAGE);
	*pte_of(vm, AT_DATA) = (AT_DATA + 0x1000) | KPAGE;
	poke32(vm, AT_DATA, 1);
	poke32(vm, AT_DATA + 0x1000, 2);
	attach();
	assert_says("qqemu.PhyMemMode", "0");
	assert_says("m60000,4", "02000000");
	assert_says("Qqemu.PhyMemMode:1", "OK");
	assert_says("qqemu.PhyMemMode", "1");
	assert_says("m60000,4", "01000000");
	assert_says("M60000,1:07", "OK");
	assert_int_equal(peek32(vm, AT_DATA), 7);
	assert_says("Qqemu.PhyMemMode:2", "E16");
	assert_says("Qqemu.PhyMemMode:0", "OK");
	assert_says("m60000,4", "02000000");
}

static void test_description(void **state)
{
	char xml[GDB_DESCRIPTION_MAX] = "", packet[64];
	size_t len = 0;

	(void)state;
	attach();
	do {
		const char *piece;

		snprintf(packet, sizeof(packet), "qXfer:features:read:target.xml:%zx,3f1", len);
		piece = ask(packet);
		assert_true(piece[0] == 'm' || piece[0] == 'l');
		strcpy(xml + len, piece + 1);
		len += strlen(piece + 1);
		if (piece[0] == 'l')
			break;
	} while (len < sizeof(xml) - 0x400);
	assert_begins(xml, "<?xml");
	assert_string_equal(xml + len - strlen("</target>\n"), "</target>\n");
	assert_says("qXfer:features:read:target.xml:ffffffff,100", "l");
	assert_says("qXfer:features:read:other.xml:0,100", "E00");
	assert_says("qXfer:features:read:target.xml:0", "E16");
}

/* ---- running and stopping ---- */

static void test_continue_and_step(void **state)
{
	struct vm *vm = *state;

	attach();
	assert_says("vCont?", "vCont;c;C;s;S");
	assert_says("c", ""); /* no answer yet */
	assert_true(runs());
	assert_int_equal(m->debug.step, false);
	vm->cpu.rip = 0xc0001234;
	assert_true(stop(DEBUG_STOP_STEP, 0));
	assert_begins(said(), "T0508:341200c0;04:");
	assert_false(runs());
	ask("s");
	assert_int_equal(m->debug.step, true);
	stop(DEBUG_STOP_STEP, 0);
	ask("s60000");
	assert_int_equal(vm->cpu.rip, 0x60000);
	stop(DEBUG_STOP_STEP, 0);
	ask("C05;c0005678");
	assert_int_equal(vm->cpu.rip, 0xc0005678);
	assert_int_equal(m->debug.step, false);
	stop(DEBUG_STOP_STEP, 0);
	for (const char *const *packet = (const char *[]){"vCont;s:1;c", "vCont;s", "vCont;S05:1",
							  "vCont;c:2;s:-1", "S0b", NULL};
	     *packet; packet++) {
		assert_says(*packet, "");
		assert_int_equal(m->debug.step, true);
		stop(DEBUG_STOP_STEP, 0);
		assert_false(runs());
	}
	for (const char *const *packet = (const char *[]){"vCont", "vCont;", "vCont;x", "vCont;c:2",
							  "vCont;C", "vCont;t", "cxyz", "S", NULL};
	     *packet; packet++) {
		assert_says(*packet, "E16");
		assert_false(runs());
	}
}

static void test_points(void **state)
{
	(void)state;
	attach();
	ask("qSupported:swbreak+;hwbreak+");
	assert_says("Z0,c0001000,1", "OK");
	assert_says("Z0,c0001000,1", "OK"); /* the same */
	assert_says("Z1,c0002000,1", "OK");
	assert_says("Z2,c0003000,4", "OK");
	assert_says("Z3,c0004000,8", "OK");
	assert_says("Z4,c0005000,1000", "OK");
	assert_begins(ask("Z2,c0005000,1001"), "E.");
	assert_begins(ask("Z2,c0005000,0"), "E.");
	assert_begins(ask("Z2,ffffffff,2"), "E.");
	assert_says("Z0,c0001000", "E16");
	assert_says("Z0,c0001000,1;X3,220027", "E16");
	ask("c");
	assert_int_equal(m->debug.count, 5);
	stop(DEBUG_STOP_BREAK, 0xc0001000);
	assert_non_null(strstr(said(), ";swbreak:;thread:1;"));
	ask("c");
	stop(DEBUG_STOP_BREAK, 0xc0002000);
	assert_non_null(strstr(said(), ";hwbreak:;thread:1;"));
	ask("c");
	stop(DEBUG_STOP_WATCH, 0xc0003000);
	assert_non_null(strstr(said(), ";watch:c0003000;thread:1;"));
	ask("c");
	stop(DEBUG_STOP_WATCH, 0xc0004000);
	assert_non_null(strstr(said(), ";rwatch:c0004000;"));
	ask("c");
	stop(DEBUG_STOP_WATCH, 0xc0005fff);
	assert_non_null(strstr(said(), ";awatch:c0005fff;"));
	ask("c");
	stop(DEBUG_STOP_WATCH, 0xc0006000); /* none of ours */
	assert_null(strstr(said(), "watch"));
	assert_says("z0,c0001000,1", "OK");
	assert_says("z0,c0001000,1", "OK");
	assert_says("z4,c0005000,1000", "OK");
	ask("c");
	assert_int_equal(m->debug.count, 3);
}

/* A debugger that has not said that it knows these words. */
static void test_old_debugger(void **state)
{
	(void)state;
	attach();
	ask("Z0,c0001000,1");
	ask("c");
	stop(DEBUG_STOP_BREAK, 0xc0001000);
	assert_null(strstr(said(), "swbreak"));
}

static void test_too_many_points(void **state)
{
	char packet[32];

	(void)state;
	attach();
	for (unsigned i = 0; i < DEBUG_POINTS; i++) {
		snprintf(packet, sizeof(packet), "Z0,%x,1", 0x1000 + i);
		assert_says(packet, "OK");
	}
	assert_begins(ask("Z0,1,1"), "E.64 ");
	assert_says("z0,1005,1", "OK");
	assert_says("Z0,1,1", "OK");
}

static void test_interrupt(void **state)
{
	(void)state;
	attach();
	mock_receive(m, "\x03", 1); /* it stands already */
	assert_string_equal(said(), "");
	ask("c");
	mock_receive(m, "\x03", 1);
	assert_true(m->machine.paused);
	assert_string_equal(said(), "");
	mock_stand(m);
	assert_begins(said(), "T02");
	/* A breakpoint is hit before it takes effect. */
	ask("c");
	mock_receive(m, "\x03", 1);
	stop(DEBUG_STOP_STEP, 0);
	assert_begins(said(), "T05");
	mock_stand(m);
	assert_string_equal(said(), "");
	ask("c");
	assert_true(runs());
}

/* A packet while the guest runs is answered, and it goes on. */
static void test_while_running(void **state)
{
	struct vm *vm = *state;

	attach();
	ask("c");
	vm->cpu.gpr[GPR_AX] = 0x11223344;
	assert_says("p0", "44332211");
	assert_says("qC", "QC1");
	assert_begins(ask("c"), "E.the guest is running");
	assert_begins(ask("vCont;c"), "E.the guest is running");
	assert_begins(ask("?"), "E.the guest is running");
	assert_true(runs());
	assert_true(g->awaits_stop);
	assert_says("D", "OK");
	assert_true(runs());
}

/* ---- the end ---- */

static void test_crash(void **state)
{
	const struct vm_exit shutdown = {.kind = EXIT_SHUTDOWN};
	const struct vm_exit fault = {.kind = EXIT_FAULT, .fault = {FAULT_TASK, 1}};

	(void)state;
	assert_false(mock_exit(m, &shutdown)); /* nobody is there */
	attach();
	ask("c");
	assert_true(mock_exit(m, &shutdown));
	assert_begins(said(), "T0b");
	assert_begins(ask("?"), "T0b");
	assert_begins(ask("p8"), "0000");
	m->machine.exit = shutdown;
	ask("c");
	assert_true(runs()); /* to its end */
	m->machine.end = END_CRASH;
	gdb_session_end(g, 126);
	assert_string_equal(said(), "X0b");
	m->machine.end = END_NONE;
	gdb_session_start(g, &m->machine, false);
	attach();
	ask("c");
	mock_exit(m, &fault);
	assert_begins(said(), "T06");
	ask("k");
	assert_int_equal(m->machine.end, END_NONE); /* that is the crash's to say */
	assert_true(runs());
}

static void test_end(void **state)
{
	(void)state;
	attach();
	ask("c");
	m->machine.end = END_VALUE;
	gdb_session_end(g, 7);
	assert_string_equal(said(), "W07");
	assert_null(m->machine.debugger);
}

static void test_kill(void **state)
{
	(void)state;
	attach();
	assert_says("vKill;a410", "OK");
	assert_int_equal(m->machine.end, END_SIGNAL);
	assert_true(g->hang_up);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GDB_TEST(test_attach_stops),
		GDB_TEST(test_wait),
		GDB_TEST(test_handshake),
		GDB_TEST(test_damaged_and_again),
		GDB_TEST(test_vanishes),
		GDB_TEST(test_registers),
		GDB_TEST(test_memory),
		GDB_TEST(test_physical_memory),
		GDB_TEST(test_description),
		GDB_TEST(test_continue_and_step),
		GDB_TEST(test_points),
		GDB_TEST(test_old_debugger),
		GDB_TEST(test_too_many_points),
		GDB_TEST(test_interrupt),
		GDB_TEST(test_while_running),
		GDB_TEST(test_crash),
		GDB_TEST(test_end),
		GDB_TEST(test_kill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

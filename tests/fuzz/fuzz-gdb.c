/*
 * Fuzzing the gdb server: a debugger that says anything, to a guest whose registers and tables may
 * be anything, too.
 *
 * The input is a list of operations: bytes as they come from the socket, packets with a checksum
 * that is right, stops of the guest, its state. The engine's mock aborts when it is asked for what
 * no engine takes; ASan sees what leaves guest RAM and the buffers.
 */
#include "../unit/mock-host.h"

#include <stdlib.h>
#include <string.h>
#include "../unit/mock-machine.h"
#include "fuzz-input.h"

#define STEPS 64

/* What packets begin with; the rest is the fuzzer's. */
static const char *const words[] = {
	"g",
	"G",
	"p",
	"P",
	"m",
	"M",
	"X",
	"Z0,",
	"Z2,",
	"z3,",
	"c",
	"s",
	"vCont;",
	"?",
	"D",
	"qXfer:features:read:target.xml:",
	"qSupported:",
	"qRcmd,",
	"Qqemu.PhyMemMode:",
	"qThreadExtraInfo,",
	"H",
	"T",
	"QStartNoAckMode",
	/* Monitor commands: in digits. */
	"qRcmd,696e666f206d656d",
	"qRcmd,696e666f20726567697374657273",
	"qRcmd,77616c6b203078",
	"qRcmd,70687973203078",
	"qRcmd,696e666f206576656e747320",
};

static size_t take_bytes(struct fuzz_input *in, u8 *to, size_t max)
{
	size_t n = fuzz_take(in, 1);

	if (n > max)
		n = max;
	if (n > in->left)
		n = in->left;
	memcpy(to, in->data, n);
	in->data += n;
	in->left -= n;
	return n;
}

static void receive_raw(struct mock_machine *m, struct fuzz_input *in)
{
	u8 bytes[255];

	mock_receive(m, bytes, take_bytes(in, bytes, sizeof(bytes)));
}

static void receive_packet(struct mock_machine *m, struct fuzz_input *in)
{
	const char *word = words[fuzz_take(in, 1) % ARRAY_SIZE(words)];
	const size_t len = strlen(word);
	u8 packet[320], frame[GDB_FRAME_SIZE(sizeof(packet))];

	memcpy(packet, word, len);
	mock_receive(m, frame, gdb_frame(frame, packet, len + take_bytes(in, packet + len, 255)));
}

/* The longest that fits, and one more. */
static void receive_long(struct mock_machine *m, struct fuzz_input *in)
{
	static u8 packet[GDB_PACKET_MAX + 1], frame[GDB_FRAME_SIZE(sizeof(packet))];

	memset(packet, fuzz_take(in, 1), sizeof(packet));
	packet[0] = 'G';
	mock_receive(m, frame, gdb_frame(frame, packet, sizeof(packet) - fuzz_take(in, 1) % 3));
}

static void stop(struct mock_machine *m, struct fuzz_input *in)
{
	const u32 kind = fuzz_take(in, 1) % EXIT_COUNT;
	struct vm_exit exit = {.kind = kind};

	if (m->gdb.stopped)
		return;
	if (kind == EXIT_DEBUG) {
		exit.debug.reason = fuzz_take(in, 1);
		exit.debug.address = fuzz_take(in, 4);
	}
	mock_exit(m, &exit);
}

static void scribble(struct vm *vm, struct fuzz_input *in)
{
	u8 bytes[255];
	const u32 at = fuzz_take(in, 2);
	const size_t n = take_bytes(in, bytes, sizeof(bytes));

	memcpy(vm->ram + at, bytes, n);
	vm->cpu.cr3 = fuzz_take(in, 4);
	vm->cpu.cr4 = fuzz_take(in, 1);
	vm->cpu.cr0 = fuzz_take(in, 1) & 1 ? CR0_PG | CR0_PE : CR0_PE;
	vm->cpu.pdpte[fuzz_take(in, 1) & 3] = fuzz_take(in, 4);
	pv_page(vm)->cpl = fuzz_take(in, 4);
	vm->pit.counter[0].reload = fuzz_take(in, 1);
	vm->cpu.rip = fuzz_take(in, 4);
}

static void come_or_go(struct mock_machine *m)
{
	if (m->gdb.attached)
		gdb_session_detach(&m->gdb);
	else
		gdb_session_attach(&m->gdb);
}

static void step(struct mock_machine *m, struct fuzz_input *in)
{
	switch (fuzz_take(in, 1) % 8) {
	case 0:
		receive_raw(m, in);
		break;
	case 1:
	case 2:
	case 3:
		receive_packet(m, in);
		break;
	case 4:
		stop(m, in);
		break;
	case 5:
		scribble(m->vm, in);
		break;
	case 6:
		come_or_go(m);
		break;
	case 7:
		if (fuzz_take(in, 1) & 1)
			mock_stand(m);
		else
			receive_long(m, in);
		break;
	}
	if (m->gdb.hang_up)
		gdb_session_detach(&m->gdb);
	fuzz_require(m->gdb.out_done <= m->gdb.out_len);
	fuzz_require(m->gdb.out_len <= sizeof(m->gdb.out));
	/* No guest stands that nobody will let go. */
	fuzz_require(m->gdb.attached || !(m->machine.paused & PAUSE_DEBUGGER));
}

/* What a run begins with. Making it anew would take longer than the run. */
struct beginning {
	struct mock_machine *m;
	struct vm *vm;
	u8 *ram;
	u8 state[offsetof(struct vm, shadow)];
};

static void remember(struct beginning *b)
{
	b->vm = vm_create(VM_RAM);
	b->ram = malloc(VM_RAM + HOST_EXTRA_BYTES);
	fuzz_require(b->ram);
	memcpy(b->ram, b->vm->ram, VM_RAM + HOST_EXTRA_BYTES);
	memcpy(b->state, b->vm, sizeof(b->state));
	b->m = mock_machine_create(b->vm, NULL);
}

static void restore(const struct beginning *b)
{
	memcpy(b->vm, b->state, sizeof(b->state));
	memcpy(b->vm->ram, b->ram, VM_RAM + HOST_EXTRA_BYTES);
	mock_machine_restart(b->m);
	b->m->has_fpu = true;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct beginning beginning;
	struct fuzz_input in = {data, size};
	struct mock_machine *m;

	if (!beginning.vm)
		remember(&beginning);
	restore(&beginning);
	m = beginning.m;
	gdb_session_start(&m->gdb, &m->machine, false);
	gdb_session_attach(&m->gdb);
	for (unsigned i = 0; i < STEPS && in.left && !m->machine.end; i++)
		step(m, &in);
	gdb_session_detach(&m->gdb);
	mock_stand(m);
	/* No point is left that nobody will take away. */
	fuzz_require(m->machine.end || m->gdb.crashed || !m->debug.count);
	return 0;
}

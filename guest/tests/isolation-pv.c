/*
 * Test guest: user code that jumps anywhere into the PV page gets neither into its kernel nor to
 * see its memory, whatever registers and stack it brings: the stubs there change the privilege
 * level.
 *
 * With kernel pages below 3 GiB, as here, the stubs are those that trap.
 *
 * For plex86's kernel module. Under the user engine the PV page's stubs are code that user code can
 * run as well. On a CPU there is nothing at all.
 */
#include "targets.h"

#define VEC_SYSCALL  0x80
#define FRAME_WORDS  192
#define STUBS	     0x100 /* they begin here; what is around is the same everywhere */
#define STUBS_END    0x340
#define STRIDE	     61
#define PAGES_AROUND 64 /* no two faults are to look like one that does not go away */

USER_DATA struct {
	u32 offset;
	u16 selector;
} __attribute__((packed)) way_in = {0, SEL_UCODE};
/* ECX: where to. */
UCODE(jump, "", "jmp *%ecx");
UCODE(far_jump, "movl %ecx, way_in", "ljmp *way_in");
USER_DATA static u32 user_words[1024];

/* A jump may lead to where user code has last been, and so go round for ever. */
UCODE(leave, "", "nop");
static unsigned ticks;

static void tick(struct regs *r)
{
	pic_eoi(0);
	if ((r->cs & 3) && ++ticks == 2)
		r->eip = (u32)leave;
}

/* What an iret of the kernel would take for a return to itself, at whatever depth it looks. */
static void forge(unsigned phase)
{
	const u32 frame[] = {(u32)kernel_landing + HIGH, SEL_KCODE, FLAG_IF | FLAG_IOPL | 2};

	for (unsigned i = 0; i < FRAME_WORDS; i++)
		((u32 *)user_stack)[i] = frame[(i + phase) % ARRAY_SIZE(frame)];
}

static u32 next(u32 offset)
{
	if (offset < STUBS)
		return STUBS;
	return offset + (offset >= STUBS_END ? STRIDE : 1);
}

static struct user_state at(enum user_kind kind, u32 offset)
{
	struct user_state s = user_of(kind, kind == USER_FLAT ? jump : far_jump);

	ticks = 0;
	s.ecx = PV_PAGE + offset;
	s.esp = (u32)user_stack + FRAME_WORDS * 2;
	return s;
}

/* `what` stands in EAX, or a page of the kernel's behind it: many instructions there use it as a
 * pointer. */
static void forged_frames(enum user_kind kind, const char *title, u32 what, u32 flags)
{
	struct tally tally = {0};

	for (unsigned phase = 0; phase < 3; phase++) {
		forge(phase);
		for (u32 offset = 0; offset < PAGE; offset = next(offset)) {
			struct user_state s = at(kind, offset);

			s.eax = what < HIGH ? what : what + offset % PAGES_AROUND * PAGE;
			s.eflags |= flags;
			run_user_state(&s);
			tally_add(&tally, judge_code(), "kernel", "a jump to", offset);
		}
	}
	tally_print(&tally, user_kinds[kind], title);
}

/* What an iret or a popf of the kernel would have taken from its own memory. */
static bool has_its_flags(u32 word, u32 flags)
{
	const u32 mask = (FLAG_ARITH & ~FLAG_AF) | FLAG_DF | FLAG_AC | FLAG_ID;

	return !((trap.eflags ^ word) & mask) && ((flags ^ word) & mask);
}

static void kernel_stack(enum user_kind kind, const char *title, const struct target *t, u32 flags)
{
	struct tally tally = {0};

	for (u32 offset = 0; offset < PAGE; offset = next(offset)) {
		struct user_state s = at(kind, offset);
		const char *done;

		s.esp = t->address;
		s.eax = t->address + offset % PAGES_AROUND * PAGE;
		s.eflags |= flags;
		done = attempt(t, &s);
		if (!done && has_its_flags(SECRET, s.eflags))
			done = "read into the flags";
		tally_add(&tally, done, t->name, "a jump to", offset);
	}
	tally_print(&tally, user_kinds[kind], title);
}

static void kernel_stacks(enum user_kind kind, const char *title, u32 flags)
{
	kernel_stack(kind, title, &targets[0], flags);
}

static void attack(void)
{
	for (enum user_kind kind = 0; kind < USER_KINDS; kind++) {
		forged_frames(kind, "forged frames", (u32)secret + HIGH, 0);
		forged_frames(kind, "forged frames, single step", (u32)user_words, FLAG_TF);
		kernel_stacks(kind, "the kernel's stack", 0);
		kernel_stacks(kind, "the kernel's stack, single step", FLAG_TF);
	}
}

void guest_main(void)
{
	targets_init();
	set_gate(VEC_SYSCALL, ACC_P | ACC_DPL(3) | ACC_INTGATE);
	trap_handlers[VEC_IRQ] = tick;
	pit_mode(0, 2, 1193); /* 1 kHz */
	pic_mask(0xfffe);
	attack();
	guest_exit(0);
}

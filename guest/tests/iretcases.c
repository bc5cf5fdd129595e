/*
 * Test guest: iret to the same and to the outer level, its checks, and the flags it may change
 * (SDM vol. 2, IRET). A failing iret is a fault of the iret itself, on the stack it ran on.
 *
 * Left out: RF (QEMU 7.2 never shows it), VM and NT with a real back link (no task switches), IOPL
 * written by the kernel's popf (not virtualizable; here it comes from the iret image), an SS that
 * is not present (#SS in the SDM, #NP in emulators and older manuals), EIP beyond the new CS's
 * limit (in the guest `limits`: QEMU 7.2 goes there).
 */
#include "guest.h"

#define SEL_NP_CODE TEST_SEL(0)
#define SEL_CODE_D3 (TEST_SEL(1) | 3)
#define SEL_RO_DATA (TEST_SEL(3) | 3)
#define SEL_CONF    TEST_SEL(4)
#define SEL_KCODE_2 TEST_SEL(6)
#define BEYOND	    (GDT_SIZE * 8)

struct frame {
	u32 eip, cs, eflags, esp, ss;
};

CODE(arrive, "", "int3");
UCODE(u_arrive, "", "int $0x30");

static struct frame to_kernel(u32 cs)
{
	return (struct frame){(u32)arrive, cs, 2, 0, 0};
}

static struct frame to_user(void)
{
	return (struct frame){(u32)u_arrive, SEL_UCODE, 2 | FLAG_IF, (u32)user_stack_top - 64,
			      SEL_UDATA};
}

/* The frame gets a stack of its own: after an iret to the same level ESP lies just behind it. */
static u32 iret_to(struct frame f)
{
	static struct {
		u32 room[512];
		struct frame frame;
	} stack;

	stack.frame = f;
	return try_call(iret_frame, &stack.frame);
}

static void go(const char *what, struct frame f)
{
	u32 vector = iret_to(f);

	if (vector != 3 && vector != VEC_DONE) {
		print_trap(what, iret_at);
		return;
	}
	print("%s: arrived, cs=%02x ", what, trap.cs & 0xffff);
	print_flags(trap.eflags);
	if (trap.cs & 3)
		print(" ss=%02x", trap.ss & 0xffff);
	print("\n");
}

static void same_level(void)
{
	static const struct {
		const char *what;
		u32 cs;
	} t[] = {
		{"same", SEL_KCODE},
		{"same, another segment", SEL_KCODE_2},
		{"same, high half set", 0xabcd0000u | SEL_KCODE},
		{"null", 0},
		{"null, RPL 3", 3},
		{"data", SEL_KDATA},
		{"TSS", SEL_TSS},
		{"beyond the GDT", BEYOND},
		{"not present", SEL_NP_CODE},
		{"conforming", SEL_CONF},
		{"DPL 3, RPL 0", SEL_UCODE & ~3},
		{"no LDT", 0x207 & ~3},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++)
		go(t[i].what, to_kernel(t[i].cs));
	for (u32 bit = 0; bit < 22; bit++) {
		struct frame f = to_kernel(SEL_KCODE);
		char name[] = "eflags bit ..";

		/* TF has a guest of its own; NT, RF, VM, VIF, VIP as the header says. */
		if ((bit == 8) || (bit >= 12 && bit <= 17) || bit == 19 || bit == 20)
			continue;
		f.eflags = 1u << bit;
		name[11] = '0' + bit / 10;
		name[12] = '0' + bit % 10;
		go(name, f);
	}
}

static void outer_level(void)
{
	static const struct {
		const char *what;
		u32 cs, ss;
	} t[] = {
		{"outer", SEL_UCODE, SEL_UDATA},
		{"outer, another segment", SEL_CODE_D3, SEL_UDATA},
		{"null SS", SEL_UCODE, 0},
		{"null SS, RPL 3", SEL_UCODE, 3},
		{"SS RPL 0", SEL_UCODE, SEL_UDATA & ~3},
		{"SS DPL 0", SEL_UCODE, SEL_KDATA | 3},
		{"SS read-only", SEL_UCODE, SEL_RO_DATA},
		{"SS code", SEL_UCODE, SEL_UCODE},
		{"SS beyond the GDT", SEL_UCODE, BEYOND | 3},
		{"CS DPL 0, RPL 3", SEL_KCODE | 3, SEL_UDATA},
		{"CS data", SEL_UDATA, SEL_UDATA},
		{"CS not present", SEL_NP_CODE | 3, SEL_UDATA},
		{"CS beyond the GDT", BEYOND | 3, SEL_UDATA},
		{"CS conforming", SEL_CONF | 3, SEL_UDATA},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		struct frame f = to_user();

		f.cs = t[i].cs;
		f.ss = t[i].ss;
		go(t[i].what, f);
	}
	for (u32 bit = 0; bit < 22; bit++) {
		struct frame f = to_user();
		char name[] = "user eflags bit ..";

		if (bit == 8 || (bit >= 14 && bit <= 17) || bit == 19 || bit == 20)
			continue;
		f.eflags = 1u << bit;
		name[16] = '0' + bit / 10;
		name[17] = '0' + bit % 10;
		go(name, f);
	}
}

/* NT: iret looks for a back link in the TSS, and finds none (#TS). */
static void nested_task(void)
{
	struct frame f = to_kernel(SEL_KCODE);
	u32 vector;

	static const u16 link[] = {0, BEYOND, SEL_KDATA, SEL_TSS | 4};

	for (unsigned i = 0; i < ARRAY_SIZE(link); i++) {
		tss.link = link[i];
		flags_set(flags_get() | FLAG_NT);
		vector = iret_to(f);
		flags_set(flags_get() & ~FLAG_NT);
		print("NT, link %04x: vector %u error %04x\n", link[i], vector, trap.error);
	}
	tss.link = 0;
}

/* Returning outward nulls the data segments the outer level may not hold. */
UCODE(u_selectors, "movl %ds, %eax; movl %es, %ebx; movl %fs, %ecx; movl %gs, %edx", "int $0x30");

static void drop_segments(void)
{
	struct user_state s = user_state(u_selectors);

	s.ds = SEL_KDATA;
	s.es = SEL_UDATA;
	s.fs = SEL_KDATA;
	s.gs = 0;
	run_user_state(&s);
	print("ds=%02x es=%02x fs=%02x gs=%02x\n", trap.eax & 0xffff, trap.ebx & 0xffff,
	      trap.ecx & 0xffff, trap.edx & 0xffff);
}

/* What user code may change of EFLAGS by its own iret: not IF, not IOPL. */
UCODE(u_iret, "pushl $0x3ed7; pushl $0x23; pushl $1f; " RAW_IRET "; 1:", "int $0x30");
UCODE(u_iret_inner, "pushl $0x202; pushl $0x10; pushl $0", RAW_IRET);
UCODE(u_iret_null, "pushl $0x202; pushl $0; pushl $0", RAW_IRET);

static void user_iret(void)
{
	run_user(u_iret);
	print_trap("user iret", u_iret_at);
	print("arithmetic %03x\n", trap.eflags & FLAG_ARITH);
	run_user(u_iret_inner);
	print_trap("user iret inward", u_iret_inner_at);
	run_user(u_iret_null);
	print_trap("user iret to null", u_iret_null_at);
}

void guest_main(void)
{
	paging_init();
	gdt[GDT_TEST + 0] = descriptor(0, 0xfffff, ACC_CODE_R, DESC_32 | DESC_4K);
	gdt[GDT_TEST + 1] =
		descriptor(0, 0xfffff, ACC_P | ACC_DPL(3) | ACC_CODE_R, DESC_32 | DESC_4K);
	gdt[GDT_TEST + 3] =
		descriptor(0, 0xfffff, ACC_P | ACC_DPL(3) | ACC_DATA, DESC_32 | DESC_4K);
	gdt[GDT_TEST + 4] = descriptor(0, 0xfffff, ACC_P | ACC_CONF_R, DESC_32 | DESC_4K);
	gdt[GDT_TEST + 6] = descriptor(0, 0xfffff, ACC_P | ACC_CODE_R, DESC_32 | DESC_4K);
	print("same level\n");
	same_level();
	print("outer level\n");
	outer_level();
	print("nested task\n");
	nested_task();
	print("segments dropped\n");
	drop_segments();
	print("iret in user code\n");
	user_iret();
	guest_exit(0);
}

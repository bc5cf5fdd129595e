/*
 * The PV page, written to by whom it belongs to, at any word and at any time.
 *
 * Owns: `pv SEED ROUNDS`: random words over the monitor's words and over the code of its stubs, and
 * after each what makes the monitor and the stubs use them. Where there is no such page it is like
 * any other.
 */
#include "escape.h"

#define PV_CODE 0x100 /* its stubs, from here on */
#define PV_WORD 0x060 /* its words, up to here */

#ifdef PLEX86_PV_PAGE
#define BY_STUB(stub) "lcall $0x23, $" STRINGIFY(PLEX86_PV_PAGE) " + " STRINGIFY(stub)
UCODE(p_int80_stub, "", BY_STUB(PLEX86_PV_STUB_INT80) "; int $0x80");
UCODE(p_trap_stub, "", BY_STUB(PLEX86_PV_STUB_TRAP));
UCODE(p_iret_stub, "pushl $0x202; pushl $0x07; pushl $p_ud",
      "ljmp $0x23, $" STRINGIFY(PLEX86_PV_PAGE) " + " STRINGIFY(PLEX86_PV_STUB_IRET));
#define USER_CS PLEX86_USER_CS
#define USER_DS PLEX86_USER_DS
#else
UCODE(p_int80_stub, "", "int $0x80");
UCODE(p_trap_stub, "", "lcall $0x23, $0xfffff300");
UCODE(p_iret_stub, "", "ljmp $0x23, $0xfffff100");
#define USER_CS SEL_UCODE
#define USER_DS SEL_UDATA
#endif
UCODE(p_ud, "", "ud2");
UCODE(p_int80, "", "int $0x80");
UCODE(p_middle, "", "jmp *%ebx");
CODE(p_kernel_ud, "", "ud2");
CODE(p_kernel_int, "", "int $0x41");

static u32 ticks, rounds_done;

static void tick(struct regs *r)
{
	(void)r;
	ticks++;
	pic_eoi(0);
}

static u32 odd_word(u32 *seed)
{
	const u32 words_[] = {
		0,	    1,		3,	    0x200,	     0xffffffff, 0x80000000,
		RAM_END,    DEVICES,	PV_PAGE,    PV_PAGE + 0x100, 0xcd80cd80, 0xcfcfcfcf,
		0xf4f4f4f4, 0x900f0f05, 0x340f340f, 0x0f050f05,	     0x00330033, (u32)page_dir,
		(u32)gdt,   0x23,	0x10};
	const u32 how = random(seed);

	return how & 0x300 ? words_[(how >> 12) % ARRAY_SIZE(words_)] : random(seed);
}

static void scribble(u32 *seed)
{
	for (u32 n = random(seed) % 6; n; n--) {
		const u32 how = random(seed);
		u32 at = how >> 8 & (PV_WORD - 4);

		if (how & 1)
			at = PV_CODE + (how >> 8) % (PAGE - PV_CODE - 4);
		if (how & 2)
			at &= ~0xc00u; /* where the stubs really are */
		*(volatile u32 *)(PV_PAGE + at) = odd_word(seed);
	}
}

static void scribbling(void *seed)
{
	scribble(seed);
}

static void user(void (*fn)(void), u32 ebx)
{
	struct user_state s = user_state(fn);

	s.cs = USER_CS;
	s.ss = s.ds = s.es = USER_DS;
	s.ebx = ebx;
	run_user_state(&s);
}

static void one_thing(u32 *seed)
{
	const u32 how = random(seed);

	switch (how >> 8 & 15) {
	case 0:
		user(p_ud, 0);
		break;
	case 1:
		user(p_int80, 0);
		break;
	case 2:
		user(p_int80_stub, 0);
		break;
	case 3:
		user(p_trap_stub, 0);
		break;
	case 4:
		user(p_iret_stub, 0);
		break;
	case 5:
		user(p_middle, PV_PAGE + PV_CODE + (how >> 16 & 0x3ff));
		break;
	case 6:
		try(p_kernel_ud);
		break;
	case 7:
		try(p_kernel_int);
		break;
	case 8:
		irq_on();
		break;
	case 9:
		irq_off();
		break;
	case 10:
		flags_set(how >> 16 & (FLAG_IF | FLAG_ARITH));
		break;
	case 11:
		tlb_flush();
		break;
	case 12:
		invlpg(PV_PAGE);
		break;
	case 13:
		try_call((void (*)(void *))(PV_PAGE + PV_CODE + (how >> 16 & 0x3ff)), NULL);
		break;
	case 14:
		inb(COM1_LSR);
		break;
	default:
		pit_mode(0, 2, 0x400 + (how >> 16 & 0x3ff));
	}
}

void pv_page(unsigned first)
{
	u32 seed = number_of(first + 1, 1), rounds = number_of(first + 2, 200);

	paging_init();
	set_gate(0x80, ACC_P | ACC_DPL(3) | ACC_INTGATE);
	trap_handlers[VEC_IRQ] = tick;
	pit_mode(0, 2, 1193);
	pic_mask(0xfffe);
	for (; rounds_done < rounds; rounds_done++) {
		try_call(scribbling, &seed);
		one_thing(&seed);
	}
	print("held: %u rounds\n", rounds_done);
}

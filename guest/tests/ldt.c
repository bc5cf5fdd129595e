/*
 * Test guest: user code that changes between segments of its LDT and of the GDT, with no trap of
 * its own in between, and reads back what it has loaded. Not for engines that do not hold a guest's
 * selectors.
 *
 * Where user code is native, the host's LDT holds what the guest's registers name.
 */
#include "guest.h"

#define FIRST	  3 /* below are entries of the guest ABI's */
#define LAST	  40
#define GDT_FIRST 8
#define GDT_LAST  13
#define CODE_LDT  45 /* code up to 3 GiB: not flat */

#define LDT(n) ((n) << 3 | 7)
#define GDT(n) ((n) << 3 | 3)

static u64 ldt[48];
static u32 USER_DATA area[2][LAST + 1][2];

/* GS: EAX, EBX, EAX; what is there: ECX, EDX, ESI, and what it is: EDI. FS is left alone and read.
 */
UCODE(u_change,
      "movl %eax, %gs; movl %gs:0, %ecx; movl %ebx, %gs; movl %gs:0, %edx; movl %eax, %gs; movl %gs:0, %esi",
      "movl %gs, %edi; movl %fs:0, %ebp");
/* A register is read and put back, with others in between, and a trap. */
UCODE(u_save,
      "movl %gs, %ecx; movl %ebx, %gs; xorl %edx, %edx; movl %edx, %gs; movl $1, area; movl %ebx, %gs",
      "movl %ecx, %gs; movl %gs:0, %esi");

static u32 value(u32 selector)
{
	return area[!(selector & 4)][selector >> 3][0];
}

static u32 change(u32 a, u32 b, u32 fs, u32 cs)
{
	struct user_state s = user_state(u_change);

	s.eax = a;
	s.ebx = b;
	s.fs = fs;
	s.cs = cs;
	if (run_user_state(&s) != VEC_DONE)
		return 1;
	return trap.ecx != value(a) || trap.edx != value(b) || trap.esi != value(a) ||
	       trap.ebp != value(fs);
}

/* All pairs. EDI tells of the LDT's selectors: those of the GDT may be read as something else. */
static void pairs(const char *what, u32 fs, u32 cs)
{
	u32 wrong = 0, read = 0;

	for (u32 a = FIRST; a <= LAST; a++)
		for (u32 b = FIRST; b <= LAST; b++) {
			wrong += change(LDT(a), LDT(b), fs, cs);
			read += trap.edi != LDT(a) && a < 32;
		}
	for (u32 a = FIRST; a <= LAST; a++)
		for (u32 b = GDT_FIRST; b <= GDT_LAST; b++) {
			wrong += change(LDT(a), GDT(b), fs, cs);
			wrong += change(GDT(b), LDT(a), fs, cs);
		}
	print("%s, wrong %u", what, wrong);
	if (fs == LDT(FIRST) && cs == SEL_UCODE)
		print(", read as another %u", read);
	print("\n");
}

static void saved(void)
{
	u32 wrong = 0;

	for (u32 a = FIRST; a <= LAST; a++)
		for (u32 b = FIRST; b <= LAST; b++) {
			struct user_state s = user_state(u_save);

			s.gs = LDT(a);
			s.ebx = LDT(b);
			wrong += run_user_state(&s) != VEC_DONE || trap.esi != value(LDT(a));
		}
	for (u32 a = GDT_FIRST; a <= GDT_LAST; a++)
		for (u32 b = FIRST; b <= LAST; b++) {
			struct user_state s = user_state(u_save);

			if (a == b)
				continue; /* what it has read may be either */
			s.gs = GDT(a);
			s.ebx = LDT(b);
			wrong += run_user_state(&s) != VEC_DONE || trap.esi != value(GDT(a));
		}
	print("read and put back, wrong %u\n", wrong);
}

/* The kernel changes an entry that no register holds, and takes one away. */
static void changed(void)
{
	u32 wrong = 0;

	for (u32 n = FIRST; n <= LAST; n++) {
		const u64 before = ldt[n];

		change(LDT(n), LDT(n), LDT(FIRST), SEL_UCODE);
		ldt[n] = ldt[n == LAST ? FIRST : n + 1];
		wrong += change(LDT(n), LDT(n), LDT(n), SEL_UCODE) != 1;
		wrong += trap.ecx != value(n == LAST ? LDT(FIRST) : LDT(n + 1));
		ldt[n] = 0;
		/* FS was null, or the way into user code would have failed. */
		wrong += change(LDT(n), LDT(FIRST), 0, SEL_UCODE) != 1 || trap.vector != 13 ||
			 trap.error != (LDT(n) & ~3u);
		ldt[n] = before;
	}
	print("changed by the kernel, wrong %u\n", wrong);
}

static void fill(void)
{
	for (u32 n = 0; n <= LAST; n++)
		for (u32 gdt_entry = 0; gdt_entry < 2; gdt_entry++)
			area[gdt_entry][n][0] = 1000 * gdt_entry + n;
	for (u32 n = FIRST; n <= LAST; n++)
		ldt[n] = descriptor((u32)area[0][n], 0xfff, ACC_P | ACC_DPL(3) | ACC_DATA_W,
				    DESC_32);
	for (u32 n = GDT_FIRST; n <= GDT_LAST; n++)
		gdt[n] = descriptor((u32)area[1][n], 0xfff, ACC_P | ACC_DPL(3) | ACC_DATA_W,
				    DESC_32);
	ldt[CODE_LDT] = descriptor(0, 0xbffff, ACC_P | ACC_DPL(3) | ACC_CODE_R, DESC_32 | DESC_4K);
	gdt[SEL_LDT / 8] = descriptor((u32)ldt, sizeof(ldt) - 1, ACC_P | ACC_LDT, 0);
	asm volatile("lldt %w0" : : "r"(SEL_LDT) : "memory");
}

void guest_main(void)
{
	paging_init();
	fill();
	pairs("one register", LDT(FIRST), SEL_UCODE);
	pairs("with another", LDT(20), SEL_UCODE);
	pairs("with another of the GDT", GDT(GDT_FIRST + 1), SEL_UCODE);
	pairs("with code of the LDT", LDT(17), LDT(CODE_LDT));
	saved();
	changed();
	guest_exit(0);
}

/*
 * Test guest: x87 and SSE state: kept across traps, interrupts, user code and the monitor's own
 * work; control words and MXCSR; fxsave and fxrstor; #MF (SDM vol. 1, chapters 8, 10
 * and 11.6).
 *
 * Registers are loaded from memory and stored to it, by instructions written out: nothing here
 * computes, but for one loop at the end. Left out, since QEMU 7.2 does not do it: #XM, #GP of a bad
 * MXCSR, #MF by anything but fwait, the last-instruction and last-data pointers. #NM is left out
 * too: at hardware CPL 3 no FPU instruction traps for the CR0.TS of the guest.
 */
#include "guest.h"

struct fxsave {
	u16 fcw, fsw;
	u8 ftw, reserved;
	u16 fop;
	u32 fip, fcs, fdp, fds, mxcsr, mxcsr_mask;
	u8 st[8][16];
	u8 xmm[8][16];
	u8 rest[224];
} __attribute__((aligned(16)));
struct fxsave image, other, loaded;

static void fxsave(struct fxsave *to)
{
	asm volatile("fxsave %0" : "=m"(*to));
}

static void fxrstor(const struct fxsave *from)
{
	asm volatile("fxrstor %0" : : "m"(*from));
}

static void fill(struct fxsave *f, u8 seed)
{
	u8 *p = (u8 *)f;

	for (u32 i = 0; i < sizeof(*f); i++)
		p[i] = 0;
	f->fcw = 0x027f;
	f->ftw = 0xff;
	f->mxcsr = 0x1f80 | (seed & 3) << 13;
	for (u32 r = 0; r < 8; r++) {
		for (u32 i = 0; i < 8; i++)
			f->st[r][i] = seed + r * 16 + i;
		f->st[r][7] |= 0x80; /* normal numbers: the integer bit and an exponent */
		f->st[r][8] = r;
		f->st[r][9] = 0x40;
		for (u32 i = 0; i < 16; i++)
			f->xmm[r][i] = seed ^ (r * 16 + i);
	}
}

/* What fxsave stores now, against what was loaded: registers and control words. */
static u32 differences(const struct fxsave *want)
{
	u32 n = 0;

	fxsave(&image);
	n += image.fcw != want->fcw;
	n += image.ftw != want->ftw;
	n += image.mxcsr != want->mxcsr;
	for (u32 r = 0; r < 8; r++) {
		for (u32 i = 0; i < 10; i++)
			n += image.st[r][i] != want->st[r][i];
		for (u32 i = 0; i < 16; i++)
			n += image.xmm[r][i] != want->xmm[r][i];
	}
	return n;
}

static volatile u32 ticks;

static void tick(struct regs *r)
{
	(void)r;
	ticks++;
	pic_eoi(0);
}

static void nothing(struct regs *r)
{
	r->ecx = 0;
}

static void kept(void)
{
	u32 bad = 0;

	fill(&loaded, 0x21);
	fxrstor(&loaded);
	check(differences(&loaded) == 0, "fxrstor and fxsave");
	asm volatile("int $0x50" : : : "ecx");
	check(differences(&loaded) == 0, "across int");
	print("across output\n");
	check(differences(&loaded) == 0, "across port I/O");
	cr3_set(cr3_get());
	invlpg(WINDOW);
	*pte_of(WINDOW) = page_alloc() | PTE_P | PTE_W;
	*(volatile u32 *)WINDOW = 1;
	check(differences(&loaded) == 0, "across CR3 and a new page");
	pit_mode(0, 2, 1193);
	pic_mask(0xfffe);
	for (u32 i = 0; i < 20; i++) {
		u32 until = ticks + 2;

		fill(&loaded, i * 7);
		fxrstor(&loaded);
		irq_on();
		while (ticks < until)
			;
		irq_off();
		bad += differences(&loaded);
	}
	pic_mask(0xffff);
	print("across 40 ticks, wrong %u\n", bad);
}

/* User code loads all registers and spins; the kernel looks at them and gives others back. */
USER_DATA struct fxsave user_load, user_store;
UCODE(u_fpu, "fxrstor user_load; movl $3000000, %ecx; 1: decl %ecx; jnz 1b; fxsave user_store",
      "int $0x30");
UCODE(u_load, "fxrstor user_load", "int $0x30");
UCODE(u_store, "fxsave user_store", "int $0x30");

static u32 compare(const struct fxsave *x, const struct fxsave *y)
{
	u32 n = (x->fcw != y->fcw) + (x->mxcsr != y->mxcsr) + (x->ftw != y->ftw);

	for (u32 r = 0; r < 8; r++) {
		for (u32 i = 0; i < 10; i++)
			n += x->st[r][i] != y->st[r][i];
		for (u32 i = 0; i < 16; i++)
			n += x->xmm[r][i] != y->xmm[r][i];
	}
	return n;
}

/* The timer's handler uses the registers itself, as a switch of tasks would. */
static void clobber(struct regs *r)
{
	(void)r;
	fxsave(&image);
	fill(&other, ticks++);
	fxrstor(&other);
	asm volatile("fninit; fld1; fldz");
	fxrstor(&image);
	pic_eoi(0);
}

static void user(void)
{
	u32 bad = 0;

	fill(&user_load, 0x77);
	run_user(u_load);
	check(differences(&user_load) == 0, "user code's registers seen by the kernel");
	fill(&loaded, 0x99);
	fxrstor(&loaded);
	run_user(u_store);
	check(compare(&user_store, &loaded) == 0, "the kernel's seen by user code");
	trap_handlers[VEC_IRQ] = clobber;
	pic_mask(0xfffe);
	for (u32 i = 0; i < 5; i++) {
		fill(&user_load, i * 11);
		run_user(u_fpu);
		bad += compare(&user_store, &user_load);
	}
	pic_mask(0xffff);
	print("user code with a timer that uses the registers, wrong %u\n", bad);
}

/* Control words, and what fninit leaves. */
static void control(void)
{
	u16 fcw, fsw;
	u32 mxcsr;

	asm volatile("fninit; fnstcw %0; fnstsw %1" : "=m"(fcw), "=m"(fsw));
	print("fninit: control %04x status %04x\n", fcw, fsw);
	for (u32 i = 0; i < 4; i++) {
		fcw = 0x037f & ~(3 << 10);
		fcw |= i << 10;
		mxcsr = 0x1f80 | i << 13;
		asm volatile("fldcw %0; ldmxcsr %1; int $0x50" : : "m"(fcw), "m"(mxcsr) : "ecx");
		asm volatile("fnstcw %0; stmxcsr %1" : "=m"(fcw), "=m"(mxcsr));
		print("rounding %u: %04x %04x\n", i, fcw, mxcsr);
	}
	asm volatile("fninit; fld1; fldpi; fldz; fnstsw %0" : "=m"(fsw));
	fxsave(&image);
	print("three pushed: status %04x tags %02x\n", fsw, image.ftw);
}

CODE(k_fxsave, "", "fxsave image + 8");
CODE(k_movaps, "", "movaps image + 4, %xmm0");
CODE(k_mf, "fninit; pushl $0x37b; fldcw (%esp); addl $4, %esp; fldz; fld1; fdiv %st(1), %st",
     "fwait");
UCODE(u_mf, "fninit; pushl $0x37b; fldcw (%esp); addl $4, %esp; fldz; fld1; fdiv %st(1), %st",
      "fwait");

static void faults(void)
{
	static const struct snippet t[] = {SNIPPET(k_fxsave), SNIPPET(k_movaps), SNIPPET(k_mf)};
	static const struct snippet u[] = {SNIPPET(u_mf)};

	try_snippets(t, ARRAY_SIZE(t));
	run_user_snippets(u, ARRAY_SIZE(u));
	asm volatile("fnclex; fninit");
}

/* Arithmetic with the timer on: a sum in x87 and one in SSE. */
static void arithmetic(void)
{
	u32 low, high, single;

	trap_handlers[VEC_IRQ] = clobber;
	pic_mask(0xfffe);
	irq_on();
	asm volatile(
		"fninit; fldz; movl $200000, %%ecx; 1: fld1; faddp; decl %%ecx; jnz 1b; fistpll image"
		:
		:
		: "ecx", "memory");
	irq_off();
	low = *(u32 *)&image;
	high = *((u32 *)&image + 1);
	asm volatile("movl $1, %%eax; cvtsi2ss %%eax, %%xmm1; xorps %%xmm0, %%xmm0" : : : "eax");
	irq_on();
	asm volatile("movl $200000, %%ecx; 1: addss %%xmm1, %%xmm0; decl %%ecx; jnz 1b"
		     :
		     :
		     : "ecx");
	irq_off();
	asm volatile("cvttss2si %%xmm0, %0" : "=r"(single));
	pic_mask(0xffff);
	print("sums %u:%u %u\n", high, low, single);
}

void guest_main(void)
{
	paging_init();
	trap_handlers[0x50] = nothing;
	trap_handlers[VEC_IRQ] = tick;
	cr0_set((cr0_get() & ~(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE);
	cr4_set(cr4_get() | CR4_OSFXSR);
	asm volatile("fninit");
	kept();
	user();
	control();
	faults();
	arithmetic();
	guest_exit(0);
}

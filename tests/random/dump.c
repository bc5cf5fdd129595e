/*
 * One sequence and what came of it, as lines that can be compared.
 *
 * Owns: the text. "insn" lines are the sequence, all others its outcome.
 */
#include "random.h"

static void show_item(const struct sequence *s, u32 n)
{
	const u32 end = s->entry[n + 1];

	if (s->entry[n] == end)
		return;
	print("insn %u %08x ", n, s->start.eip + s->entry[n]);
	for (u32 b = s->entry[n]; b < end; b++)
		print("%02x", s->code[b]);
	print("\n");
}

static void show_word(u32 address, u32 was, u32 is)
{
	print("memory %08x %08x (was %08x)\n", address, is, was);
}

static void show_fpu(const struct fxsave *f)
{
	print("fcw %04x\nfsw %04x\nftw %02x\nmxcsr %04x\n", f->fcw, f->fsw, f->ftw, f->mxcsr);
	for (u32 i = 0; i < 8; i++)
		print("st%u %04x %08x%08x\n", i, f->st[i][2] & 0xffff, f->st[i][1], f->st[i][0]);
	for (u32 i = 0; i < 8; i++)
		print("xmm%u %08x %08x %08x %08x\n", i, f->xmm[i][3], f->xmm[i][2], f->xmm[i][1],
		      f->xmm[i][0]);
}

void dump(const struct sequence *s, const struct outcome *o, u32 keep)
{
	const struct user_state *st = &s->start;
	const struct regs *r = &o->r;

	print("start eax %08x ecx %08x edx %08x ebx %08x esp %08x ebp %08x esi %08x edi %08x eflags %08x\n",
	      st->eax, st->ecx, st->edx, st->ebx, st->esp, st->ebp, st->esi, st->edi, st->eflags);
	for (u32 n = 0; n < s->items; n++)
		if (keep >> n & 1)
			show_item(s, n);
	print("vector %x\nerror %x\ncr2 %08x\neip %08x\neflags %08x\n", o->vector, r->error, o->cr2,
	      r->eip, r->eflags);
	print("eax %08x\necx %08x\nedx %08x\nebx %08x\n", r->eax, r->ecx, r->edx, r->ebx);
	print("esp %08x\nebp %08x\nesi %08x\nedi %08x\n", r->esp, r->ebp, r->esi, r->edi);
	print("segments cs %04x ss %04x ds %04x es %04x fs %04x gs %04x\n", r->cs & 0xffff,
	      r->ss & 0xffff, r->ds & 0xffff, r->es & 0xffff, r->fs & 0xffff, r->gs & 0xffff);
	show_fpu(&o->fpu);
	run_restore(show_word);
}

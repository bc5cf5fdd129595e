/*
 * Running a sequence in ring 3.
 *
 * Owns: the pages it sees, what they hold, the trap that ends it, single steps, and the FPU's
 * state.
 */
#include "random.h"

#define VEC_DB	    1
#define VEC_UD	    6
#define STEPS	    24
#define TICKS_LIMIT 3

static u32 code_page, data_page, fixed_page, stack_page;
static u32 *pattern; /* what data and stack hold at the start of each */
static struct fxsave start_fpu;
static u32 ticks;

static struct {
	bool stepping;
	u32 left, eip, bugs;
	bool mmx;
	struct fpu_track fpu;
} step;

static bool compares(const struct options *o, enum left_out bug)
{
	return o->bugs >> (bug - BUG_FIRST) & 1;
}

/* ---- Pages ---- */

static void show_page(u32 linear, u32 physical, u32 rights)
{
	*pte_of(linear) = physical | PTE_P | rights;
}

static u32 pages(u32 n)
{
	const u32 first = page_alloc();

	while (--n)
		page_alloc();
	return first;
}

/* Not code: user code that goes there runs on it. No values that are addresses of TEXT. */
static u32 pattern_word(struct rng *r, u32 at, bool nans)
{
	if (nans && one_in(r, 4))
		return 0x7f800001 + rng_below(r, 0x3ffffe); /* signalling */
	switch (rng_below(r, 8)) {
	case 0:
		return DATA + rng_below(r, DATA_SIZE);
	case 1:
		return rng_below(r, 256);
	case 2: /* floats and doubles of common size */
		return 0x3f000000 + rng_below(r, 0x02000000);
	case 3:
		return 0x40000000 + rng_below(r, 0x100000);
	case 4:
		return at;
	default:
		return rng_next(r) & ~FLAG_AC;
	}
}

#define WORDS ((DATA_SIZE + STACK_SIZE) / 4)
static u32 *word_at(u32 i)
{
	return i < DATA_SIZE / 4 ? (u32 *)data_page + i : (u32 *)stack_page + (i - DATA_SIZE / 4);
}

static u32 linear_of(u32 i)
{
	return i < DATA_SIZE / 4 ? DATA + i * 4 : STACK + (i * 4 - DATA_SIZE);
}

static void on_tick(struct regs *r);
static void on_step(struct regs *r);

static void fpu_init(void)
{
	cr0_set((cr0_get() & ~(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE);
	cr4_set(cr4_get() | CR4_OSFXSR | 0x400);
	asm volatile("fninit");
	asm volatile("fxsave %0" : "=m"(start_fpu));
}

void run_init(const struct options *o)
{
	const bool nans = compares(o, BUG_FLD);
	struct rng r = {mix(0x64617461, o->seed)};

	code_page = pages(TEXT_SIZE / PAGE);
	data_page = pages(DATA_SIZE / PAGE);
	fixed_page = pages(1);
	stack_page = pages(1);
	pattern = (u32 *)pages((DATA_SIZE + STACK_SIZE) / PAGE);
	for (u32 i = 0; i < WORDS; i++)
		*word_at(i) = pattern[i] = pattern_word(&r, i, nans);
	for (u32 i = 0; i < PAGE / 4; i++)
		((u32 *)fixed_page)[i] = pattern_word(&r, i, nans);
	for (u32 i = 0; i < TEXT_SIZE; i++)
		((u8 *)code_page)[i] = 0xcc;
	for (u32 at = 0; at < TEXT_SIZE; at += PAGE)
		show_page(TEXT + at, code_page + at, PTE_U);
	for (u32 at = 0; at < DATA_SIZE; at += PAGE)
		show_page(DATA + at, data_page + at, PTE_U | PTE_W);
	show_page(FIXED, fixed_page, PTE_U);
	show_page(STACK, stack_page, PTE_U | PTE_W);
	show_page(KERNEL, fixed_page, PTE_W);
	tlb_flush();
	fpu_init();
	/* As systems have them: traps, not faults of the gate's privilege. */
	set_gate(3, ACC_P | ACC_DPL(3) | ACC_INTGATE);
	set_gate(4, ACC_P | ACC_DPL(3) | ACC_INTGATE);
	trap_handlers[VEC_IRQ] = on_tick;
	trap_handlers[VEC_DB] = on_step;
	pit_mode(0, 2, 0xffff);
	pic_mask(0xfffe);
}

/* ---- The FPU ---- */

static u32 some_float(struct rng *r)
{
	static const u32 special[] = {0,	  0x80000000, 0x3f800000,
				      0xbf800000, 0x7f7fffff, 0x00800000};

	if (one_in(r, 4))
		return special[rng_below(r, ARRAY_SIZE(special))];
	return (0x38000000 + rng_below(r, 0x10000000)) | (rng_next(r) & 0x80000000);
}

static void fill_fpu(struct fxsave *f, u32 valid, bool precision, struct rng *r)
{
	u32 used = 0;

	while (valid >> used)
		used++;

	*f = start_fpu;
	f->fcw = 0x037f;
	if (one_in(r, 4))
		f->fcw |= rng_below(r, 4) << 10;
	if (precision)
		f->fcw &= ~0x0300 | (rng_below(r, 3) ? 2 : 0) << 8;
	f->mxcsr = 0x1f80 | (one_in(r, 4) ? rng_below(r, 4) << 13 : 0);
	f->fsw = (8 - used) % 8 << 11;
	f->ftw = used ? 0xff << (8 - used) & 0xff : 0;
	for (u32 i = 0; i < used; i++) {
		const u32 exponent = 0x3fff - 32 + rng_below(r, 72);

		f->st[i][0] = one_in(r, 2) ? rng_next(r) : 0;
		f->st[i][1] = rng_next(r) | 0x80000000;
		f->st[i][2] = exponent | (one_in(r, 2) ? 0x8000 : 0);
		if (one_in(r, 8))
			f->st[i][0] = f->st[i][1] = f->st[i][2] = 0;
	}
	for (u32 i = 0; i < 8; i++) {
		const u32 kind = rng_below(r, 3);

		for (u32 w = 0; w < 4; w++)
			f->xmm[i][w] = kind == 0   ? rng_next(r)
				       : kind == 1 ? some_float(r)
				       : w & 1	   ? 0x3f000000 + rng_below(r, 0x01800000)
						   : rng_next(r);
	}
}

static bool in_user_pages(u32 eip)
{
	return (eip >= TEXT && eip < TEXT + TEXT_SIZE) || (eip >= DATA && eip < FIXED + PAGE) ||
	       (eip >= STACK && eip < STACK + STACK_SIZE);
}

/* Of the instruction there; where it goes on in a page that is missing, of its beginning. */
static bool key_at(u32 eip, struct key *k)
{
	u8 window[32] = {0};

	for (u32 i = 0; i < 16 && in_user_pages(eip + i); i++)
		window[i] = *(const u8 *)(eip + i);
	return in_user_pages(eip) && insn_key(window, k);
}

static bool is_fault(u32 vector)
{
	return vector == 6 || (vector >= 11 && vector <= 14);
}

/* Where the last instruction faulted: what is it? */
static bool faulted_in(const struct outcome *out, bool (*kind)(const struct key *k))
{
	struct key k;

	return is_fault(out->vector) && key_at(out->r.eip, &k) && kind(&k);
}

static void forget_fpu_pointers(struct fxsave *f)
{
	f->fop = 0;
	f->fip = f->fcs = f->fdp = f->fds = f->mxcsr_mask = 0;
	f->reserved = 0;
}

/* The emulator's errors that are not those of one instruction. */
static void forget_fpu_bugs(const struct sequence *s, const struct options *o, struct outcome *out)
{
	struct fxsave *f = &out->fpu;
	const bool mmx = s->mmx || step.mmx;

	for (u32 i = 0; i < 8 && mmx && !compares(o, BUG_MMX); i++)
		f->st[i][2] = 0;
	if (!compares(o, BUG_MMX) && faulted_in(out, is_mmx)) {
		f->fsw = f->ftw = 0;
		for (u32 i = 0; i < 8; i++)
			f->st[i][0] = f->st[i][1] = f->st[i][2] = 0;
	}
	if (!compares(o, BUG_FSW))
		f->fsw &= 0x7d00; /* C1 tells of rounding and stack faults */
	if (!compares(o, BUG_MXCSR))
		f->mxcsr &= ~0x3fu;
}

#define EDGE 32 /* PUSHA's 8 registers */

static bool is_at_edge(u32 i)
{
	const u32 bytes = DATA_SIZE + STACK_SIZE, at = i * 4;

	return at < EDGE || at >= bytes - EDGE || (at >= DATA_SIZE - EDGE && at < DATA_SIZE + EDGE);
}

/* What has been done of an instruction that is several accesses when one of them faults, and which
 * of them that is. Where it has stored something that is next to pages which it cannot store to. */
static void forget_parts(struct outcome *out)
{
	struct key k;

	out->cr2 = out->r.error = 0;
	if (out->vector == 13)
		out->vector = 14; /* one operand might have exceeded a limit */
	for (u32 i = 0; i < WORDS; i++)
		if (is_at_edge(i))
			*word_at(i) = pattern[i];
	key_at(out->r.eip, &k);
	if (insn_loads_xmm(&k) >= 0)
		for (u32 w = 0; w < 4; w++)
			out->fpu.xmm[insn_loads_xmm(&k)][w] = 0;
	if (insn_is_popa(&k)) {
		out->r.eax = out->r.ecx = out->r.edx = out->r.ebx = 0;
		out->r.ebp = out->r.esi = out->r.edi = 0;
	}
}

/* Near either end of the linear space a limit might have been exceeded, or not. */
static void forget_limits(struct outcome *out)
{
	const u32 v = out->vector;

	if (v == 14 && (out->cr2 >= 0xfffff000 || out->cr2 < 0x80)) {
		out->vector = 13;
		out->cr2 = out->r.error = 0;
	}
	if (v == 12 && !out->r.error)
		out->vector = 13;
}

/* Of an undefined instruction that goes on in a page that is missing: how much of it is fetched
 * before it is #UD is the CPU's own. */
static void forget_fetch(struct outcome *out)
{
	const u32 end = TEXT + TEXT_SIZE;

	if (out->vector != 6 || out->r.eip >= end || out->r.eip <= end - 15)
		return;
	out->vector = 14;
	out->cr2 = end;
	out->r.error = 4;
}

/* ---- Running ---- */

static void on_tick(struct regs *r)
{
	pic_eoi(0);
	if ((r->cs & 3) == 3 && ++ticks >= TICKS_LIMIT) {
		r->vector = ENDED_BY_CLOCK;
		trap = *r;
		asm volatile("jmp try_caught" : : "a"(ENDED_BY_CLOCK));
	}
}

/* May the instruction at EIP be run? Where it cannot be read it faults by itself. */
static bool is_allowed(u32 eip)
{
	struct key k;
	u32 why;

	if (!in_user_pages(eip))
		return eip < WINDOW || eip >= WINDOW + 0x400000;
	if (!key_at(eip, &k))
		return true; /* too long: #GP */
	why = insn_left_out_of_soup(&k);
	if (why && (why < BUG_FIRST || !(step.bugs >> (why - BUG_FIRST) & 1)))
		return false;
	step.mmx |= is_mmx(&k);
	return fpu_step(&step.fpu, &k);
}

static void end_by(struct regs *r, u32 reason)
{
	r->vector = reason;
	trap = *r;
	asm volatile("jmp try_caught" : : "a"(reason));
	__builtin_unreachable();
}

static u32 undefined_after(u32 eip)
{
	struct key k;

	if (!key_at(eip, &k))
		return 0;
	return insn_flags(&k).undefined;
}

static void on_step(struct regs *r)
{
	if (!step.stepping || (r->cs & 3) != 3)
		end_by(r, VEC_DB);
	r->eflags &= ~undefined_after(step.eip);
	r->eflags &= ~FLAG_AC;
	step.eip = r->eip;
	if (!step.left--)
		end_by(r, ENDED_BY_COUNTER);
	if (!is_allowed(r->eip))
		end_by(r, ENDED_BY_RULE);
}

static void copy_code(const struct sequence *s, bool in)
{
	u8 *to = (u8 *)code_page + (s->start.eip - TEXT);

	for (u32 i = 0; i < s->length && s->start.eip + i < TEXT + TEXT_SIZE; i++)
		to[i] = in ? s->code[i] : 0xcc;
}

static u32 undefined_flags(const struct sequence *s, const struct options *o)
{
	const u32 at = trap.eip - s->start.eip;
	u32 undefined = 0;
	bool found = false;

	if (o->mode == MODE_SOUP)
		return undefined_after(step.eip);
	for (u32 n = 0; n <= s->items; n++)
		if (at == s->offset[n]) { /* several, where items are left out */
			undefined |= s->undefined[n];
			found = true;
		}
	return found ? undefined : s->any_undefined;
}

void run(const struct sequence *s, const struct options *o, u32 number, struct outcome *out)
{
	struct rng r = {mix(mix(0x66707521, o->seed), number)};
	struct user_state start = s->start;

	copy_code(s, true);
	fill_fpu(&out->fpu, s->fpu.valid, compares(o, BUG_FLD), &r);
	ticks = 0;
	step.stepping = o->mode == MODE_SOUP;
	step.left = STEPS;
	step.eip = start.eip;
	step.bugs = o->bugs;
	step.mmx = false;
	step.fpu = s->fpu;
	if (step.stepping)
		start.eflags |= FLAG_TF;
	asm volatile("fxrstor %0" : : "m"(out->fpu));
	if (step.stepping && !is_allowed(start.eip)) {
		trap = (struct regs){.vector = ENDED_BY_RULE, .eip = start.eip};
		out->vector = ENDED_BY_RULE;
	} else {
		out->vector = run_user_state(&start);
	}
	asm volatile("fxsave %0" : "=m"(out->fpu));
	asm volatile("fninit");
	out->r = trap;
	out->cr2 = out->vector == 14 ? trap_cr2 : 0;
	out->r.eflags &= ~(undefined_flags(s, o) | FLAG_RF | FLAG_AC);
	forget_fpu_pointers(&out->fpu);
	forget_fpu_bugs(s, o, out);
	forget_fetch(out);
	if (!compares(o, BUG_LIMITS))
		forget_limits(out);
	if (!compares(o, BUG_RMW) && out->vector == 14)
		out->r.error &= ~2u;
	if (!compares(o, BUG_LONG) && faulted_in(out, insn_is_long))
		forget_parts(out);
	copy_code(s, false);
}

u32 run_restore(void (*show)(u32 address, u32 was, u32 is))
{
	u32 h = 0;

	for (u32 i = 0; i < WORDS; i++) {
		u32 *at = word_at(i);

		if (*at == pattern[i])
			continue;
		if (show)
			show(linear_of(i), pattern[i], *at);
		h = mix(mix(h, i), *at);
		*at = pattern[i];
	}
	return h;
}

/* Of one that did not end nothing is compared: where the clock found it is chance. */
u32 hash_outcome(const struct outcome *o)
{
	const u32 *fpu = (const u32 *)&o->fpu;
	u32 h = mix(0, o->vector);

	if (o->vector == ENDED_BY_CLOCK)
		return h;
	h = mix(mix(mix(mix(h, o->r.error), o->cr2), o->r.eip), o->r.eflags);
	h = mix(mix(mix(mix(h, o->r.eax), o->r.ecx), o->r.edx), o->r.ebx);
	h = mix(mix(mix(mix(h, o->r.esp), o->r.ebp), o->r.esi), o->r.edi);
	h = mix(mix(h, (o->r.cs & 0xffff) | o->r.ss << 16), (o->r.ds & 0xffff) | o->r.es << 16);
	h = mix(h, (o->r.fs & 0xffff) | o->r.gs << 16);
	for (u32 i = 0; i < __builtin_offsetof(struct fxsave, rest) / 4; i++)
		h = mix(h, fpu[i]);
	return h;
}

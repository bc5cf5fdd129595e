/*
 * Who called whom in a guest's kernel: see backtrace.h.
 */
#include "backtrace.h"
#include "../guest-memory.h"
#include "../../common/pv.h"

#define STACK_BYTES 0x2000u /* of Linux's 32-bit kernels: a stack begins at a multiple of it */
#define STACK_JUMPS 4	    /* from an interrupt's stack to a task's, say */
#define REGS_BIT    0x80000000u
#define OP_RET	    0xc3

/* Linux's struct pt_regs of i386, which also is what it leaves on the stack at an interrupt. */
enum { REGS_EBP = 5 * 4, REGS_EIP = 12 * 4, REGS_CS = 13 * 4 };

struct trail {
	const struct vm *vm;
	const struct backtrace_text *text;
	struct frame *out;
	size_t count;
};

static void add_range(struct backtrace_text *text, const char *from, const char *to)
{
	u64 first, end, last;

	if (!symbols_find(text->symbols, from, &first, &last) ||
	    !symbols_find(text->symbols, to, &end, &last) || end <= first)
		return;
	text->range[text->ranges].first = first;
	text->range[text->ranges].last = end;
	text->ranges++;
}

void backtrace_text_init(struct backtrace_text *text, const struct symbols *symbols)
{
	*text = (struct backtrace_text){.symbols = symbols};
	add_range(text, "_stext", "_etext");
	add_range(text, "_sinittext", "_einittext");
}

static bool is_code(const struct trail *t, u32 address)
{
	const struct backtrace_text *text = t->text;
	u64 offset;
	u8 byte;

	for (unsigned i = 0; i < text->ranges; i++)
		if (address >= text->range[i].first && address <= text->range[i].last)
			return true;
	if (text->ranges)
		return false;
	if (text->symbols)
		return symbols_lookup(text->symbols, address, &offset) != NULL;
	return address && guest_read_all(t->vm, address, &byte, 1);
}

static bool add(struct trail *t, u32 address, enum frame_kind kind)
{
	if (t->count == BACKTRACE_MAX)
		return false;
	t->out[t->count++] = (struct frame){address, kind};
	return true;
}

/* At a function's edges there is no frame of its own: its caller is the first word of the stack, or
 * the second when EBP has been saved already. */
static void add_caller_at_edge(struct trail *t, u32 eip, u32 esp)
{
	u64 offset = ~0ull;
	u32 caller;
	u8 code;

	symbols_lookup(t->text->symbols, eip, &offset);
	if (guest_read_all(t->vm, eip, &code, 1) && code == OP_RET)
		offset = 0;
	if (offset <= 1 && guest_read_u32(t->vm, (u32)(esp + 4 * offset), &caller) &&
	    is_code(t, caller))
		add(t, caller, FRAME_CALL);
}

/* Through saved registers, to whom the interrupt has interrupted. False: that was the end. */
static bool step_regs(struct trail *t, u32 *bp)
{
	const u32 regs = *bp | REGS_BIT;
	u32 eip, cs, ebp;

	if (!guest_read_u32(t->vm, regs + REGS_EIP, &eip) ||
	    !guest_read_u32(t->vm, regs + REGS_CS, &cs) ||
	    !guest_read_u32(t->vm, regs + REGS_EBP, &ebp))
		return false;
	if ((cs & 3) == 3) {
		add(t, eip, FRAME_USER);
		return false;
	}
	*bp = ebp;
	return is_code(t, eip) && add(t, eip, FRAME_INTERRUPTED);
}

static bool step_frame(struct trail *t, u32 *bp)
{
	u32 next, caller;

	if (*bp % 4 || !guest_read_u32(t->vm, *bp, &next) ||
	    !guest_read_u32(t->vm, *bp + 4, &caller) || !is_code(t, caller))
		return false;
	*bp = next;
	return add(t, caller, FRAME_CALL);
}

/* Linux lives in the upper half and marks saved registers by an EBP in the lower one. */
static void follow(struct trail *t, u32 bp)
{
	const bool upper = t->vm->cpu.rip & REGS_BIT;
	unsigned jumps = 0;
	bool on = true;

	while (on && bp) {
		const u32 from = bp;

		on = upper && !(bp & REGS_BIT) ? step_regs(t, &bp) : step_frame(t, &bp);
		/* Callers lie above; in a loop they would not. */
		if ((bp | REGS_BIT) <= (from | REGS_BIT) && ++jumps > STACK_JUMPS)
			on = false;
	}
}

static void scan(struct trail *t, u32 esp)
{
	const u32 end = esp | (STACK_BYTES - 1);
	u32 word;

	for (u64 at = esp & ~3u; at < end && guest_read_u32(t->vm, at, &word); at += 4)
		if (is_code(t, word) && !add(t, word, FRAME_GUESS))
			return;
}

size_t backtrace(const struct vm *vm, const struct backtrace_text *text, bool guess,
		 struct frame out[BACKTRACE_MAX])
{
	struct trail t = {vm, text, out, 0};
	const u32 eip = vm->cpu.rip, esp = vm->cpu.gpr[GPR_SP];

	if (vm_cpl(vm) == 3) {
		add(&t, eip, FRAME_USER);
		return t.count;
	}
	add(&t, eip, FRAME_HERE);
	add_caller_at_edge(&t, eip, esp);
	follow(&t, vm->cpu.gpr[GPR_BP]);
	if (guess && t.count < 3)
		scan(&t, esp);
	return t.count;
}

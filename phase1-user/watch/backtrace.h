/*
 * Who called whom in a guest's kernel: its stack, read from outside.
 *
 * Owns: following frame pointers, through interrupts as Linux marks them, and as a last resort
 * looking for return addresses on the stack, which Linux marks with a question mark in its own
 * backtraces. All that is read may be anything; the number of frames bounds the work.
 */
#ifndef PLEX86_BACKTRACE_H
#define PLEX86_BACKTRACE_H

#include "../../common/vm.h"
#include "symbols.h"

#define BACKTRACE_MAX 48

enum frame_kind {
	FRAME_HERE,	   /* EIP itself */
	FRAME_CALL,	   /* a return address: the call is before it */
	FRAME_INTERRUPTED, /* EIP at an interrupt or exception */
	FRAME_USER,	   /* the same, of user code: the end */
	FRAME_GUESS,	   /* a word on the stack that looks like a return address */
};

struct frame {
	u32 address;
	enum frame_kind kind;
};

/* Where a kernel's code is. */
struct backtrace_text {
	const struct symbols *symbols; /* NULL: none */
	unsigned ranges;	       /* 0: not known */
	struct {
		u64 first, last;
	} range[2];
};

void backtrace_text_init(struct backtrace_text *text, const struct symbols *symbols);
/* At least one frame, FRAME_HERE. `guess`: look at the stack's words if there are no frames. */
size_t backtrace(const struct vm *vm, const struct backtrace_text *text, bool guess,
		 struct frame out[BACKTRACE_MAX]);
/* The address to look up: a call may be the last instruction of its function. */
static inline u32 frame_code(const struct frame *f)
{
	return f->address - (f->kind == FRAME_CALL || f->kind == FRAME_GUESS);
}

#endif

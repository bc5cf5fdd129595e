/*
 * The instruction of a trace record: see trace-code.h.
 */
#include "trace-code.h"

#include <stdlib.h>
#include <string.h>
#include "../../decoder/disasm.h"
#include "../guest-memory.h"

#define CACHE	  1024 /* a power of two */
#define TEXT_SIZE 80

struct entry {
	u32 eip;
	u8 bytes[INSN_MAX];
	u8 count; /* of bytes; 0: unused */
	char text[TEXT_SIZE];
};

struct trace_code {
	struct vm *vm;	   /* a copy of the machine's state */
	size_t same_space; /* records from this one on are of the address space in force */
	struct entry cache[CACHE];
};

struct trace_code *trace_code_open(void)
{
	struct trace_code *c = calloc(1, sizeof(*c));

	if (c)
		c->vm = calloc(1, sizeof(*c->vm));
	if (c && c->vm)
		return c;
	trace_code_close(c);
	return NULL;
}

void trace_code_close(struct trace_code *c)
{
	if (c)
		free(c->vm);
	free(c);
}

/* Another address space may be in force behind this. */
static bool leaves_space(const struct trace_record *r)
{
	return r->event == EV_SWITCH || r->event == EV_CR;
}

void trace_code_look(struct trace_code *c, struct engine *engine,
		     const struct trace_record *records, size_t n, bool still)
{
	engine_get_state(engine, c->vm);
	c->same_space = n;
	while (still && c->same_space && !leaves_space(&records[c->same_space - 1]))
		c->same_space--;
}

const char *trace_code_text(struct trace_code *c, const struct trace_record *r, size_t i)
{
	const u32 eip = (u32)r->rip;
	struct entry *e = &c->cache[(eip ^ eip >> 12) % CACHE];
	u8 bytes[INSN_MAX];
	size_t n;

	/* The kernel's linear addresses are the same everywhere, and its code segment is flat. */
	if (i < c->same_space && r->cpl != 0)
		return NULL;
	n = guest_read(c->vm, eip, bytes, sizeof(bytes));
	if (!n)
		return NULL;
	if (e->count == n && e->eip == eip && !memcmp(e->bytes, bytes, n))
		return e->text;
	e->eip = eip;
	e->count = n;
	memcpy(e->bytes, bytes, n);
	disasm(bytes, n, eip, MODE_32, e->text, sizeof(e->text));
	return e->text;
}

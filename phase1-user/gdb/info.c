/*
 * What monitor commands tell of registers, events and chips: see info.h.
 */
#include "info.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/pv.h"
#include "../watch/trace-file.h"

/* A bool that may hold any byte. */
static bool is_set(const bool *b)
{
	u8 byte;

	memcpy(&byte, b, sizeof(byte));
	return byte;
}

/* ---- registers ---- */

static void put_segment(struct gdb_text *out, const char *name, const struct segment *s)
{
	gdb_print(out, "%-4s %04x base %08" PRIx32 " limit %08" PRIx32 " attr %04x", name,
		  s->selector, (u32)s->base, s->limit, s->attr);
	if (s->attr & SEG_S)
		gdb_print(out, " DPL %u, %s%s%s\n", (s->attr & SEG_DPL) >> 5,
			  s->attr & SEG_TYPE_CODE ? "code" : "data",
			  s->attr & SEG_DB ? ", 32 bits" : "",
			  s->attr & SEG_P ? "" : ", not present");
	else
		gdb_print(out, "\n");
}

static void put_general(const struct vm *vm, const struct symbols *symbols, struct gdb_text *out)
{
	static const char *const names[] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
	const struct vcpu *cpu = &vm->cpu;
	char text[128];

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		gdb_print(out, "%s %08" PRIx32 "%s", names[i], (u32)cpu->gpr[i],
			  i % 4 == 3 ? "\n" : "  ");
	gdb_print(out, "eip %08" PRIx32 "%s\n", (u32)cpu->rip,
		  symbols_text(symbols, cpu->rip, text, sizeof(text)));
	gdb_print(out, "eflags %08" PRIx32 "  virtual CPL %u, IF %u, IOPL %u%s\n", vm_flags(vm),
		  vm_cpl(vm), vm_if(vm) != 0, cpu->iopl & 3u,
		  is_set(&cpu->halted) ? ", waiting in hlt" : "");
}

void gdb_info_registers(const struct vm *vm, const struct symbols *symbols, struct gdb_text *out)
{
	static const char *const names[SEG_COUNT] = {"es", "cs", "ss", "ds", "fs", "gs"};
	const struct vcpu *cpu = &vm->cpu;

	put_general(vm, symbols, out);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		put_segment(out, names[i], &cpu->seg[i]);
	put_segment(out, "ldtr", &cpu->ldtr);
	put_segment(out, "tr", &cpu->tr);
	gdb_print(out, "gdtr base %08" PRIx32 " limit %04x\nidtr base %08" PRIx32 " limit %04x\n",
		  (u32)cpu->gdtr.base, cpu->gdtr.limit, (u32)cpu->idtr.base, cpu->idtr.limit);
	gdb_print(out,
		  "cr0 %08" PRIx32 "  cr2 %08" PRIx32 "  cr3 %08" PRIx32 "  cr4 %08" PRIx32
		  "  efer %" PRIx64 "\n",
		  (u32)cpu->cr0, (u32)cpu->cr2, (u32)cpu->cr3, (u32)cpu->cr4, cpu->efer);
	if (cpu->cr4 & CR4_PAE)
		gdb_print(out, "pdpte %08" PRIx64 " %08" PRIx64 " %08" PRIx64 " %08" PRIx64 "\n",
			  cpu->pdpte[0], cpu->pdpte[1], cpu->pdpte[2], cpu->pdpte[3]);
}

/* ---- events ---- */

void gdb_info_events(struct engine *engine, unsigned long khz, const struct symbols *symbols,
		     u32 count, struct gdb_text *out)
{
	struct trace_clock clock = {.khz = khz};
	struct trace_record *record;
	char line[TRACE_LINE_SIZE];
	size_t n;

	if (count > GDB_EVENTS_MAX)
		count = GDB_EVENTS_MAX;
	record = calloc(count + 1, sizeof(*record));
	if (!record) {
		gdb_print(out, "out of memory\n");
		return;
	}
	n = engine_last_events(engine, record, count);
	clock.start = record[0].time;
	gdb_print(out, "last %zu events (seconds, CPL, eip, event):\n", n);
	for (size_t i = 0; i < n; i++) {
		trace_line(&record[i], &clock, symbols, line, sizeof(line));
		gdb_print(out, "%s\n", line);
	}
	free(record);
}

/* ---- chips ---- */

static void put_chip(const struct pic *c, const char *name, struct gdb_text *out)
{
	gdb_print(out,
		  "%s: requested (IRR) %02x  masked (IMR) %02x  in service (ISR) %02x  lines %02x  "
		  "level-triggered (ELCR) %02x\n",
		  name, c->irr, c->imr, c->isr, c->line, c->elcr);
	gdb_print(out, "  vectors %02x-%02x%s%s%s%s%s\n", c->vector_base, (c->vector_base | 7u),
		  c->init_step ? ", being initialized" : "",
		  is_set(&c->auto_eoi) ? ", automatic EOI" : "",
		  is_set(&c->special_mask) ? ", special mask mode" : "",
		  is_set(&c->special_fully_nested) ? ", special fully nested" : "",
		  is_set(&c->read_isr) ? ", reads give ISR" : "");
}

void gdb_info_pic(const struct vm *vm, struct gdb_text *out)
{
	put_chip(&vm->pic.chip[0], "master, IRQ 0-7", out);
	put_chip(&vm->pic.chip[1], "slave, IRQ 8-15", out);
	gdb_print(out, "the guest %s interrupts (IF %u)\n", vm_if(vm) ? "takes" : "holds back",
		  vm_if(vm) != 0);
}

static void put_counter(const struct pit_counter *c, unsigned n, struct gdb_text *out)
{
	static const char *const access[] = {"?", "low byte", "high byte", "low, then high byte"};

	gdb_print(out, "counter %u: mode %u, %s, access %s, gate %u", n, c->mode,
		  is_set(&c->bcd) ? "BCD" : "binary", access[c->access & 3], is_set(&c->gate));
	if (!is_set(&c->armed))
		gdb_print(out, ", no count written\n");
	else if (c->reload)
		gdb_print(out, ", count %" PRIu32 " (%.1f Hz)%s\n", c->reload,
			  (double)PIT_HZ / c->reload, is_set(&c->running) ? "" : ", not counting");
	else
		gdb_print(out, ", count 0\n");
}

void gdb_info_pit(const struct vm *vm, struct gdb_text *out)
{
	for (unsigned n = 0; n < ARRAY_SIZE(vm->pit.counter); n++)
		put_counter(&vm->pit.counter[n], n, out);
	gdb_print(out, "port 0x61 as written: %u\n", vm->pit.port61 & 3u);
}

/*
 * The crash report: see report.h.
 */
#include "report.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../../common/paging.h"
#include "../../common/pv.h"
#include "../../decoder/disasm.h"
#include "backtrace.h"
#include "guest-log.h"
#include "../guest-memory.h"
#include "trace-file.h"

#define EVENTS	    32
#define EVENTS_READ 2048
#define LOG_LINES   48
#define STACK_WORDS 32
#define FRAMES	    8 /* words to a line of the stack */
#define CODE_AFTER  4 /* instructions shown behind the one at EIP */

struct printer {
	const struct report *r;
	const struct vm *vm;
	const struct guest_log *log; /* NULL: none */
	FILE *out;
};

static const char *symbol(const struct printer *p, u64 address, char *text, size_t size)
{
	return symbols_text(p->r->symbols, address, text, size);
}

/* What the guest has written, harmless to a terminal. */
static void print_text(FILE *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		fputc(text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?', out);
}

/* ---- why ---- */

static void print_end(const struct printer *p, int status)
{
	if (WIFSIGNALED(status))
		fprintf(p->out,
			"\nplex86: the process that ran the guest was killed by signal %d (%s)\n"
			"Its state when it was last seen:\n",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		fprintf(p->out,
			"\nplex86: the process that ran the guest ended with status %d\n"
			"Its state when it was last seen:\n",
			WEXITSTATUS(status));
}

static bool print_panic(const struct printer *p)
{
	struct guest_log_record r;

	if (!p->log || p->r->exit->kind != EXIT_NONE || !guest_log_panic(p->log, &r))
		return false;
	fputs("\nplex86: the guest crashed: ", p->out);
	print_text(p->out, r.text, r.len);
	fputc('\n', p->out);
	return true;
}

static void print_reason(const struct printer *p)
{
	const struct vm_exit *exit = p->r->exit;

	if (p->r->hang) {
		fprintf(p->out, "\nplex86: the guest hangs: no progress for %g s; ",
			p->r->hang->limit_ns / 1e9);
		hang_print(p->r->hang, p->vm, p->r->symbols, p->out);
		return;
	}
	if (print_panic(p))
		return;
	if (exit->kind == EXIT_FAULT && exit->fault.reason == FAULT_GONE) {
		print_end(p, (int)exit->fault.detail);
		return;
	}
	if (exit->kind == EXIT_DEBUG) {
		fprintf(p->out,
			"\nplex86: the guest was stopped, as asked for, after %" PRIu64 " events\n",
			p->vm->clock.events);
		return;
	}
	fprintf(p->out, "\nplex86: the guest crashed: ");
	if (exit->kind == EXIT_SHUTDOWN)
		fprintf(p->out, "triple fault: an exception could not be delivered, nor the double "
				"fault\nthat followed (see the last events)\n");
	else if (exit->kind == EXIT_FAULT)
		fprintf(p->out, "%s (0x%" PRIx64 ")\n", vm_fault_text(exit->fault.reason),
			exit->fault.detail);
	else
		fprintf(p->out, "the engine gave exit %" PRIu32 ", which means nothing\n",
			exit->kind);
}

/* ---- registers ---- */

static void print_general(const struct printer *p)
{
	static const char *const names[] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
	const struct vcpu *cpu = &p->vm->cpu;
	char text[128];

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		fprintf(p->out, "%s %08" PRIx64 "%s", names[i], cpu->gpr[i],
			i % 4 == 3 ? "\n" : "  ");
	fprintf(p->out, "eip %08" PRIx64 "  eflags %08" PRIx32 "  virtual CPL %u, IF %u%s%s\n",
		cpu->rip, vm_flags(p->vm), vm_cpl(p->vm), vm_if(p->vm) != 0,
		cpu->halted ? ", halted" : "", symbol(p, cpu->rip, text, sizeof(text)));
	fprintf(p->out,
		"cr0 %08" PRIx64 "  cr2 %08" PRIx64 "  cr3 %08" PRIx64 "  cr4 %08" PRIx64 "\n",
		cpu->cr0, cpu->cr2, cpu->cr3, cpu->cr4);
}

static void print_segment(const struct printer *p, const char *name, const struct segment *s)
{
	fprintf(p->out, "%s  %04x  base %08" PRIx64 "  limit %08" PRIx32 "  attr %04x\n", name,
		s->selector, s->base, s->limit, s->attr);
}

static void print_segments(const struct printer *p)
{
	static const char *const names[SEG_COUNT] = {"es", "cs", "ss", "ds", "fs", "gs"};
	const struct vcpu *cpu = &p->vm->cpu;

	for (unsigned i = 0; i < SEG_COUNT; i++)
		print_segment(p, names[i], &cpu->seg[i]);
	print_segment(p, "ldt", &cpu->ldtr);
	print_segment(p, "tr ", &cpu->tr);
	fprintf(p->out, "gdt base %08" PRIx64 " limit %04x   idt base %08" PRIx64 " limit %04x\n",
		cpu->gdtr.base, cpu->gdtr.limit, cpu->idtr.base, cpu->idtr.limit);
}

/* ---- code and stack ---- */

static void print_instruction(const struct printer *p, const u8 *bytes, size_t avail, u64 address,
			      enum insn_mode mode, size_t *length)
{
	char text[128];

	*length = disasm(bytes, avail, address, mode, text, sizeof(text));
	fprintf(p->out, "  %08" PRIx64 "  ", address);
	for (size_t i = 0; i < INSN_MAX; i++) {
		if (i < *length)
			fprintf(p->out, "%02x ", bytes[i]);
		else if (i < 8)
			fputs("   ", p->out);
	}
	fprintf(p->out, " %s\n", text);
}

static void print_code(const struct printer *p)
{
	const struct vcpu *cpu = &p->vm->cpu;
	const u64 la = (u32)(cpu->seg[SEG_CS].base + cpu->rip);
	const enum insn_mode mode = cpu->seg[SEG_CS].attr & SEG_DB ? MODE_32 : MODE_16;
	u8 code[INSN_MAX * (1 + CODE_AFTER)];
	size_t avail = guest_read(p->vm, la, code, sizeof(code));
	size_t at = 0, length;

	fprintf(p->out, "code at eip:\n");
	if (avail == 0)
		fprintf(p->out, "  %08" PRIx64 "  cannot be read\n", la);
	for (unsigned i = 0; i <= CODE_AFTER && at < avail; i++, at += length) {
		print_instruction(p, code + at, avail - at, cpu->rip + at, mode, &length);
		if (length == 0)
			break;
	}
}

static void print_stack(const struct printer *p)
{
	const struct vcpu *cpu = &p->vm->cpu;
	const u64 esp = (u32)cpu->gpr[GPR_SP];
	const u64 la = (u32)(cpu->seg[SEG_SS].base + esp);
	u32 word[STACK_WORDS];
	size_t n = guest_read(p->vm, la, word, sizeof(word)) / sizeof(word[0]);
	char text[128];

	fprintf(p->out, "stack at %08" PRIx64 ":%s", la, n ? "" : " cannot be read");
	for (size_t i = 0; i < n; i++)
		fprintf(p->out, "%s%08" PRIx32, i % FRAMES ? " " : "\n  ", word[i]);
	fputc('\n', p->out);
	for (size_t i = 0; i < n && p->r->symbols; i++) {
		if (symbol(p, word[i], text, sizeof(text))[0])
			fprintf(p->out, "  %08" PRIx64 "  %08" PRIx32 "%s\n", esp + 4 * i, word[i],
				text);
	}
}

static void print_frame(const struct printer *p, const struct frame *f)
{
	static const char *const notes[] = {[FRAME_INTERRUPTED] = "  (interrupted)",
					    [FRAME_USER] = "  (user code)",
					    [FRAME_GUESS] = "  ?"};
	const char *note = f->kind < ARRAY_SIZE(notes) && notes[f->kind] ? notes[f->kind] : "";
	const u32 code = frame_code(f);
	u64 offset = 0;
	char name[128];

	symbol(p, code, name, sizeof(name));
	/* The offset of the address shown. */
	if (name[0] && code != f->address && symbols_lookup(p->r->symbols, code, &offset))
		snprintf(strrchr(name, '+'), 24, "+0x%" PRIx64, offset + 1);
	fprintf(p->out, "  %08" PRIx32 "%s%s\n", f->address, name, note);
}

static void print_backtrace(const struct printer *p)
{
	struct frame frame[BACKTRACE_MAX];
	struct backtrace_text text;
	size_t n;

	backtrace_text_init(&text, p->r->symbols);
	n = backtrace(p->vm, &text, true, frame);
	fprintf(p->out, "backtrace%s:\n",
		n && frame[n - 1].kind == FRAME_GUESS ? " (? marks what is only found on the stack)"
						      : "");
	for (size_t i = 0; i < n; i++)
		print_frame(p, &frame[i]);
}

/* ---- page walks ---- */

static void print_walk(const struct printer *p, const char *what, u64 la)
{
	struct walk w = {0};
	enum walk_result result = paging_walk(p->vm, la, &w);

	fprintf(p->out, "page walk of %s %08" PRIx64 ":", what, la);
	for (unsigned i = 0; i < w.levels && i < ARRAY_SIZE(w.entry); i++)
		fprintf(p->out, " [%08" PRIx64 "]=%08" PRIx64, w.entry_gpa[i], w.entry[i]);
	if (!(p->vm->cpu.cr0 & CR0_PG))
		fprintf(p->out, " paging is off\n");
	else if (result == WALK_OK)
		fprintf(p->out, " -> %08" PRIx64 " (%s, %s%s%s)\n", w.gpa,
			w.write ? "writable" : "read-only", w.user ? "user" : "supervisor",
			w.exec ? "" : ", no execution",
			w.page_size == PAGE_SIZE_4K	 ? ""
			: w.page_size == LARGE_PAGE_SIZE ? ", 4 MiB"
							 : ", 2 MiB");
	else
		fprintf(p->out, " %s\n",
			result == WALK_RESERVED ? "reserved bit set" : "not present");
}

static void print_walks(const struct printer *p)
{
	const struct vcpu *cpu = &p->vm->cpu;

	print_walk(p, "cs:eip", (u32)(cpu->seg[SEG_CS].base + cpu->rip));
	print_walk(p, "cr2", (u32)cpu->cr2);
}

/* ---- history ---- */

/* Stopping the guest to look at it leaves its mark, but is none of its doing. */
static bool is_look(const struct trace_record *r)
{
	return (r->event == EV_KICK && r->a == SIGUSR1) ||
	       (r->event == EV_EXIT && r->a == EXIT_KICKED);
}

static void print_events(const struct printer *p)
{
	struct trace_record *record = calloc(EVENTS_READ, sizeof(*record));
	size_t n = record ? engine_last_events(p->r->engine, record, EVENTS_READ) : 0;
	struct trace_clock clock = {.khz = p->r->khz};
	size_t kept = 0, first;
	char line[TRACE_LINE_SIZE];

	for (size_t i = 0; i < n; i++)
		if (!is_look(&record[i]))
			record[kept++] = record[i];
	first = kept > EVENTS ? kept - EVENTS : 0;
	fprintf(p->out, "last %zu events (seconds, CPL, eip, event):\n", kept - first);
	for (size_t i = first; i < kept; i++) {
		clock.start = record[first].time;
		trace_line(&record[i], &clock, p->r->symbols, line, sizeof(line));
		fprintf(p->out, "  %s\n", line);
	}
	free(record);
}

/* As dmesg shows it; a record may have several lines. */
static void print_record(const struct printer *p, const struct guest_log_record *r)
{
	const char *text = r->text, *const end = text + r->len;
	const char *newline;

	do {
		newline = memchr(text, '\n', end - text);
		fprintf(p->out, "  [%5" PRIu64 ".%06u] ", r->ns / 1000000000,
			(unsigned)(r->ns % 1000000000 / 1000));
		print_text(p->out, text, (newline ? newline : end) - text);
		fputc('\n', p->out);
		text = newline + 1;
	} while (newline);
}

static void print_log(const struct printer *p)
{
	const struct guest_log *log = p->log;
	struct guest_log_record r;

	if (!log)
		return;
	fprintf(p->out, "the end of the guest's log:\n");
	for (u32 i = log->records > LOG_LINES ? log->records - LOG_LINES : 0; i < log->records; i++)
		if (guest_log_read(log, i, &r))
			print_record(p, &r);
}

/* One word of a command, quoted for a shell if it needs to be. */
static void print_word(FILE *out, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "_./:=+@%,-";

	if (word[0] && strspn(word, plain) == strlen(word)) {
		fprintf(out, " %s", word);
		return;
	}
	fputs(" '", out);
	for (; *word; word++) {
		if (*word == '\'')
			fputs("'\\''", out);
		else
			fputc(*word, out);
	}
	fputc('\'', out);
}

/* Names of files are relative to where we are. */
static void print_command(const struct printer *p)
{
	char *directory = get_current_dir_name();

	fprintf(p->out, "to see it again:");
	if (directory) {
		fputs(" cd", p->out);
		print_word(p->out, directory);
		fputs(" &&", p->out);
	}
	for (char *const *word = p->r->argv; *word; word++)
		print_word(p->out, *word);
	fputc('\n', p->out);
	free(directory);
}

void report_write(const struct report *r, FILE *out)
{
	struct guest_log log;
	const bool logged = guest_log_open(&log, r->vm, r->symbols);
	const struct printer p = {r, r->vm, logged ? &log : NULL, out};

	print_reason(&p);
	print_general(&p);
	print_segments(&p);
	print_code(&p);
	print_backtrace(&p);
	print_walks(&p);
	print_stack(&p);
	print_events(&p);
	print_log(&p);
	print_command(&p);
}

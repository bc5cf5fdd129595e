/*
 * What is said of a guest that did not end well: see aftermath.h.
 */
#include "aftermath.h"

#include <stdlib.h>
#include "../watch/guest-log.h"
#include "../loader/loader.h"
#include "../watch/report.h"

/* If the kernel's file is still what was loaded. */
static struct symbols *read_symbols(const struct aftermath *a)
{
	const struct stat *was = a->kernel_file;
	struct symbols *symbols = NULL;
	struct blob kernel = {0};
	struct error ignored;
	struct stat is;

	if (stat(a->kernel, &is) || is.st_dev != was->st_dev || is.st_ino != was->st_ino ||
	    is.st_mtim.tv_sec != was->st_mtim.tv_sec || is.st_mtim.tv_nsec != was->st_mtim.tv_nsec)
		return NULL;
	if (blob_read(&kernel, "kernel", a->kernel, &ignored))
		symbols = symbols_read(kernel.data, kernel.size);
	blob_free(&kernel);
	return symbols;
}

static bool is_crash(enum machine_end end)
{
	return end == END_CRASH || end == END_GONE || end == END_EVENTS || end == END_HUNG;
}

/* So may a guest end that has panicked: by a reset, by standing still, or not at all. */
static bool may_be_panic(enum machine_end end)
{
	return end == END_RESET || end == END_HALTED || end == END_LATE || end == END_QUIT;
}

static void write_report(const struct aftermath *a, const struct report *report)
{
	char *text = NULL;
	size_t size = 0;
	FILE *memory = open_memstream(&text, &size);

	if (!memory) {
		report_write(report, stderr);
		return;
	}
	report_write(report, memory);
	fclose(memory);
	fwrite(text, 1, size, stderr);
	if (a->file)
		fwrite(text, 1, size, a->file);
	free(text);
}

static bool report_with(const struct aftermath *a, const struct symbols *symbols, struct vm *vm)
{
	const struct machine *m = a->machine;
	const struct report report = {
		.engine = m->engine,
		.vm = vm,
		.exit = &m->exit,
		.hang = m->end == END_HUNG ? a->hang : NULL,
		.symbols = symbols,
		.khz = a->khz,
		.argv = a->argv,
	};
	struct guest_log_record panic;
	struct guest_log log;

	engine_get_state(m->engine, vm);
	vm->ram = engine_ram(m->engine);
	vm->ram_size = a->ram_size; /* ours, not what the guest may have made of it */
	if (!is_crash(m->end) &&
	    !(guest_log_open(&log, vm, symbols) && guest_log_panic(&log, &panic)))
		return false;
	write_report(a, &report);
	return true;
}

bool aftermath_report(const struct aftermath *a)
{
	const enum machine_end end = a->machine->end;
	struct symbols *own = NULL;
	struct vm *vm;
	bool written;

	if (!is_crash(end) && !may_be_panic(end))
		return false;
	vm = calloc(1, sizeof(*vm));
	if (!vm) {
		fprintf(stderr, "plex86: no memory for a report of how the guest ended\n");
		return false;
	}
	if (!a->symbols)
		own = read_symbols(a);
	written = report_with(a, a->symbols ? a->symbols : own, vm);
	symbols_free(own);
	free(vm);
	return written;
}

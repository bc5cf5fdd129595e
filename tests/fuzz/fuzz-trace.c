/*
 * Fuzzing the trace's writers: records that a vcpu process under the guest's control has made.
 *
 * The input is records. As text each is one line, and for trace viewers all of them are one JSON
 * document, whatever is in them.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "../../phase1-user/watch/trace-chrome.h"
#include "../../phase1-user/watch/trace-code.h"
#include "../../phase1-user/watch/trace-file.h"
#include "fuzz-input.h"

/* ---- what trace-file.c has beside: not used here ---- */

size_t engine_read_trace(struct engine *e, struct trace_record *out, size_t max)
{
	(void)e, (void)out, (void)max;
	return 0;
}

struct trace_code *trace_code_open(void)
{
	return NULL;
}

void trace_code_close(struct trace_code *c)
{
	(void)c;
}

void trace_code_look(struct trace_code *c, struct engine *engine,
		     const struct trace_record *records, size_t n, bool still)
{
	(void)c, (void)engine, (void)records, (void)n, (void)still;
}

const char *trace_code_text(struct trace_code *c, const struct trace_record *r, size_t i)
{
	(void)c, (void)r, (void)i;
	return NULL;
}

/* ---- records ---- */

static void add(struct chrome *chrome, const struct trace_record *r,
		const struct trace_clock *clock)
{
	char line[TRACE_LINE_SIZE];
	const struct chrome_record record = {
		.record = r,
		.ns = trace_ns(clock, r),
		.symbol = r->cpl & 4 ? " name+0x12" : "",
		.code = r->cpl & 8 ? "mov \"%al\",\\x" : NULL,
		.wanted = r->cpl & 16,
	};

	trace_line(r, clock, NULL, line, sizeof(line));
	fuzz_require(strlen(line) < sizeof(line) && !strchr(line, '\n'));
	chrome_add(chrome, &record);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_input in = {data, size};
	struct trace_clock clock = {.khz = fuzz_take(&in, 3)};
	char *text = NULL;
	size_t length = 0;
	FILE *file = open_memstream(&text, &length);
	struct chrome *chrome = chrome_open(file);
	json_t *json;

	for (unsigned n = 0; in.left && n < 64; n++) {
		struct trace_record r = {0};

		for (size_t i = 0; i < sizeof(r) && in.left; i++)
			((u8 *)&r)[i] = fuzz_take(&in, 1);
		if (n == 0)
			clock.start = r.time;
		/* Time goes on, mostly: what lasts long makes many counters. */
		add(chrome, &r, &clock);
	}
	chrome_close(chrome);
	fclose(file);
	json = json_loadb(text, length, 0, NULL);
	fuzz_require(json != NULL);
	json_decref(json);
	free(text);
	return 0;
}

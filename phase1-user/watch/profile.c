/*
 * --profile: see profile.h.
 */
#include "profile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SIZE  80
#define STACK_SIZE (BACKTRACE_MAX * NAME_SIZE + 16)

static bool take_word(struct profile *p, const char *word, struct error *e)
{
	char *end;
	unsigned long hz;

	if (!strcmp(word, "folded")) {
		p->folded = true;
		return true;
	}
	if (strncmp(word, "hz=", 3))
		return error_set(e, "profile '%s': no option '%s' (there are hz= and folded)",
				 p->path, word);
	word += 3;
	hz = strtoul(word, &end, 10);
	if (word[0] < '0' || word[0] > '9' || *end || hz < 1 || hz > PROFILE_HZ_MAX)
		return error_set(e, "profile: '%s' looks a second: not a number from 1 to %d", word,
				 PROFILE_HZ_MAX);
	p->hz = hz;
	return true;
}

bool profile_open(struct profile *p, const char *spec, const struct symbols *symbols,
		  struct error *e)
{
	char *rest, *word;

	p->hz = PROFILE_HZ;
	p->path = rest = strdup(spec);
	if (!p->path)
		return error_set(e, "profile: out of memory");
	strsep(&rest, ",");
	while ((word = strsep(&rest, ",")))
		if (!take_word(p, word, e))
			return false;
	backtrace_text_init(&p->text, symbols);
	p->file = fopen(p->path, "we");
	return p->file || error_set(e, "profile '%s': %s", p->path, strerror(errno));
}

/* ---- looking ---- */

/* A name as it can stand in a list of stacks: the kernel's file may say anything. */
static size_t put_name(const struct profile *p, const struct frame *f, char *to)
{
	u64 offset;
	const char *name = symbols_lookup(p->text.symbols, frame_code(f), &offset);
	size_t n = 0;

	if (!name)
		return snprintf(to, NAME_SIZE, "%08" PRIx32, f->address);
	for (; name[n] && n < NAME_SIZE - 1; n++)
		to[n] = name[n] > 0x20 && name[n] < 0x7f && name[n] != ';' ? name[n] : '?';
	to[n] = '\0';
	return n;
}

static void take_stack(struct profile *p, const struct vm *vm)
{
	struct frame frame[BACKTRACE_MAX];
	char stack[STACK_SIZE] = "kernel";
	size_t used = strlen(stack), n = backtrace(vm, &p->text, false, frame);
	struct tally_entry *e;

	while (n--) {
		if (frame[n].kind == FRAME_USER)
			continue;
		stack[used++] = ';';
		used += put_name(p, &frame[n], stack + used);
	}
	e = tally_find(&p->stacks, stack);
	if (e)
		e->count++;
	else
		p->lost++;
}

void profile_take(struct profile *p, const struct sight *sight)
{
	if (!sight) {
		p->idle++;
	} else if (sight->cpl == 3) {
		p->user++;
	} else {
		p->kernel++;
		take_stack(p, sight->vm);
	}
}

static void look(struct sampler *s, const struct sight *sight)
{
	profile_take((struct profile *)((char *)s - offsetof(struct profile, sampler)), sight);
}

bool profile_start(struct profile *p, struct machine *machine, struct error *e)
{
	p->sampler.look = look;
	return sampler_start(&p->sampler, machine, 1000000000 / p->hz, e);
}

void profile_stop(struct profile *p)
{
	sampler_stop(&p->sampler);
}

/* ---- writing ---- */

static void write_folded(struct profile *p)
{
	tally_sort(&p->stacks);
	for (u32 i = 0; i < p->stacks.used; i++)
		fprintf(p->file, "%s %" PRIu64 "\n", p->stacks.entry[i].name,
			p->stacks.entry[i].count);
	if (p->lost)
		fprintf(p->file, "kernel;[other] %" PRIu64 "\n", p->lost);
	if (p->user)
		fprintf(p->file, "user %" PRIu64 "\n", p->user);
	if (p->idle)
		fprintf(p->file, "idle %" PRIu64 "\n", p->idle);
}

/* Add a stack to the functions in it: `count` where it was itself, `more` where it was in it or in
 * what it called; a recursive one once. */
static void add_functions(struct tally *functions, const struct tally_entry *stack)
{
	char words[STACK_SIZE], *name[BACKTRACE_MAX + 1], *rest = words;
	unsigned n = 0;

	snprintf(words, sizeof(words), "%s", stack->name);
	strsep(&rest, ";"); /* "kernel" */
	while (rest && n < ARRAY_SIZE(name))
		name[n++] = strsep(&rest, ";");
	for (unsigned i = 0; i < n; i++) {
		struct tally_entry *e;
		unsigned k = 0;

		while (strcmp(name[k], name[i]))
			k++;
		e = k == i || i + 1 == n ? tally_find(functions, name[i]) : NULL;
		if (!e)
			continue;
		e->count += i + 1 == n ? stack->count : 0;
		e->more += k == i ? stack->count : 0;
	}
}

static double percent(u64 part, u64 all)
{
	return all ? 100.0 * part / all : 0;
}

static void write_row(struct profile *p, u64 self, u64 total, const char *name)
{
	const u64 busy = p->kernel + p->user;

	fprintf(p->file, "%7.2f %7.2f %8" PRIu64 "  %s\n", percent(self, busy),
		percent(total, busy), self, name);
}

static void write_histogram(struct profile *p)
{
	const u64 all = p->kernel + p->user + p->idle;
	struct tally functions = {0};

	fprintf(p->file,
		"%" PRIu64 " looks, %u a second (%" PRIu64
		" more were missed): kernel %.1f %%, user "
		"%.1f %%, idle %.1f %%\n"
		"Of the looks at which it was not idle:\n"
		" SELF %% TOTAL %%    LOOKS  SYMBOL\n",
		all, p->hz, p->sampler.missed, percent(p->kernel, all), percent(p->user, all),
		percent(p->idle, all));
	for (u32 i = 0; i < p->stacks.size; i++)
		if (p->stacks.entry[i].name)
			add_functions(&functions, &p->stacks.entry[i]);
	tally_sort(&functions);
	write_row(p, p->user, p->user, "[user code]");
	for (u32 i = 0; i < functions.used; i++)
		write_row(p, functions.entry[i].count, functions.entry[i].more,
			  functions.entry[i].name);
	if (p->lost)
		write_row(p, p->lost, p->lost, "[other kernel code]");
	tally_free(&functions);
}

int profile_write(struct profile *p)
{
	int error = 0;

	errno = 0;
	if (p->folded)
		write_folded(p);
	else
		write_histogram(p);
	if (ferror(p->file))
		error = errno ? errno : EIO;
	if (fclose(p->file) && !error)
		error = errno;
	p->file = NULL;
	return error;
}

void profile_close(struct profile *p)
{
	if (p->file)
		fclose(p->file);
	tally_free(&p->stacks);
	free(p->path);
}

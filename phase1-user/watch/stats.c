/*
 * Statistics: see stats.h.
 */
#include "stats.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- collecting ---- */

void stats_add(struct stats *s, enum stats_kind kind, const char *name, u64 count, u64 ns)
{
	struct stats_row *r = &s->row[s->rows];

	if (s->rows == STATS_ROWS || !count)
		return;
	*r = (struct stats_row){.kind = kind, .count = count, .ns = ns};
	snprintf(r->name, sizeof(r->name), "%s", name);
	s->rows++;
}

static u64 ns_of(u64 cycles, unsigned long tsc_khz)
{
	return tsc_khz ? (u64)((__uint128_t)cycles * 1000000 / tsc_khz) : 0;
}

void stats_collect(struct stats *s, const struct vm_stats *v, u64 ns, u64 tsc,
		   unsigned long tsc_khz)
{
	u64 idle = v->idle_time;

	/* The guest may idle at this moment. */
	if (v->idle_since && tsc > v->idle_since)
		idle += tsc - v->idle_since;
	memset(s, 0, sizeof(*s));
	s->ns = ns;
	s->idle_ns = ns_of(idle, tsc_khz);
	for (unsigned i = 0; i < EV_COUNT; i++)
		stats_add(s, STATS_TRAP, event_text(i)->name, v->traps[i],
			  ns_of(v->trap_time[i], tsc_khz));
	for (unsigned i = 0; i < EV_COUNT; i++)
		stats_add(s, STATS_HANDOVER, event_text(i)->name, v->handovers[i],
			  ns_of(v->handover_time[i], tsc_khz));
	for (unsigned i = 0; i < EXIT_COUNT; i++)
		stats_add(s, STATS_EXIT, vm_exit_text(i), v->exits[i],
			  ns_of(v->exit_time[i], tsc_khz));
	for (unsigned i = 0; i < EV_COUNT; i++)
		stats_add(s, STATS_EVENT, event_text(i)->name, v->count[i], 0);
}

static struct stats_row sum(const struct stats *s, enum stats_kind kind)
{
	struct stats_row all = {.kind = kind};

	for (unsigned i = 0; i < s->rows; i++) {
		if (s->row[i].kind != kind)
			continue;
		all.count += s->row[i].count;
		all.ns += s->row[i].ns;
	}
	return all;
}

u64 stats_traps(const struct stats *s)
{
	return sum(s, STATS_TRAP).count;
}

static u64 difference(u64 now, u64 before)
{
	return now > before ? now - before : 0;
}

void stats_subtract(struct stats *s, const struct stats *before)
{
	s->ns = difference(s->ns, before->ns);
	s->idle_ns = difference(s->idle_ns, before->idle_ns);
	for (unsigned i = 0; i < s->rows; i++) {
		struct stats_row *r = &s->row[i];

		for (unsigned j = 0; j < before->rows; j++) {
			const struct stats_row *b = &before->row[j];

			if (b->kind != r->kind || strcmp(b->name, r->name))
				continue;
			r->count = difference(r->count, b->count);
			r->ns = difference(r->ns, b->ns);
			break;
		}
	}
}

/* ---- text ---- */

struct text {
	char *data;
	size_t size, len;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *format, ...)
{
	va_list args;
	int n;

	if (t->len >= t->size)
		return;
	va_start(args, format);
	n = vsnprintf(t->data + t->len, t->size - t->len, format, args);
	va_end(args);
	t->len += n > 0 ? n : 0;
}

static int by_count(const void *a, const void *b)
{
	const struct stats_row *x = a, *y = b;

	return x->count < y->count ? 1 : x->count > y->count ? -1 : 0;
}

static double rate(u64 count, u64 ns)
{
	return ns ? count * 1e9 / ns : 0;
}

static void put_row(struct text *t, const struct stats_row *r, const char *name, u64 total_ns)
{
	put(t, "%14" PRIu64 "  %-12s %11.1f", r->count, name, rate(r->count, total_ns));
	if (r->kind != STATS_EVENT)
		put(t, " %8.2f %9.0f", total_ns ? r->ns * 100.0 / total_ns : 0,
		    r->count ? (double)r->ns / r->count : 0);
	put(t, "\n");
}

static void put_section(struct text *t, const struct stats *s, enum stats_kind kind)
{
	static const char *const heads[STATS_KINDS] = {
		"plex86: traps by cause, with the time spent on them in plex86\n",
		"plex86: hand-overs to the emulator by cause, with the time spent there\n",
		"plex86: exits to the devices (their time is part of that above)\n",
		"plex86: events (one trap may have several)\n",
	};
	const struct stats_row all = sum(s, kind);

	if (!all.count)
		return;
	put(t, "%s%14s  %-12s %11s", heads[kind], "COUNT", "NAME", "COUNT/S");
	if (kind == STATS_EVENT)
		put(t, "\n");
	else
		put(t, " %8s %9s\n", "TIME %", "MEAN NS");
	for (unsigned i = 0; i < s->rows; i++)
		if (s->row[i].kind == kind && s->row[i].count)
			put_row(t, &s->row[i], s->row[i].name, s->ns);
	if (kind != STATS_EVENT)
		put_row(t, &all, "(all)", s->ns);
}

void stats_table(const struct stats *s, char *text, size_t size)
{
	struct text t = {text, size, 0};
	struct stats sorted = *s;

	qsort(sorted.row, sorted.rows, sizeof(sorted.row[0]), by_count);
	put(&t, "\nplex86: %.2f s, of which the guest idled %.2f s (%.2f %%)\n", s->ns / 1e9,
	    s->idle_ns / 1e9, s->ns ? s->idle_ns * 100.0 / s->ns : 0);
	for (unsigned kind = 0; kind < STATS_KINDS; kind++)
		put_section(&t, &sorted, kind);
}

/*
 * What --trace is given: see trace-spec.h.
 */
#include "trace-spec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALL_EVENTS ((1ull << EV_COUNT) - 1)

/* What is often wanted together. */
static const struct {
	const char *name;
	u64 events;
} groups[] = {
	{"all", ALL_EVENTS},
	{"visible", EVENTS_VISIBLE},
	{"engine", ALL_EVENTS & ~EVENTS_VISIBLE},
	{"interrupts", EVENT_BIT(INJECT) | EVENT_BIT(IRQ) | EVENT_BIT(INT) | EVENT_BIT(IRET) |
			       EVENT_BIT(HLT) | EVENT_BIT(KICK)},
	{"devices", EVENT_BIT(IO) | EVENT_BIT(MMIO) | EVENT_BIT(DEVICE)},
	{"memory", EVENT_BIT(PF_FILL) | EVENT_BIT(PF_GUEST) | EVENT_BIT(LIMIT) | EVENT_BIT(MAP) |
			   EVENT_BIT(UNMAP) | EVENT_BIT(PROTECT) | EVENT_BIT(RESYNC) |
			   EVENT_BIT(SWITCH) | EVENT_BIT(INVLPG)},
	{"registers",
	 EVENT_BIT(CR) | EVENT_BIT(MSR) | EVENT_BIT(SEGMENT) | EVENT_BIT(TABLE) | EVENT_BIT(TLS)},
};

static u64 events_named(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		if (!strcmp(groups[i].name, name))
			return groups[i].events;
	for (unsigned i = 0; i < EV_COUNT; i++)
		if (!strcmp(event_text(i)->name, name))
			return 1ull << i;
	return 0;
}

/* One name of the list; with a - before it, what is not wanted. */
static bool add_events(struct trace_spec *s, const char *name, bool first, struct error *e)
{
	const bool minus = name[0] == '-';
	const u64 events = events_named(name + minus);

	if (!events)
		return error_set(e, "trace: no event or group '%s' (plex86 help trace lists them)",
				 name + minus);
	if (first)
		s->events = minus ? ALL_EVENTS : 0;
	s->events = minus ? s->events & ~events : s->events | events;
	return true;
}

static bool parse_address(const char *text, const char *end, u64 *address)
{
	char *stop;

	errno = 0;
	*address = strtoull(text, &stop, 16);
	return stop == end && stop != text && !errno && *address <= 0xffffffff &&
	       strspn(text, "0123456789abcdefABCDEFxX") >= (size_t)(end - text);
}

static bool add_range(struct trace_spec *s, const char *text, const struct symbols *symbols,
		      struct error *e)
{
	struct trace_range *r = &s->range[s->ranges];
	const char *dash = strchr(text, '-');

	if (s->ranges == TRACE_RANGES)
		return error_set(e, "trace: more than %d ranges", TRACE_RANGES);
	s->ranges++;
	if (dash && parse_address(text, dash, &r->first) &&
	    parse_address(dash + 1, dash + strlen(dash), &r->last)) {
		if (r->first <= r->last)
			return true;
		return error_set(e, "trace: range '%s': it ends before it begins", text);
	}
	if (symbols_find(symbols, text, &r->first, &r->last))
		return true;
	return error_set(e,
			 "trace: range '%s': neither START-END in hexadecimal nor a symbol of the "
			 "kernel%s",
			 text, symbols ? "" : ", which has none (use a vmlinux)");
}

static bool take_format(struct trace_spec *s, const char *name, struct error *e)
{
	if (!strcmp(name, "text"))
		s->format = TRACE_TEXT;
	else if (!strcmp(name, "chrome"))
		s->format = TRACE_CHROME;
	else
		return error_set(e, "trace: no format '%s' (there are text and chrome)", name);
	return true;
}

static const char *behind(const char *word, const char *key)
{
	const size_t n = strlen(key);

	return strncmp(word, key, n) ? NULL : word + n;
}

/* A word that is no option of its own goes on with the list of events before it. */
static bool take_word(struct trace_spec *s, const char *word, bool *listing,
		      const struct symbols *symbols, struct error *e)
{
	const bool in_list = *listing;
	const char *value;

	*listing = false;
	if ((value = behind(word, "format=")))
		return take_format(s, value, e);
	if ((value = behind(word, "range=")))
		return add_range(s, value, symbols, e);
	if (!strcmp(word, "code")) {
		s->code = true;
		return true;
	}
	value = behind(word, "events=");
	if (!value && !in_list)
		return error_set(e,
				 "trace file '%s': no option '%s' (there are format=, code, "
				 "events= and range=)",
				 s->path, word);
	*listing = true;
	return add_events(s, value ? value : word, value != NULL, e);
}

bool trace_spec_parse(struct trace_spec *s, const char *text, const struct symbols *symbols,
		      struct error *e)
{
	bool listing = false;
	char *rest, *word;

	memset(s, 0, sizeof(*s));
	s->events = ALL_EVENTS;
	if (strlen(text) >= sizeof(s->words))
		return error_set(e, "trace file '%.40s...': more than %d characters", text,
				 TRACE_SPEC_MAX - 1);
	strcpy(s->words, text);
	rest = s->words;
	s->path = strsep(&rest, ",");
	if (!s->path[0])
		return error_set(e, "trace file '%s': no name given", text);
	while ((word = strsep(&rest, ",")))
		if (!take_word(s, word, &listing, symbols, e))
			return false;
	return true;
}

bool trace_spec_wants(const struct trace_spec *s, const struct trace_record *r)
{
	/* Whoever wants all also sees what is no event at all: the guest can write the ring. */
	if (r->event < EV_COUNT ? !(s->events >> r->event & 1) : s->events != ALL_EVENTS)
		return false;
	for (unsigned i = 0; i < s->ranges; i++)
		if (r->rip >= s->range[i].first && r->rip <= s->range[i].last)
			return true;
	return !s->ranges;
}

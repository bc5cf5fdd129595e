/*
 * Counting by name: see tally.h.
 */
#include "tally.h"
#include "../../common/fnv.h"

#include <stdlib.h>
#include <string.h>

#define SIZE_FIRST 256u /* a power of two */

/* Where `name` is or would be. */
static struct tally_entry *place_of(const struct tally *t, const char *name)
{
	u32 i = fnv32_text(name) & (t->size - 1);

	while (t->entry[i].name && strcmp(t->entry[i].name, name))
		i = (i + 1) & (t->size - 1);
	return &t->entry[i];
}

static bool grow(struct tally *t)
{
	struct tally larger = {.size = t->size ? 2 * t->size : SIZE_FIRST, .used = t->used};

	larger.entry = calloc(larger.size, sizeof(*larger.entry));
	if (!larger.entry)
		return false;
	for (u32 i = 0; i < t->size; i++)
		if (t->entry[i].name)
			*place_of(&larger, t->entry[i].name) = t->entry[i];
	free(t->entry);
	*t = larger;
	return true;
}

struct tally_entry *tally_find(struct tally *t, const char *name)
{
	struct tally_entry *e;

	if (2 * (t->used + 1) > t->size && !grow(t))
		return NULL;
	e = place_of(t, name);
	if (e->name)
		return e;
	if (t->used == TALLY_MAX || !(e->name = strdup(name)))
		return NULL;
	t->used++;
	return e;
}

static int compare(const void *a, const void *b)
{
	const struct tally_entry *x = a, *y = b;

	if (!x->name || !y->name)
		return !x->name - !y->name;
	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return strcmp(x->name, y->name);
}

void tally_sort(struct tally *t)
{
	if (t->size)
		qsort(t->entry, t->size, sizeof(*t->entry), compare);
}

void tally_free(struct tally *t)
{
	for (u32 i = 0; i < t->size; i++)
		free(t->entry[i].name);
	free(t->entry);
	*t = (struct tally){0};
}

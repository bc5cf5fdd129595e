/*
 * See random-items.h.
 */
#include "random-items.h"
#include "../random/random.h"

static struct sequence sequence;

unsigned random_items(unsigned seed, unsigned number)
{
	const struct options o = {.seed = seed, .mode = MODE_VALID};

	generate(&sequence, &o, number);
	return sequence.items;
}

unsigned random_item(unsigned n, unsigned char bytes[ITEM_BYTES])
{
	const struct item *i = &sequence.item[n];

	for (unsigned b = 0; b < ITEM_BYTES; b++)
		bytes[b] = b < i->length ? i->bytes[b] : 0;
	return i->length;
}

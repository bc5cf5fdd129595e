/*
 * The sequences of tests/random, for a unit test: the guest's headers and the C library's do not go
 * together.
 */
#ifndef PLEX86_TEST_RANDOM_ITEMS_H
#define PLEX86_TEST_RANDOM_ITEMS_H

#define ITEM_BYTES 15

/* How many items sequence `number` of `seed` has. */
unsigned random_items(unsigned seed, unsigned number);
/* The bytes of item `n` of the last one that was asked for, zeros behind them. Their number. */
unsigned random_item(unsigned n, unsigned char bytes[ITEM_BYTES]);

#endif

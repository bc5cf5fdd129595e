/*
 * Is this the libunicorn whose internals unicorn-internals.c knows?
 */
#ifndef PLEX86_EMULATOR_UNICORN_CHECK_H
#define PLEX86_EMULATOR_UNICORN_CHECK_H

/* NULL, or why it is not. */
const char *unicorn_check(void);

#endif

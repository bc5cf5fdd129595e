/*
 * The guest kernel's command line.
 *
 * Owns: what plex86 adds to the user's words, and the encoding of a command for the guest's init
 * (guest/init/cmdline.h decodes it).
 */
#ifndef PLEX86_CMDLINE_H
#define PLEX86_CMDLINE_H

#include <stddef.h>
#include "../error.h"

struct cmdline_config {
	const char *append;   /* the user's words, last, so that they win */
	char *const *command; /* NULL-terminated, or NULL */
	const char *devices;  /* words that announce devices, each with a blank before it */
	unsigned long tsc_khz;
	bool verbose;  /* show the kernel's messages while it boots */
	bool pipe;     /* the console is not a terminal */
	bool captured; /* the output of the command does not go to one */
	bool hvc;      /* there is a virtio console */
	bool image;    /* the first disk is the root file system of a distribution */
	bool stock;    /* the kernel was not built for plex86 */
};

/* Do the user's words make something else than hvc0 the guest's console? */
bool cmdline_names_console(const char *append);
/* Compose a Linux command line into `text`. */
bool cmdline_linux(const struct cmdline_config *c, char *text, size_t size, struct error *e);

#endif

/*
 * What can be seen of a host from /proc and in directories, at one moment.
 *
 * Owns: struct sample, a sorted list of keys with values, and the comparison of two. A key begins
 * with its kind: "process 17 exe", "file DIR/name", "net unix", ... Everything is as seen in the
 * namespaces that the caller is in: they are to be its own, or others' doings are found as well.
 */
#ifndef PLEX86_ESCAPE_SAMPLE_H
#define PLEX86_ESCAPE_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct fact {
	char *key, *value;
};

struct sample {
	struct fact *fact;
	size_t count, room;
};

struct sample_config {
	const char *dir[4];	 /* trees to look at; NULL: no more */
	const char *changing[4]; /* files in them that may change, but for their size and rights */
	bool no_maps;		 /* do not read memory maps: there may be very many */
	bool no_net;
	pid_t self; /* a process to leave out */
};

/* Empty `s` and fill it anew. */
void sample_take(struct sample *s, const struct sample_config *config);
void sample_free(struct sample *s);
/* The value of a key, or NULL. */
const char *sample_find(const struct sample *s, const char *key);

/* For each key that is in one of the two only, or with another value: before or after is NULL,
 * then. */
typedef void sample_fn(void *opaque, const char *key, const char *before, const char *after);
void sample_compare(const struct sample *before, const struct sample *after, sample_fn *fn,
		    void *opaque);

/* Read a file of /proc or a small other one; an empty text if that cannot be done. The caller frees
 * it. */
char *read_text(const char *path);

#endif

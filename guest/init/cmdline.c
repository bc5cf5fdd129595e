/*
 * Parser of the init's words on the kernel command line; see cmdline.h.
 *
 * Owns: the decoding. No system calls, no memory but the caller's.
 */
#include "cmdline.h"

#include <stddef.h>

static int is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* If word begins with prefix, what follows it. */
static char *after(char *word, const char *prefix)
{
	for (; *prefix; word++, prefix++)
		if (*word != *prefix)
			return NULL;
	return word;
}

static int is(char *word, const char *name)
{
	const char *rest = after(word, name);

	return rest && !*rest;
}

/* Decodes one argument in place; a NUL would cut it short, so %00 is refused. */
static int decode(char *arg)
{
	char *to = arg;

	for (; *arg; arg++) {
		if (*arg != '%') {
			*to++ = *arg;
			continue;
		}
		int high = hex_digit(arg[1]);
		int low = high < 0 ? -1 : hex_digit(arg[2]);

		if (low < 0 || (high | low) == 0)
			return -1;
		*to++ = (char)(high << 4 | low);
		arg += 2;
	}
	*to = '\0';
	return 0;
}

static int parse_exec(struct cmdline *cl, char *list)
{
	int n = 0;

	for (char *p = list;; p++) {
		char end = *p;

		if (end && end != ',')
			continue;
		if (n == ARGS_MAX)
			return -1;
		*p = '\0';
		if (decode(list) < 0)
			return -1;
		cl->argv[n++] = list;
		list = p + 1;
		if (!end)
			break;
	}
	cl->argv[n] = NULL;
	return 0;
}

static int parse_word(struct cmdline *cl, char *word)
{
	static char selfcheck[] = "/selfcheck";
	char *rest = after(word, "plex86.");

	if (!rest)
		return 0;
	if (after(rest, "exec="))
		return parse_exec(cl, after(rest, "exec="));
	if (is(word, "plex86.selfcheck")) {
		cl->argv[0] = selfcheck;
		cl->argv[1] = NULL;
		return 0;
	}
	if (is(word, "plex86.pipe"))
		cl->pipe = 1;
	if (is(word, "plex86.captured"))
		cl->captured = 1;
	return 0;
}

int cmdline_parse(struct cmdline *cl, char *text)
{
	cl->argv[0] = NULL;
	cl->pipe = cl->captured = 0;
	while (*text) {
		char *word = text;

		if (is_space(*text)) {
			text++;
			continue;
		}
		while (*text && !is_space(*text))
			text++;
		if (*text)
			*text++ = '\0';
		if (parse_word(cl, word) < 0)
			return -1;
	}
	return 0;
}

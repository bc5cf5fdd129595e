/*
 * plex86 control, pause and continue: a guest's control socket for scripts.
 *
 * Answers are shown as they come; only whether one is an error is looked at.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cmd.h"
#include "../control/control-client.h"

#define TIMEOUT_DEFAULT 60
#define TIMEOUT_MAX	86400

const char control_help[] =
	"usage: plex86 control [OPTION...] NAME [REQUEST...]\n"
	"\n"
	"Send requests to the running guest NAME (plex86 ps lists them), one after the other, and show\n"
	"the answers, one JSON object a line. A REQUEST is a JSON object, {\"execute\": COMMAND,\n"
	"\"arguments\": {...}, \"id\": ...}, or just the name of a command. Without any they are read\n"
	"from standard input, one a line. docs/control.md tells what there is; the command \"commands\"\n"
	"lists it.\n"
	"\n"
	"Options:\n"
	"  -e, --events       then show events until the guest ends\n"
	"  -t, --timeout SEC  how long an answer may take; default 60\n"
	"  -h, --help         show this text\n"
	"\n"
	"Exit status:\n"
	"  0  all answers were returns\n"
	"  1  one was an error, or none came\n"
	"  2  bad usage, or there is no such guest\n";

const char pause_help[] =
	"usage: plex86 pause NAME\n"
	"\n"
	"Have the running guest NAME stand still until plex86 continue. For it the time goes on; plex86\n"
	"stop ends it as ever, and what plex86 run --timeout allows goes on to pass.\n"
	"\n"
	"Exit status: 0 when it stands still; 1 if its plex86 does not answer; 2 for bad usage, or if there\n"
	"is no such guest.\n";

const char continue_help[] =
	"usage: plex86 continue NAME\n"
	"\n"
	"Let the guest NAME go on that plex86 pause has stopped. One that a debugger has stopped as well\n"
	"waits for that.\n"
	"\n"
	"Exit status: 0; 1 if its plex86 does not answer; 2 for bad usage, or if there is no such guest.\n";

static int failed(const char *command, const struct error *e, int status)
{
	fprintf(stderr, "plex86: %s: %s\n", command, e->text);
	return status;
}

static int usage_error(const char *command, const char *what, const char *word)
{
	fprintf(stderr, "plex86: %s: %s '%s' (see plex86 %s --help)\n", command, what, word,
		command);
	return STATUS_USAGE;
}

static int no_guest(const char *command)
{
	fprintf(stderr, "plex86: %s: no guest named (plex86 ps lists them)\n", command);
	return STATUS_USAGE;
}

/* ---- pause and continue ---- */

static int simple(int argc, char **argv, const char *help)
{
	struct guest g;
	struct error e;
	json_t *answer;

	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		fputs(help, stdout);
		return STATUS_OK;
	}
	if (argc > 1 && argv[1][0] == '-')
		return usage_error(argv[0], "unknown option", argv[1]);
	if (argc < 2)
		return no_guest(argv[0]);
	if (argc > 2)
		return usage_error(argv[0], "unexpected", argv[2]);
	if (!guest_open(&g, argv[1], &e))
		return failed(argv[0], &e, STATUS_USAGE);
	answer = guest_ask(&g, argv[0], NULL, &e);
	guest_close(&g);
	json_decref(answer);
	return answer ? STATUS_OK : failed(argv[0], &e, 1);
}

int cmd_pause(int argc, char **argv)
{
	return simple(argc, argv, pause_help);
}

int cmd_continue(int argc, char **argv)
{
	return simple(argc, argv, continue_help);
}

/* ---- control ---- */

enum outcome { RETURNED, REFUSED, NO_ANSWER };

static void show(const json_t *message)
{
	json_dumpf(message, stdout, JSON_COMPACT);
	putchar('\n');
	fflush(stdout);
}

/* After this there is no sense in further requests: an answer that is late would be another's. */
static enum outcome no_answer(const struct guest *g)
{
	fprintf(stderr, "plex86: control: guest '%s': %s\n", g->name,
		errno == EAGAIN ? "no answer in time" : "it has ended");
	return NO_ANSWER;
}

/* Show what comes up to the answer. */
static enum outcome show_answer(struct guest *g, int timeout)
{
	enum outcome outcome = NO_ANSWER;

	while (outcome == NO_ANSWER) {
		json_t *message = guest_next(g, timeout * 1000);

		if (!message)
			return no_answer(g);
		if (json_object_get(message, "return"))
			outcome = RETURNED;
		if (json_object_get(message, "error"))
			outcome = REFUSED;
		if (!json_object_get(message, "plex86"))
			show(message);
		json_decref(message);
	}
	return outcome;
}

/* A line is a request, whatever white space the user's has; a bare word is a command. */
static enum outcome request(struct guest *g, char *text, int timeout)
{
	size_t len = strlen(text);
	json_t *named = NULL;
	char *line;
	bool sent;

	for (size_t i = 0; i < len; i++)
		if (text[i] == '\n')
			text[i] = ' ';
	while (len && strchr(" \t\r", text[len - 1]))
		text[--len] = '\0';
	if (!len)
		return RETURNED;
	if (text[0] >= 'a' && text[0] <= 'z')
		named = json_pack("{s:s}", "execute", text);
	line = named ? json_dumps(named, JSON_COMPACT) : strdup(text);
	json_decref(named);
	sent = line && guest_send(g, line);
	free(line);
	if (!sent)
		errno = 0;
	return sent ? show_answer(g, timeout) : no_answer(g);
}

/* Returns the worst. */
static enum outcome requests_of_input(struct guest *g, int timeout)
{
	enum outcome worst = RETURNED;
	char *line = NULL;
	size_t size = 0;

	while (worst != NO_ANSWER && getline(&line, &size, stdin) > 0) {
		const enum outcome outcome = request(g, line, timeout);

		worst = outcome > worst ? outcome : worst;
	}
	free(line);
	return worst;
}

static enum outcome requests_of_words(struct guest *g, char **words, int n, int timeout)
{
	enum outcome worst = RETURNED;

	for (int i = 0; i < n && worst != NO_ANSWER; i++) {
		const enum outcome outcome = request(g, words[i], timeout);

		worst = outcome > worst ? outcome : worst;
	}
	return worst;
}

static bool show_events(struct guest *g)
{
	struct error e;
	json_t *message = guest_ask(g, "subscribe", NULL, &e);

	if (!message) {
		failed("control", &e, 1);
		return false;
	}
	do {
		json_decref(message);
		message = guest_next(g, -1);
		if (message)
			show(message);
	} while (message);
	return true;
}

static int control(char **words, int n, int timeout, bool events)
{
	enum outcome outcome;
	struct guest g;
	struct error e;
	bool ok;

	if (!guest_open(&g, words[0], &e))
		return failed("control", &e, STATUS_USAGE);
	if (n == 1 && !events)
		outcome = requests_of_input(&g, timeout);
	else
		outcome = requests_of_words(&g, words + 1, n - 1, timeout);
	ok = outcome == RETURNED;
	if (events && outcome != NO_ANSWER)
		ok = show_events(&g) && ok;
	guest_close(&g);
	return ok ? STATUS_OK : 1;
}

int cmd_control(int argc, char **argv)
{
	static const struct option options[] = {{"events", no_argument, NULL, 'e'},
						{"timeout", required_argument, NULL, 't'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	int option, timeout = TIMEOUT_DEFAULT;
	bool events = false;
	char *end;

	optind = 1;
	while ((option = getopt_long(argc, argv, ":et:h", options, NULL)) != -1) {
		switch (option) {
		case 'e':
			events = true;
			break;
		case 't':
			timeout = strtol(optarg, &end, 10);
			if (optarg[0] < '1' || optarg[0] > '9' || *end || timeout > TIMEOUT_MAX)
				return usage_error("control", "not a number of seconds:", optarg);
			break;
		case 'h':
			fputs(control_help, stdout);
			return STATUS_OK;
		case ':':
			return usage_error("control", "no value for", argv[optind - 1]);
		default:
			return usage_error("control", "unknown option", argv[optind - 1]);
		}
	}
	if (optind == argc)
		return no_guest("control");
	return control(argv + optind, argc - optind, timeout, events);
}

/*
 * watch OPTION... -- COMMAND...: run a hostile guest, and look what becomes of the host.
 *
 * Owns: one attempt. COMMAND is plex86 with a guest that says "trying" and then waits for a byte;
 * `%B` in it is the number of a process that stands by. The host is looked at before, when the
 * guest has said that, again and again from then on, and when all is over. What differs is an
 * effect. On stdout, a line each:
 *
 *   effect KIND WHAT      KIND: file, process, gone, net, ipc, bystander, log, left
 *   came-back             the guest said that it has escaped
 *   victim N              rounds that another guest has done meanwhile
 *   answered | silent     with --lasting: what plex86 says on its control socket
 *   ended STATUS          as a shell has it; `killed` behind it: only by SIGKILL
 *
 * The exit status is 0 if it could do all that, whatever came out.
 */
#define _GNU_SOURCE
#include "bystander.h"
#include "sample.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS	     20 /* between two looks; or four times what one takes, for the guest to get on */
#define BEGIN_MS     300000 /* for what must happen; no measure of anything */
#define END_MS	     120000
#define LOOKS_AFTER  3 /* at what an escaped guest has done, before it is ended */
#define BOUND_REPORT 400
#define LOG_SPLATS   12

struct watch {
	struct sample_config sample;
	const char *out, *err, *victim, *control, *until;
	long uid, limit_ms, rounds;
	long least_ms; /* for a storm to rise */
	bool lasting;

	struct bystander bystander;
	struct sample start, begun, now;
	int log;
	pid_t vmm;
	bool ended, net_over;
	int status;
	char *seen[BOUND_REPORT];
	unsigned seen_count, looks;
	bool until_met;
};

static void sleep_ms(long ms)
{
	const struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "watch: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ----------------------------------------------------------- reports ---- */

static void effect(struct watch *w, const char *kind, const char *what, const char *before,
		   const char *after)
{
	char *line = NULL;

	if (asprintf(&line, "effect %s %s%s%.200s%s%.200s", kind, what, before ? " was: " : "",
		     before ? before : "", after ? " is: " : "", after ? after : "") < 0)
		abort();
	for (char *p = line; *p; p++)
		if (*p == '\n')
			*p = ';';
	for (unsigned i = 0; i < w->seen_count; i++)
		if (!strcmp(w->seen[i], line)) {
			free(line);
			return;
		}
	if (w->seen_count == BOUND_REPORT) {
		free(line);
		return;
	}
	w->seen[w->seen_count++] = line;
	printf("%s\n", line);
	fflush(stdout);
	if (w->until && !strncmp(line + strlen("effect "), w->until, strlen(w->until)))
		w->until_met = true;
}

static bool is_of(const char *key, const char *kind)
{
	return !strncmp(key, kind, strlen(kind)) && key[strlen(kind)] == ' ';
}

/* Is it of a process that belongs to the attempt, and so may end? Whatever was there before may
 * not. */
static bool is_attempts_own(const struct watch *w, const char *key)
{
	char name[64];
	unsigned pid;

	if (sscanf(key, "process %u", &pid) != 1)
		return false;
	snprintf(name, sizeof(name), "process %u stat", pid);
	return !sample_find(&w->start, name);
}

/* All that a process has shown is gone, but not the process: or else it has ended. */
static bool has_ended(const struct watch *w, const char *key)
{
	char name[64];
	unsigned pid;

	if (sscanf(key, "process %u", &pid) != 1)
		return false;
	snprintf(name, sizeof(name), "process %u stat", pid);
	return !sample_find(&w->now, name);
}

static void differs(void *opaque, const char *key, const char *before, const char *after)
{
	struct watch *w = opaque;
	const char *what = strchr(key, ' ') + 1;

	if (is_of(key, "net") && (w->net_over || (before && after && atoi(after) < atoi(before))))
		return; /* plex86 closes its own as it ends */
	if (!is_of(key, "process")) {
		effect(w,
		       is_of(key, "file")  ? "file"
		       : is_of(key, "net") ? "net"
					   : "ipc",
		       what, before, after);
		return;
	}
	if (!after && has_ended(w, key)) {
		if (!is_attempts_own(w, key) && strstr(key, " exe"))
			effect(w, "gone", what, before, NULL);
		return;
	}
	effect(w, "process", what, before, after);
}

static void look_at_log(struct watch *w)
{
	static const char *const splats[LOG_SPLATS] = {
		"BUG:",	      "WARNING:",	   "Oops",	  "general protection fault, ",
		"KASAN",      "soft lockup",	   "hard LOCKUP", "detected stall",
		"INFO: task", "possible circular", "Bad page",	  "unchecked MSR"};
	char line[1024];
	ssize_t n;

	while (w->log >= 0 &&
	       ((n = read(w->log, line, sizeof(line) - 1)) > 0 || (n < 0 && errno == EPIPE))) {
		line[n > 0 ? n : 0] = '\0';
		for (unsigned i = 0; i < LOG_SPLATS; i++)
			if (strstr(line, splats[i]))
				effect(w, "log", line, NULL, NULL);
	}
}

static void look(struct watch *w)
{
	const char *harm = bystander_harm(&w->bystander);

	sample_take(&w->now, &w->sample);
	sample_compare(&w->begun, &w->now, differs, w);
	if (harm)
		effect(w, "bystander", harm, NULL, NULL);
	look_at_log(w);
}

/* --------------------------------------------------------- the guest ---- */

static int open_for(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);

	if (fd < 0)
		die(path);
	return fd;
}

static void start(struct watch *w, char **command, int *input)
{
	char number[16];
	int fds[2], out, err;

	snprintf(number, sizeof(number), "%d", w->bystander.pid);
	for (char **word = command; *word; word++)
		for (char *at, *text; (at = strstr(*word, "%B")); *word = text)
			if (asprintf(&text, "%.*s%s%s", (int)(at - *word), *word, number, at + 2) <
			    0)
				abort();
	out = open_for(w->out);
	err = open_for(w->err);
	if (pipe2(fds, O_CLOEXEC))
		die("pipe");
	fflush(NULL);
	w->vmm = fork();
	if (w->vmm < 0)
		die("fork");
	if (w->vmm == 0) {
		if (dup2(fds[0], 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0 || !become(w->uid))
			_exit(126);
		execvp(command[0], command);
		_exit(126);
	}
	close(fds[0]);
	close(out);
	close(err);
	*input = fds[1];
}

static bool has_ended_now(struct watch *w)
{
	int status;

	if (!w->ended && waitpid(w->vmm, &status, WNOHANG) == w->vmm) {
		w->ended = true;
		w->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
	return w->ended;
}

static bool says(const char *path, const char *words)
{
	char *text = read_text(path);
	const bool found = strstr(text, words);

	free(text);
	return found;
}

static long victims_rounds(const struct watch *w)
{
	char *text;
	long n = 0;

	if (!w->victim)
		return 0;
	text = read_text(w->victim);
	for (const char *p = text; (p = strstr(p, "round ")); p++)
		n++;
	free(text);
	return n;
}

/* A process of its user's asks plex86 how it is: does it answer? */
static bool answers(struct watch *w)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const pid_t pid = fork();
	int status = 1;

	if (pid == 0) {
		static const char question[] = "{\"execute\":\"status\"}\n";
		char text[4096] = "";
		size_t used = 0;
		ssize_t n;
		int fd;

		alarm(END_MS / 1000);
		snprintf(address.sun_path, sizeof(address.sun_path), "%s", w->control);
		if (!become(w->uid) || (fd = socket(AF_UNIX, SOCK_STREAM, 0)) < 0 ||
		    connect(fd, (struct sockaddr *)&address, sizeof(address)) ||
		    write(fd, question, sizeof(question) - 1) < 0)
			_exit(1);
		while (!strstr(text, "\"return\"") && used < sizeof(text) - 1 &&
		       (n = read(fd, text + used, sizeof(text) - 1 - used)) > 0)
			used += n;
		_exit(!strstr(text, "\"return\""));
	}
	w->net_over = true;
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       !WEXITSTATUS(status);
}

/* True: it has ended because of that, without SIGKILL. */
static bool end(struct watch *w)
{
	const long until = now_ms() + END_MS;

	if (has_ended_now(w))
		return true;
	kill(w->vmm, SIGTERM);
	while (now_ms() < until) {
		if (has_ended_now(w))
			return true;
		sleep_ms(LOOK_MS);
	}
	kill(w->vmm, SIGKILL);
	waitpid(w->vmm, &w->status, 0);
	w->status = 137;
	w->ended = true;
	return false;
}

/* ------------------------------------------------------- the attempt ---- */

static void begin(struct watch *w, int input)
{
	const long until = now_ms() + BEGIN_MS;

	while (!says(w->out, "trying ") && !has_ended_now(w) && now_ms() < until)
		sleep_ms(LOOK_MS);
	sample_take(&w->begun, &w->sample);
	if (w->ended || !says(w->out, "trying ")) {
		printf("not begun\n");
		return;
	}
	if (write(input, "g", 1) != 1)
		printf("not begun\n");
}

/* Look until it has ended, or there is no more to be seen. */
static void go_on(struct watch *w)
{
	const long until = now_ms() + w->limit_ms, least = now_ms() + w->least_ms;
	const long rounds = victims_rounds(w);
	unsigned after = 0;

	for (;;) {
		const long begun = now_ms();
		long took;

		look(w);
		took = now_ms() - begun;
		if (has_ended_now(w))
			break;
		if (says(w->out, "ESCAPED") && !w->until)
			after++;
		if (w->until_met)
			after = LOOKS_AFTER;
		if (after >= LOOKS_AFTER)
			break;
		if (w->lasting && now_ms() >= least && victims_rounds(w) >= rounds + w->rounds) {
			printf("%s\n", answers(w) ? "answered" : "silent");
			break;
		}
		if (now_ms() > until) {
			printf("late\n");
			break;
		}
		sleep_ms(took * 4 > LOOK_MS ? took * 4 : LOOK_MS);
	}
	if (w->victim)
		printf("victim %ld\n", victims_rounds(w) - rounds);
}

/* Nothing is left but what was there at the start. */
static void left(void *opaque, const char *key, const char *before, const char *after)
{
	struct watch *w = opaque;

	if (is_of(key, "net") && w->net_over)
		return;
	if (is_of(key, "process") && (before || !strstr(key, " exe")))
		return; /* what has become of others was looked at while it ran */
	effect(w, "left", key, before, after);
}

static void any(void *opaque, const char *key, const char *before, const char *after)
{
	(void)before;
	if (after && is_of(key, "process") && strstr(key, " exe"))
		*(bool *)opaque = true;
}

static void look_afterwards(struct watch *w)
{
	const long until = now_ms() + END_MS;
	bool more;

	do {
		more = false;
		sample_take(&w->now, &w->sample);
		sample_compare(&w->start, &w->now, any, &more);
		if (more)
			sleep_ms(LOOK_MS);
	} while (more && now_ms() < until);
	sample_compare(&w->start, &w->now, left, w);
	look_at_log(w);
}

static void attempt(struct watch *w, char **command)
{
	int input;
	bool obeyed;

	w->log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (w->log >= 0)
		lseek(w->log, 0, SEEK_END);
	w->sample.self = getpid();
	if (!bystander_start(&w->bystander, w->uid))
		die("bystander");
	sample_take(&w->start, &w->sample);
	start(w, command, &input);
	begin(w, input);
	go_on(w);
	obeyed = end(w);
	close(input);
	if (says(w->out, "ESCAPED") || says(w->out, "came back: "))
		printf("came-back\n");
	look_afterwards(w);
	bystander_end(&w->bystander);
	printf("ended %d%s\n", w->status, obeyed ? "" : " killed");
}

enum {
	OUT = 256,
	ERR,
	DIR_,
	CHANGING,
	AS,
	LIMIT,
	VICTIM,
	ROUNDS,
	LASTING,
	CONTROL,
	UNTIL,
	NO_MAPS,
	NO_NET,
	LEAST
};

static void add_to(const char *list[4])
{
	for (unsigned i = 0; i < 4; i++)
		if (!list[i]) {
			list[i] = optarg;
			return;
		}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"out", 1, NULL, OUT},
						{"err", 1, NULL, ERR},
						{"dir", 1, NULL, DIR_},
						{"changing", 1, NULL, CHANGING},
						{"as", 1, NULL, AS},
						{"limit", 1, NULL, LIMIT},
						{"victim", 1, NULL, VICTIM},
						{"rounds", 1, NULL, ROUNDS},
						{"lasting", 0, NULL, LASTING},
						{"control", 1, NULL, CONTROL},
						{"until", 1, NULL, UNTIL},
						{"no-maps", 0, NULL, NO_MAPS},
						{"no-net", 0, NULL, NO_NET},
						{"least", 1, NULL, LEAST},
						{0}};
	struct watch w = {.uid = -1, .limit_ms = 300000, .rounds = 2};
	int option;

	while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1)
		switch (option) {
		case OUT:
			w.out = optarg;
			break;
		case ERR:
			w.err = optarg;
			break;
		case DIR_:
			add_to(w.sample.dir);
			break;
		case CHANGING:
			add_to(w.sample.changing);
			break;
		case AS:
			w.uid = atol(optarg);
			break;
		case LIMIT:
			w.limit_ms = atol(optarg) * 1000;
			break;
		case VICTIM:
			w.victim = optarg;
			break;
		case ROUNDS:
			w.rounds = atol(optarg);
			break;
		case LASTING:
			w.lasting = true;
			break;
		case CONTROL:
			w.control = optarg;
			break;
		case UNTIL:
			w.until = optarg;
			break;
		case NO_MAPS:
			w.sample.no_maps = true;
			break;
		case LEAST:
			w.least_ms = atol(optarg) * 1000;
			break;
		case NO_NET:
			w.sample.no_net = true;
			break;
		default:
			return 2;
		}
	if (!w.out || !w.err || !argv[optind] || (w.lasting && !w.control)) {
		fprintf(stderr, "usage: watch --out FILE --err FILE [OPTION...] -- COMMAND...\n");
		return 2;
	}
	attempt(&w, argv + optind);
	return 0;
}

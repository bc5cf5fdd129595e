/*
 * plex86 stop: power a guest off, through the guest if that can be, by force otherwise.
 *
 * Whether it has ended is learnt from a pidfd of its plex86, which nothing in the guest and no
 * plex86 that hangs can keep from telling.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "cmd.h"
#include "../control/control-client.h"

#define TIMEOUT_DEFAULT 60
#define TIMEOUT_MAX	86400
#define FORCE_MS	6000 /* plex86 gives a vcpu process 3 s before it kills it */

const char stop_help[] =
	"usage: plex86 stop [OPTION...] NAME...\n"
	"\n"
	"Power off the running guest NAME (plex86 ps lists them), or several at once: ask it to shut\n"
	"down, wait, and if it does not, end it by force, which is like pulling the plug. A paused\n"
	"guest goes on for that.\n"
	"\n"
	"The guest is asked through a virtio port, org.qemu.guest_agent.0. The images of\n"
	"guest/build-rootfs and guest/make-initramfs listen there, and so does the QEMU guest agent in\n"
	"others. A guest that still boots is asked when it begins to listen.\n"
	"\n"
	"Options:\n"
	"  -t, --timeout SEC  how long the guests may take; default 60\n"
	"  -f, --force        by force at once\n"
	"  -h, --help         show this text\n"
	"\n"
	"(A SIGTERM to plex86 run is like --force: files of the host are left in order, the guest's as\n"
	"they are.)\n"
	"\n"
	"Exit status:\n"
	"  0    the guest has powered off, or was ended by --force\n"
	"  1    it was ended by force after the time-out, or ended in another way meanwhile\n"
	"  2    bad usage, or there is no such guest\n"
	"  127  it could not be ended\n"
	"Of several guests the highest of these.\n";

struct stop_options {
	int timeout; /* s */
	bool force;
};

struct stop {
	struct guest guest; /* fd -1: there is none */
	int pidfd;
	bool waits; /* it has been asked to end */
};

static int usage_error(const char *what, const char *word)
{
	fprintf(stderr, "plex86: stop: %s '%s' (see plex86 stop --help)\n", what, word);
	return STATUS_USAGE;
}

static int failed(const struct error *e, int status)
{
	fprintf(stderr, "plex86: stop: %s\n", e->text);
	return status;
}

/* ---- waiting ---- */

static u64 now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool has_ended(const struct stop *s, int patience_ms)
{
	struct pollfd p = {.fd = s->pidfd, .events = POLLIN};

	return poll(&p, 1, patience_ms) > 0;
}

/* Wait until `end` (ms) for the word how it ended, and then for its plex86. */
static bool await_end(struct stop *s, u64 end)
{
	json_t *message = NULL;
	u64 now;

	do {
		json_decref(message);
		now = now_ms();
	} while (now < end && (message = guest_next(&s->guest, end - now)));
	json_decref(message);
	now = now_ms();
	return has_ended(s, now < end ? (int)(end - now) : 0);
}

/* ---- the two ways ---- */

/* Returns `status`, if that can be. */
static int by_force(struct stop *s, int status)
{
	struct error e;
	json_t *answer = guest_ask(&s->guest, "stop", json_pack("{s:b}", "force", true), &e);

	json_decref(answer);
	if (answer && await_end(s, now_ms() + FORCE_MS))
		return status;
	if (has_ended(s, 0))
		return status;
	/* Its plex86 hangs. */
	syscall(SYS_pidfd_send_signal, s->pidfd, SIGKILL, NULL, 0);
	if (has_ended(s, FORCE_MS))
		return status;
	error_set(&e, "guest '%s': process %d cannot be killed", s->guest.name, s->guest.pid);
	return failed(&e, STATUS_SELF);
}

/* Is a guest that ended so as it should be? */
static int report_end(const struct stop *s)
{
	const char *end = s->guest.end;

	if (!strcmp(end, "powered-off") || !strcmp(end, "exited")) {
		printf("%s: powered off\n", s->guest.name);
		return STATUS_OK;
	}
	printf("%s: ended without powering off (%s)\n", s->guest.name, end[0] ? end : "killed");
	return 1;
}

static void ask(struct stop *s, int timeout)
{
	struct error e;
	json_t *answer = guest_ask(&s->guest, "subscribe", NULL, &e);

	json_decref(answer);
	answer = answer ? guest_ask(&s->guest, "stop", NULL, &e) : NULL;
	s->waits = answer != NULL;
	if (!answer && !has_ended(s, 0))
		fprintf(stderr, "plex86: stop: %s: ending it by force\n", e.text);
	if (answer && !json_is_true(json_object_get(answer, "agent")))
		fprintf(stderr,
			"plex86: stop: guest '%s': nothing in it listens (no agent, or it "
			"still boots): waiting %d s before force\n",
			s->guest.name, timeout);
	json_decref(answer);
}

/* What is to be said of a guest that was asked, at `end` (ms) at the latest. */
static int finish(struct stop *s, u64 end, int timeout)
{
	int status;

	if (s->waits ? await_end(s, end) : has_ended(s, 0))
		return report_end(s);
	status = by_force(s, 1);
	if (status == 1)
		printf("%s: did not power off within %d s: ended by force\n", s->guest.name,
		       timeout);
	return status;
}

static int force(struct stop *s)
{
	const int status = by_force(s, STATUS_OK);

	if (status == STATUS_OK)
		printf("%s: ended by force\n", s->guest.name);
	return status;
}

/* ---- all of them ---- */

static int open_guest(struct stop *s, const char *name)
{
	struct error e;

	s->guest.fd = -1;
	if (!guest_open(&s->guest, name, &e))
		return failed(&e, STATUS_USAGE);
	s->pidfd = syscall(SYS_pidfd_open, s->guest.pid, 0);
	if (s->pidfd >= 0)
		return STATUS_OK;
	error_set(&e, "guest '%s': process %d: %s", name, s->guest.pid, strerror(errno));
	guest_close(&s->guest);
	return failed(&e, STATUS_SELF);
}

static void keep_worst(int *status, int another)
{
	if (another > *status)
		*status = another;
}

static int stop_all(struct stop *list, char **names, int n, const struct stop_options *o)
{
	int status = STATUS_OK;
	u64 end;

	for (int i = 0; i < n; i++)
		keep_worst(&status, open_guest(&list[i], names[i]));
	for (int i = 0; i < n && !o->force; i++)
		if (list[i].guest.fd >= 0)
			ask(&list[i], o->timeout);
	end = now_ms() + (u64)o->timeout * 1000;
	for (int i = 0; i < n; i++) {
		struct stop *s = &list[i];

		if (s->guest.fd < 0)
			continue;
		keep_worst(&status, o->force ? force(s) : finish(s, end, o->timeout));
		close(s->pidfd);
		guest_close(&s->guest);
	}
	return status;
}

static int stop(char **names, int n, const struct stop_options *o)
{
	struct stop *list = calloc(n, sizeof(*list));
	int status;

	if (!list) {
		fprintf(stderr, "plex86: stop: out of memory\n");
		return STATUS_SELF;
	}
	status = stop_all(list, names, n, o);
	free(list);
	return status;
}

int cmd_stop(int argc, char **argv)
{
	static const struct option options[] = {{"timeout", required_argument, NULL, 't'},
						{"force", no_argument, NULL, 'f'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	struct stop_options o = {.timeout = TIMEOUT_DEFAULT};
	int option;
	char *end;

	optind = 1;
	while ((option = getopt_long(argc, argv, ":t:fh", options, NULL)) != -1) {
		switch (option) {
		case 't':
			o.timeout = strtol(optarg, &end, 10);
			if (optarg[0] < '0' || optarg[0] > '9' || *end || o.timeout > TIMEOUT_MAX)
				return usage_error("not a number of seconds:", optarg);
			break;
		case 'f':
			o.force = true;
			break;
		case 'h':
			fputs(stop_help, stdout);
			return STATUS_OK;
		case ':':
			return usage_error("no value for", argv[optind - 1]);
		default:
			return usage_error("unknown option", argv[optind - 1]);
		}
	}
	if (optind == argc) {
		fprintf(stderr, "plex86: stop: no guest named (plex86 ps lists them)\n");
		return STATUS_USAGE;
	}
	return stop(argv + optind, argc - optind, &o);
}

/*
 * plex86 stop: power a guest off, through the guest if that can be, by force otherwise.
 *
 * Whether it has ended is learnt from a pidfd of its plex86, which nothing in the guest and no
 * plex86 that hangs can keep from telling.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "cmd.h"
#include "control-client.h"

#define TIMEOUT_DEFAULT 60
#define TIMEOUT_MAX	86400
#define FORCE_MS	6000 /* plex86 gives a vcpu process 3 s before it kills it */

const char stop_help[] =
	"usage: plex86 stop [OPTION...] NAME\n"
	"\n"
	"Power off the running guest NAME (plex86 ps lists them): ask it to shut down, wait, and if it\n"
	"does not, end it by force, which is like pulling the plug.\n"
	"\n"
	"The guest is asked through a virtio port, org.qemu.guest_agent.0. The images of\n"
	"guest/build-rootfs and guest/make-initramfs listen there, and so does the QEMU guest agent in\n"
	"others. A guest that still boots is asked when it begins to listen.\n"
	"\n"
	"Options:\n"
	"  -t, --timeout SEC  how long the guest may take; default 60\n"
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
	"  127  it could not be ended\n";

struct stop {
	const char *name;
	int timeout; /* s */
	bool force;
	struct guest guest;
	int pidfd;
	char end[32]; /* how it ended, in its plex86's word; "" if that is not known */
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

/* Wait for the word how it ended, and then for its plex86. */
static bool await_end(struct stop *s, u64 patience_ms)
{
	const u64 end = now_ms() + patience_ms;
	char line[64];
	u64 now;

	while ((now = now_ms()) < end && guest_line(&s->guest, line, sizeof(line), end - now))
		sscanf(line, "ended %31s", s->end);
	now = now_ms();
	return has_ended(s, now < end ? (int)(end - now) : 0);
}

/* ---- the two ways ---- */

static void take_agent(void *opaque, char *line)
{
	bool *agent = opaque;

	*agent |= !strcmp(line, "agent yes");
}

static int by_force(struct stop *s, int status)
{
	struct error e;

	s->end[0] = '\0';
	if (guest_ask(&s->guest, "stop force", NULL, NULL, &e) && await_end(s, FORCE_MS))
		return status;
	if (has_ended(s, 0))
		return status;
	/* Its plex86 hangs. */
	syscall(SYS_pidfd_send_signal, s->pidfd, SIGKILL, NULL, 0);
	if (has_ended(s, FORCE_MS))
		return status;
	error_set(&e, "guest '%s': process %d cannot be killed", s->name, s->guest.pid);
	return failed(&e, STATUS_SELF);
}

/* Is a guest that ended so as it should be? */
static int report_end(const struct stop *s)
{
	if (!strcmp(s->end, "powered-off") || !strcmp(s->end, "exited")) {
		printf("%s: powered off\n", s->name);
		return STATUS_OK;
	}
	printf("%s: ended without powering off (%s)\n", s->name, s->end[0] ? s->end : "killed");
	return 1;
}

static int through_guest(struct stop *s)
{
	bool agent = false;
	struct error e;
	int status;

	if (!guest_ask(&s->guest, "stop", take_agent, &agent, &e)) {
		if (has_ended(s, 0))
			return report_end(s);
		fprintf(stderr, "plex86: stop: %s: ending it by force\n", e.text);
	} else {
		if (!agent)
			fprintf(stderr,
				"plex86: stop: guest '%s': nothing in it listens (no agent, or it "
				"still boots): waiting %d s before force\n",
				s->name, s->timeout);
		if (await_end(s, (u64)s->timeout * 1000))
			return report_end(s);
	}
	status = by_force(s, 1);
	if (status == 1)
		printf("%s: did not power off within %d s: ended by force\n", s->name, s->timeout);
	return status;
}

static int stop(struct stop *s)
{
	struct error e;
	int status;

	if (!guest_open(&s->guest, s->name, &e))
		return failed(&e, STATUS_USAGE);
	s->pidfd = syscall(SYS_pidfd_open, s->guest.pid, 0);
	if (s->pidfd < 0) {
		error_set(&e, "guest '%s': process %d: %s", s->name, s->guest.pid, strerror(errno));
		guest_close(&s->guest);
		return failed(&e, STATUS_SELF);
	}
	if (s->force) {
		status = by_force(s, STATUS_OK);
		if (status == STATUS_OK)
			printf("%s: ended by force\n", s->name);
	} else {
		status = through_guest(s);
	}
	close(s->pidfd);
	guest_close(&s->guest);
	return status;
}

int cmd_stop(int argc, char **argv)
{
	static const struct option options[] = {{"timeout", required_argument, NULL, 't'},
						{"force", no_argument, NULL, 'f'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	struct stop s = {.timeout = TIMEOUT_DEFAULT};
	int option;
	char *end;

	optind = 1;
	while ((option = getopt_long(argc, argv, ":t:fh", options, NULL)) != -1) {
		switch (option) {
		case 't':
			s.timeout = strtol(optarg, &end, 10);
			if (optarg[0] < '0' || optarg[0] > '9' || *end || s.timeout > TIMEOUT_MAX)
				return usage_error("not a number of seconds:", optarg);
			break;
		case 'f':
			s.force = true;
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
	if (optind + 1 < argc)
		return usage_error("unexpected", argv[optind + 1]);
	s.name = argv[optind];
	return stop(&s);
}

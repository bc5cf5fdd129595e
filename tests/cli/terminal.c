/*
 * The terminal under plex86: raw while a guest runs, and given back on every way out.
 *
 * usage: terminal PLEX86
 * The guest is made here: a Multiboot file that says "up" on port 0xE9 and then spins for ever, so
 * that only what is done from outside ends it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utmp.h>

#define PATIENCE_MS 30000 /* for what must happen; not a measure of anything */

struct session {
	int master, slave;
	struct termios before;
	pid_t pid;
	char output[8192];
	size_t len;
};

static const char *plex86;
static char kernel[] = "/tmp/plex86-terminal-XXXXXX";

static void fail(const char *what, const struct session *s)
{
	printf("FAIL: %s\n", what);
	if (s)
		printf("output so far: %.*s\n", (int)s->len, s->output);
	unlink(kernel);
	exit(1);
}

static void make_kernel(void)
{
	static const uint32_t header[] = {
		0x1badb002, 0x10000, -(0x1badb002u + 0x10000), 0x100000, 0x100000, 0, 0, 0x100020};
	/* mov $'u',%al; out %al,$0xe9; mov $'p',%al; out %al,$0xe9; jmp . */
	static const uint8_t code[] = {0xb0, 'u', 0xe6, 0xe9, 0xb0, 'p', 0xe6, 0xe9, 0xeb, 0xfe};
	int fd = mkstemp(kernel);

	if (fd < 0 || write(fd, header, sizeof(header)) != sizeof(header) ||
	    write(fd, code, sizeof(code)) != sizeof(code))
		fail("the kernel cannot be written", NULL);
	close(fd);
}

/* Read until `words` have appeared. */
static void expect(struct session *s, const char *words)
{
	struct pollfd p = {.fd = s->master, .events = POLLIN};

	while (!memmem(s->output, s->len, words, strlen(words))) {
		ssize_t n;

		if (poll(&p, 1, PATIENCE_MS) <= 0)
			fail(words, s);
		n = read(s->master, s->output + s->len, sizeof(s->output) - s->len);
		if (n <= 0)
			fail(words, s);
		s->len += n;
	}
}

static int same_modes(const struct session *s)
{
	struct termios now;

	if (tcgetattr(s->slave, &now))
		return 0;
	return now.c_iflag == s->before.c_iflag && now.c_oflag == s->before.c_oflag &&
	       now.c_cflag == s->before.c_cflag && now.c_lflag == s->before.c_lflag &&
	       !memcmp(now.c_cc, s->before.c_cc, sizeof(now.c_cc));
}

static void begin(struct session *s)
{
	memset(s, 0, sizeof(*s));
	if (openpty(&s->master, &s->slave, NULL, NULL, NULL) || tcgetattr(s->slave, &s->before))
		fail("no pseudo-terminal", NULL);
	fcntl(s->master, F_SETFD, FD_CLOEXEC);
	s->pid = fork();
	if (s->pid == 0) {
		login_tty(s->slave);
		execl(plex86, plex86, "run", "-k", kernel, (char *)NULL);
		_exit(99);
	}
	expect(s, "up");
	if (same_modes(s))
		fail("the terminal is not raw while the guest runs", s);
}

static void type(struct session *s, const char *keys)
{
	if (write(s->master, keys, strlen(keys)) != (ssize_t)strlen(keys))
		fail("typing", s);
}

/* It must end so, and the modes must come back (from a guardian a moment later). */
static void end(struct session *s, int expected, const char *how)
{
	int status, waited = 0;

	if (waitpid(s->pid, &status, 0) != s->pid || status != expected) {
		printf("wait status %#x, expected %#x\n", status, expected);
		fail(how, s);
	}
	for (; !same_modes(s) && waited < PATIENCE_MS; waited += 10)
		usleep(10000);
	if (!same_modes(s))
		fail(how, s);
	close(s->master);
	close(s->slave);
	printf("ok: %s\n", how);
}

#define EXITED(status) ((status) << 8)

int main(int argc, char **argv)
{
	static const int signals[] = {SIGTERM, SIGHUP, SIGQUIT, SIGINT};
	struct session s;

	if (argc != 2)
		return 2;
	plex86 = argv[1];
	make_kernel();

	begin(&s);
	type(&s, "x\001h");
	expect(&s, "Ctrl-A x  leave");
	type(&s, "\001s");
	expect(&s, "events");
	type(&s, "\001x");
	end(&s, EXITED(0), "Ctrl-A x");

	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		begin(&s);
		kill(s.pid, signals[i]);
		end(&s, EXITED(128 + signals[i]), strsignal(signals[i]));
	}
	begin(&s);
	kill(s.pid, SIGKILL);
	end(&s, SIGKILL, "kill -9");
	begin(&s);
	type(&s, "\003");
	type(&s, "\001x");
	end(&s, EXITED(0), "Ctrl-C goes to the guest");

	unlink(kernel);
	return 0;
}

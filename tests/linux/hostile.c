/*
 * A client of a guest's control socket that does what it should not: says nothing, says nonsense,
 * never ends a line, never reads, leaves before it is answered.
 *
 * usage: hostile SOCKET SECONDS
 * Does all of it for SECONDS, asking properly in between; fails if an answer does not come.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SILENT	    30
#define PATIENCE_MS 30000 /* for what must happen; not a measure of anything */

static struct sockaddr_un address = {.sun_family = AF_UNIX};

static void fail(const char *what)
{
	printf("FAIL: hostile: %s\n", what);
	exit(1);
}

static int dial(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		fail("the socket cannot be connected to");
	return fd;
}

/* Read until `word` has come (1), or the other side hangs up (0). */
static int hears(int fd, const char *word)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char text[65536];
	size_t len = 0;

	for (;;) {
		ssize_t n;

		if (poll(&p, 1, PATIENCE_MS) <= 0)
			fail("neither an answer nor a hang-up");
		n = recv(fd, text + len, sizeof(text) - 1 - len, 0);
		if (n <= 0)
			return 0;
		len += n;
		text[len] = '\0';
		if (strstr(text, word))
			return 1;
	}
}

static void says(int fd, const char *text)
{
	send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void ask_properly(void)
{
	int fd = dial();

	if (!hears(fd, "{\"plex86\":{"))
		fail("no greeting");
	says(fd, "{\"execute\":\"status\",\"id\":1}\n");
	if (!hears(fd, "\"id\":1}\n"))
		fail("no answer to status");
	/* In pieces, and two at once. */
	says(fd, "{\"execute\":\"st");
	usleep(1000);
	says(fd, "ats\"}\n{\"execute\":\"status\",\"id\":\"two\"}\n{\"execute\":");
	if (!hears(fd, "\"id\":\"two\"}\n"))
		fail("no answer to two requests");
	close(fd);
}

static void talk_nonsense(void)
{
	static const char *const lines[] = {
		"\n",
		"status\n",
		"{}\n",
		"[]\n",
		"{\"execute\":\"frob\"}\n",
		"{\"execute\":\"%s%n%s\"}\n",
		"{\"execute\":7}\n",
		"{\"execute\":\"status\",\"id\":[1]}\n",
		"{\"execute\":\"status\"}}\n",
		"{\"execute\":\"status\",\"execute\":\"stop\"}\n",
		"{\"execute\":\"stop\",\"arguments\":{\"force\":\"yes\"}}\n",
		"{\"execute\":\"stop\",\"arguments\":{\"force\":true,\"sideways\":1}}\n",
		"\x01\xff\x1b[2J\n",
		"{\"execute\":\"\xff\"}\n"};
	char deep[4000];
	int fd = dial();

	memset(deep, '[', sizeof(deep) - 2);
	memcpy(deep + sizeof(deep) - 2, "\n", 2);
	says(fd, deep);
	if (!hears(fd, "InvalidJson"))
		fail("too deep a request was not called an error");

	for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		says(fd, lines[i]);
		if (!hears(fd, "{\"error\":{\"class\":"))
			fail("nonsense was not called an error");
	}
	close(fd);
}

/* A line without end. */
static void never_end(void)
{
	char text[8192];
	int fd = dial();

	memset(text, ' ', sizeof(text));
	send(fd, text, sizeof(text), MSG_NOSIGNAL);
	if (!hears(fd, "InvalidJson"))
		fail("a line without end was not called an error");
	if (hears(fd, "{"))
		fail("a line without end was forgiven");
	close(fd);
}

/* Pause the guest and be gone; somebody else lets it go on. */
static void vanish(void)
{
	int fd = dial();

	says(fd, "{\"execute\":\"pause\"}\n{\"execute\":\"pause\"}\n");
	close(fd);
	fd = dial();
	says(fd, "{\"execute\":\"pause\"}\n{\"execute\":\"continue\",\"id\":\"on\"}\n");
	if (!hears(fd, "{\"return\":{},\"id\":\"on\"}\n"))
		fail("the guest was not let go on");
	close(fd);
}

/* Ask and never read, until no more requests are taken. */
static int never_read(void)
{
	static const char stats[] = "{\"execute\":\"stats\"}\n{\"execute\":\"stats\"}\n";
	int fd = dial();

	says(fd, "{\"execute\":\"subscribe\"}\n");
	while (send(fd, stats, sizeof(stats) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
		;
	return fd;
}

int main(int argc, char **argv)
{
	int silent[SILENT], deaf[4], rounds = 0;
	time_t end;

	if (argc != 3 || strlen(argv[1]) >= sizeof(address.sun_path))
		return 2;
	strcpy(address.sun_path, argv[1]);
	end = time(NULL) + atoi(argv[2]);
	do {
		for (int i = 0; i < SILENT; i++)
			silent[i] = dial();
		ask_properly();
		for (int i = 0; i < 4; i++)
			deaf[i] = never_read();
		ask_properly();
		talk_nonsense();
		vanish();
		never_end();
		ask_properly();
		for (int i = 0; i < SILENT; i++)
			close(silent[i]);
		for (int i = 0; i < 4; i++)
			close(deaf[i]);
		rounds++;
	} while (time(NULL) < end);
	printf("%d rounds\n", rounds);
	return 0;
}

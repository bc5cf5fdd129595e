/*
 * Round trips over TCP: how many one-byte requests are answered in a second, over one connection or
 * with a connection each.
 *
 * Owns: sockets on loopback (the server) and to the address given (the client). Static and 32-bit
 * in guests.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
	"usage: rr port                             print a port of loopback nobody uses\n"
	"       rr serve                            print a port and answer there until killed\n"
	"       rr trips ADDR PORT SECONDS          print round trips a second\n"
	"       rr connections ADDR PORT SECONDS    the same, each on a connection of its own\n";

static void die(const char *what)
{
	fprintf(stderr, "rr: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void no_delay(int fd)
{
	const int yes = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)))
		die("TCP_NODELAY");
}

/* ------------------------------------------------------------- server ---- */

static int bind_loopback(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) ||
	    getsockname(fd, (struct sockaddr *)&a, &len))
		die("bind");
	printf("%u\n", ntohs(a.sin_port));
	fflush(stdout);
	return fd;
}

/* The client closes first: it, not we, keeps the address in TIME_WAIT. */
static void answer(int fd)
{
	char byte;

	no_delay(fd);
	while (read(fd, &byte, 1) == 1)
		if (write(fd, &byte, 1) != 1)
			break;
	close(fd);
}

static void serve(void)
{
	int listener = bind_loopback(), fd;

	if (listen(listener, SOMAXCONN))
		die("listen");
	while ((fd = accept(listener, NULL, NULL)) >= 0)
		answer(fd);
	die("accept");
}

/* ------------------------------------------------------------- client ---- */

static int connect_to(const struct sockaddr_in *a)
{
	/* Closed by reset: thousands of connections would leave no free port otherwise. */
	const struct linger reset = {1, 0};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)a, sizeof(*a)) ||
	    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)))
		die("connect");
	no_delay(fd);
	return fd;
}

static void one_trip(int fd)
{
	char byte = 'x';

	if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
		die("round trip");
}

static double measure(const struct sockaddr_in *a, double seconds, int reconnect)
{
	int fd = connect_to(a);
	unsigned long trips = 0;
	double begin, end;

	one_trip(fd);
	for (begin = end = now(); end - begin < seconds; end = now(), trips++) {
		if (reconnect) {
			close(fd);
			fd = connect_to(a);
		}
		one_trip(fd);
	}
	close(fd);
	return trips / (end - begin);
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET};

	signal(SIGPIPE, SIG_IGN);
	if (argc == 2 && !strcmp(argv[1], "port"))
		return close(bind_loopback());
	if (argc == 2 && !strcmp(argv[1], "serve"))
		serve();
	if (argc == 5 && (!strcmp(argv[1], "trips") || !strcmp(argv[1], "connections"))) {
		if (inet_pton(AF_INET, argv[2], &a.sin_addr) != 1)
			die(argv[2]);
		a.sin_port = htons(atoi(argv[3]));
		printf("%.1f\n", measure(&a, atof(argv[4]), argv[1][0] == 'c'));
		return 0;
	}
	fputs(usage, stderr);
	return 2;
}

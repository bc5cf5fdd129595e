/*
 * The other end of network tests: small servers and clients on the host.
 *
 * Owns: sockets on addresses the tests name. Servers print "PORT\n" and serve until killed, each
 * connection in a process of its own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RETRY_SECONDS 90

static const char usage[] =
	"usage: net-peer http ADDR DIR       serve the files of DIR\n"
	"       net-peer sink ADDR FILE      what connection N sends goes to FILE.N\n"
	"       net-peer dns ADDR PORT       every name is 192.0.2.7\n"
	"       net-peer talk ADDR PORT      when the peer has said \"ready\\n\", send standard input\n"
	"                                    and show the answer; tries again until it is ready\n"
	"       net-peer udp ADDR PORT N     send N datagrams\n"
	"       net-peer ping ADDR N         ping it N times (root), print how often it answered\n"
	"       net-peer port ADDR           print a port nobody uses\n";

static void die(const char *what)
{
	fprintf(stderr, "net-peer: %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct sockaddr_in address(const char *text, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	if (inet_pton(AF_INET, text, &a.sin_addr) != 1)
		die(text);
	return a;
}

static int bound_socket(const char *addr, int port, int type)
{
	struct sockaddr_in a = address(addr, port);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)))
		die("bind");
	return fd;
}

static void print_port(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	if (getsockname(fd, (struct sockaddr *)&a, &len))
		die("getsockname");
	printf("%d\n", ntohs(a.sin_port));
	fflush(stdout);
}

static void write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0)
			die("write");
		data += n;
		len -= n;
	}
}

static void copy(int from, int to)
{
	static char buf[1 << 16];
	ssize_t n;

	while ((n = read(from, buf, sizeof(buf))) > 0)
		write_all(to, buf, n);
	if (n < 0)
		die("read");
}

/* ---- servers ---- */

/* "GET /name HTTP/1.1": a name without directories. */
static void answer_http(int fd, const char *dir)
{
	static const char head[] = "HTTP/1.0 200 OK\r\n\r\n", none[] = "HTTP/1.0 404 No\r\n\r\n";
	char request[4096] = "", path[4096], name[128];
	size_t used = 0;
	ssize_t n;
	int file;

	while (!strstr(request, "\r\n\r\n") && used < sizeof(request) - 1) {
		n = read(fd, request + used, sizeof(request) - 1 - used);
		if (n <= 0)
			return;
		used += n;
	}
	if (sscanf(request, "GET /%127[a-z0-9]", name) != 1)
		return;
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = open(path, O_RDONLY | O_CLOEXEC);
	write_all(fd, file < 0 ? none : head, strlen(file < 0 ? none : head));
	if (file >= 0)
		copy(file, fd);
}

static void fill_sink(int fd, const char *base, unsigned number)
{
	char path[4096];
	int file;

	snprintf(path, sizeof(path), "%s.%u", base, number);
	file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (file < 0)
		die(path);
	copy(fd, file);
}

static void serve(const char *addr, const char *where, int is_http)
{
	int listener = bound_socket(addr, 0, SOCK_STREAM);

	if (listen(listener, 64))
		die("listen");
	print_port(listener);
	for (unsigned number = 0;; number++) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			die("accept");
		if (!fork()) {
			if (is_http)
				answer_http(fd, where);
			else
				fill_sink(fd, where, number);
			exit(0);
		}
		close(fd);
	}
}

/* The question comes back with one answer behind it (RFC 1035, 4.1). */
static void serve_dns(const char *addr, int port)
{
	static const unsigned char answer[] = {0xc0, 12, 0, 1, 0,   1, 0, 0,
					       0,    60, 0, 4, 192, 0, 2, 7};
	int fd = bound_socket(addr, port, SOCK_DGRAM);
	unsigned char packet[512 + sizeof(answer)];
	struct sockaddr_in from;

	print_port(fd);
	for (;;) {
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, packet, 512, 0, (struct sockaddr *)&from, &len);

		if (n < 16)
			continue;
		packet[2] = 0x81;
		packet[3] = 0x80;
		/* Only A has an answer; for other types there is none. */
		packet[7] = packet[n - 3] == 1;
		if (packet[7]) {
			memcpy(packet + n, answer, sizeof(answer));
			n += sizeof(answer);
		}
		sendto(fd, packet, n, 0, (struct sockaddr *)&from, len);
	}
}

/* ---- clients ---- */

/* The socket, once the peer is there and says so; a forwarded port is open before its guest. */
static int connect_ready(struct sockaddr_in *a)
{
	const char ready[] = "ready\n";
	char got[sizeof(ready)] = "";
	size_t used = 0;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ssize_t n = connect(fd, (struct sockaddr *)a, sizeof(*a)) ? -1 : 1;

	while (n > 0 && used < sizeof(ready) - 1) {
		n = read(fd, got + used, sizeof(ready) - 1 - used);
		used += n > 0 ? n : 0;
	}
	if (!strcmp(got, ready))
		return fd;
	close(fd);
	return -1;
}

static int talk(const char *addr, int port)
{
	const struct timespec pause = {.tv_nsec = 200000000};
	struct sockaddr_in a = address(addr, port);
	time_t end = time(NULL) + RETRY_SECONDS;
	int fd;

	while ((fd = connect_ready(&a)) < 0) {
		if (time(NULL) > end) {
			fprintf(stderr, "net-peer: %s:%d is never ready\n", addr, port);
			return 1;
		}
		nanosleep(&pause, NULL);
	}
	copy(STDIN_FILENO, fd);
	shutdown(fd, SHUT_WR);
	copy(fd, STDOUT_FILENO);
	return 0;
}

static int send_datagrams(const char *addr, int port, int count)
{
	struct sockaddr_in a = address(addr, port);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	while (count--)
		if (sendto(fd, "datagram", 8, 0, (struct sockaddr *)&a, sizeof(a)) != 8)
			die("sendto");
	return 0;
}

/* The Internet checksum of an even number of bytes. */
static unsigned short checksum(const void *data, size_t len)
{
	const unsigned short *p = data;
	unsigned long sum = 0;

	for (size_t i = 0; i < len / 2; i++)
		sum += p[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return ~(sum + (sum >> 16));
}

/* Wait for the answer to echo request `sequence`. */
static int answered(int fd, int sequence)
{
	unsigned char packet[1500];
	const struct iphdr *ip = (const void *)packet;

	for (;;) {
		ssize_t n = recv(fd, packet, sizeof(packet), 0);
		const struct icmphdr *icmp = (const void *)(packet + ip->ihl * 4);

		if (n < 0)
			return 0;
		if (icmp->type == ICMP_ECHOREPLY && icmp->un.echo.sequence == htons(sequence))
			return 1;
	}
}

static int ping(const char *addr, int count)
{
	const struct timeval patience = {.tv_sec = 20};
	struct sockaddr_in a = address(addr, 0);
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP), answers = 0;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		die("raw socket");
	for (int i = 1; i <= count; i++) {
		struct {
			struct icmphdr icmp;
			char data[56];
		} request = {.icmp = {.type = ICMP_ECHO, .un.echo.sequence = htons(i)}};

		request.icmp.checksum = checksum(&request, sizeof(request));
		if (sendto(fd, &request, sizeof(request), 0, (struct sockaddr *)&a, sizeof(a)) < 0)
			die("sendto");
		answers += answered(fd, i);
	}
	printf("%d\n", answers);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	signal(SIGCHLD, SIG_IGN);
	if (argc == 4 && (!strcmp(what, "http") || !strcmp(what, "sink")))
		serve(argv[2], argv[3], !strcmp(what, "http"));
	if (argc == 4 && !strcmp(what, "dns"))
		serve_dns(argv[2], atoi(argv[3]));
	if (argc == 4 && !strcmp(what, "talk"))
		return talk(argv[2], atoi(argv[3]));
	if (argc == 5 && !strcmp(what, "udp"))
		return send_datagrams(argv[2], atoi(argv[3]), atoi(argv[4]));
	if (argc == 4 && !strcmp(what, "ping"))
		return ping(argv[2], atoi(argv[3]));
	if (argc == 3 && !strcmp(what, "port")) {
		print_port(bound_socket(argv[2], 0, SOCK_STREAM));
		return 0;
	}
	fputs(usage, stderr);
	return 2;
}

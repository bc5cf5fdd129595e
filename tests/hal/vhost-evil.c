/*
 * A vhost-user backend that turns evil: it serves a file system's queues like a good one until a
 * certain message comes, and then does what it should not.
 * usage: vhost-evil SOCKET REQUEST HOW
 *
 * REQUEST is the number of the message that is answered wrongly, and HOW one of garbage, short,
 * huge, refuse, silent, close. With REQUEST 0 all are answered, and when the rings are up: unasked
 * (speaks), leave (closes), cut (tries to make guest RAM shorter), block (fills the descriptors it
 * shares with the front-end and makes them block), storm (interrupts without end), scribble (writes
 * nonsense into the used rings, and interrupts). Says "turned" when it does.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
	GET_FEATURES = 1,
	SET_MEM_TABLE = 5,
	SET_VRING_ADDR = 9,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	GET_PROTOCOL_FEATURES = 15,
	GET_QUEUE_NUM = 17,
	SET_VRING_ENABLE = 18,
};

#define QUEUES	 2
#define SECONDS	 3
#define FEATURES (1ull << 32 | 1ull << 30 | 1ull << 29 | 1ull << 28)
#define PROTOCOL (1ull << 3 | 1ull << 0)

struct message {
	uint32_t request, flags, size;
	uint64_t data[64];
} __attribute__((packed));

static int client, ram_fd, kick[QUEUES], call[QUEUES];
static uint8_t *ram;
static uint64_t user_base, ram_size, used[QUEUES];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* A whole message, or the end. Returns the descriptor that came with it, or -1. */
static int receive(struct message *m)
{
	union {
		struct cmsghdr header;
		uint8_t space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = {m, 12};
	struct msghdr h = {.msg_iov = &part,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};
	int fd = -1;

	if (recvmsg(client, &h, MSG_WAITALL) != 12)
		exit(0);
	if (h.msg_controllen)
		memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	if (m->size > sizeof(m->data) ||
	    (m->size && recv(client, m->data, m->size, MSG_WAITALL) != m->size))
		exit(0);
	return fd;
}

static void map_ram(const struct message *m, int fd)
{
	ram_fd = fd;
	ram_size = m->data[2];
	user_base = m->data[3];
	ram = mmap(NULL, ram_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ram == MAP_FAILED)
		die("mapping RAM");
}

static void answer(struct message *m, uint64_t value)
{
	m->flags = 5;
	m->size = 8;
	m->data[0] = value;
	if (send(client, m, 20, MSG_NOSIGNAL) != 20)
		exit(0);
}

/* As it should be. */
static void serve(struct message *m, int fd)
{
	const unsigned index = m->data[0] % QUEUES;

	switch (m->request) {
	case GET_FEATURES:
		answer(m, FEATURES);
		return;
	case GET_PROTOCOL_FEATURES:
		answer(m, PROTOCOL);
		return;
	case GET_QUEUE_NUM:
		answer(m, QUEUES);
		return;
	case GET_VRING_BASE:
		answer(m, m->data[0]);
		return;
	case SET_MEM_TABLE:
		map_ram(m, fd);
		break;
	case SET_VRING_ADDR:
		used[index] = m->data[2] - user_base;
		break;
	case SET_VRING_KICK:
		kick[index] = fd;
		break;
	case SET_VRING_CALL:
		call[index] = fd;
		break;
	}
	if (m->flags & 8)
		answer(m, 0);
}

static void answer_wrongly(struct message *m, const char *how)
{
	static uint8_t bytes[1 << 16];

	m->flags = 5;
	m->size = 8;
	if (!strcmp(how, "garbage")) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = random();
		send(client, bytes, sizeof(bytes), MSG_NOSIGNAL | MSG_DONTWAIT);
	} else if (!strcmp(how, "short")) {
		send(client, m, 15, MSG_NOSIGNAL);
		close(client);
	} else if (!strcmp(how, "huge")) {
		m->size = 0xfffffff8;
		send(client, m, 20, MSG_NOSIGNAL);
		send(client, bytes, sizeof(bytes), MSG_NOSIGNAL | MSG_DONTWAIT);
	} else if (!strcmp(how, "refuse")) {
		answer(m, 1);
	} else if (!strcmp(how, "close")) {
		close(client);
	} /* or it is silent */
}

/* Fill what the front-end writes or might read, and have it wait, if that were possible. */
static void block(void)
{
	const uint64_t most = ~0ull - 1, one = 1;

	for (unsigned i = 0; i < QUEUES; i++) {
		while (write(kick[i], &one, sizeof(one)) == sizeof(one))
			;
		if (write(call[i], &most, sizeof(most)) != sizeof(most))
			perror("call");
		fcntl(kick[i], F_SETFL, 0);
		fcntl(call[i], F_SETFL, 0);
	}
}

/* For some seconds. */
static void storm(int scribble)
{
	const time_t end = time(NULL) + SECONDS;
	const uint64_t one = 1;

	while (time(NULL) < end)
		for (unsigned i = 0; i < QUEUES; i++) {
			if (scribble && used[i] && used[i] < ram_size - 64)
				for (unsigned k = 0; k < 64; k++)
					ram[used[i] + k] = random();
			if (write(call[i], &one, sizeof(one)) < 0 && errno != EAGAIN)
				die("call");
		}
}

static void turn(const char *how)
{
	if (!strcmp(how, "unasked"))
		send(client, "unasked", 7, MSG_NOSIGNAL);
	else if (!strcmp(how, "leave"))
		exit(0);
	else if (!strcmp(how, "block"))
		block();
	else if (!strcmp(how, "storm"))
		storm(0);
	else if (!strcmp(how, "scribble"))
		storm(1);
	else if (!strcmp(how, "cut"))
		printf("cut: %s\n", ftruncate(ram_fd, 4096) ? strerror(errno) : "done");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	struct message m;

	if (argc != 4 || strlen(argv[1]) >= sizeof(address.sun_path))
		return 2;
	strcpy(address.sun_path, argv[1]);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 1))
		die(argv[1]);
	client = accept(listener, NULL, NULL);
	if (client < 0)
		die("accept");
	for (;;) {
		const int fd = receive(&m);
		const unsigned index = m.data[0], request = m.request;

		if (request == (unsigned)atoi(argv[2])) {
			puts("turned");
			fflush(stdout);
			answer_wrongly(&m, argv[3]);
			pause();
		}
		serve(&m, fd);
		if (!atoi(argv[2]) && request == SET_VRING_ENABLE && index == QUEUES - 1) {
			puts("turned");
			turn(argv[3]);
		}
	}
}

/*
 * Listening sockets: see listen.h.
 */
#include "listen.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG	 4
#define HOST_MAX 255

/* ---- in the file system ---- */

static void remove_stale(const struct sockaddr_un *address)
{
	struct stat st;
	int fd;

	/* Connecting to another kind of file is refused as well: it is not ours to remove. */
	if (lstat(address->sun_path, &st) || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) &&
	    errno == ECONNREFUSED)
		unlink(address->sun_path);
	close(fd);
}

/* The name appears with its mode: the socket's own, as the umask leaves it. */
static bool bind_and_listen(int fd, const struct sockaddr_un *address, mode_t mode)
{
	if (mode != LISTEN_MODE_ANY && fchmod(fd, mode))
		return false;
	return !bind(fd, (const struct sockaddr *)address, sizeof(*address)) &&
	       !listen(fd, BACKLOG);
}

int listen_unix(struct sockaddr_un *address, const char *path, mode_t mode, const char *what,
		const char *spec, struct error *e)
{
	int fd, error;

	memset(address, 0, sizeof(*address));
	if (!path[0]) {
		error_set(e, "%s '%s': no path behind 'unix:'", what, spec);
		return -1;
	}
	if (strlen(path) >= sizeof(address->sun_path)) {
		error_set(e,
			  "%s '%s': the path is too long: a socket's name has at most %zu bytes "
			  "(use a shorter directory)",
			  what, spec, sizeof(address->sun_path) - 1);
		return -1;
	}
	address->sun_family = AF_UNIX;
	strcpy(address->sun_path, path);
	remove_stale(address);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && bind_and_listen(fd, address, mode))
		return fd;
	error = errno;
	if (fd >= 0)
		close(fd);
	address->sun_path[0] = '\0';
	error_set(e, "%s '%s': %s%s", what, spec, strerror(error),
		  error == EADDRINUSE ? " (another guest's? choose another name)" : "");
	return -1;
}

/* ---- TCP ---- */

/* Cut "[HOST:]PORT" in two. False: it is nothing of the kind. */
static bool split(const char *text, char host[HOST_MAX + 1], const char **port)
{
	const char *colon = strrchr(text, ':'), *from = text, *to = colon;

	strcpy(host, "127.0.0.1");
	*port = colon ? colon + 1 : text;
	if (!(*port)[0] || strspn(*port, "0123456789") != strlen(*port) || strlen(*port) > 5)
		return false;
	if (!colon || colon == text)
		return true;
	if (*from == '[' && to[-1] == ']') {
		from++;
		to--;
	}
	if (to - from > HOST_MAX || to == from)
		return false;
	memcpy(host, from, to - from);
	host[to - from] = '\0';
	return true;
}

/* On the first of the addresses that works. -1: errno. */
static int listen_on(const struct addrinfo *list)
{
	int error = EADDRNOTAVAIL;

	for (; list; list = list->ai_next) {
		const int on = 1;
		int fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		if (fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) &&
		    !bind(fd, list->ai_addr, list->ai_addrlen) && !listen(fd, BACKLOG))
			return fd;
		error = errno;
		if (fd >= 0)
			close(fd);
	}
	errno = error;
	return -1;
}

int listen_tcp(const char *host_port, const char *what, const char *spec, struct error *e)
{
	const struct addrinfo hints = {.ai_flags = AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
	char host[HOST_MAX + 1];
	struct addrinfo *list;
	const char *port;
	int error, fd;

	if (!split(host_port, host, &port) || strtoul(port, NULL, 10) > 65535) {
		error_set(e, "%s '%s': not tcp:ADDRESS:PORT with a port up to 65535", what, spec);
		return -1;
	}
	error = getaddrinfo(host, port, &hints, &list);
	if (error) {
		error_set(e, "%s '%s': %s", what, spec, gai_strerror(error));
		return -1;
	}
	fd = listen_on(list);
	error = errno;
	freeaddrinfo(list);
	if (fd < 0)
		error_set(e, "%s '%s': %s%s", what, spec, strerror(error),
			  error == EADDRINUSE ? " (another guest's? choose another port, 0 for any)"
					      : "");
	return fd;
}

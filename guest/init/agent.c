/*
 * Hearing the host; see agent.h.
 *
 * The request is one line of the QEMU guest agent's protocol. It names its command, and there is
 * but one that matters here.
 */
#include "agent.h"
#include "command.h"
#include "syscall.h"

static const char port_name[] = "org.qemu.guest_agent.0";
static const char command[] = "\"guest-shutdown\"";
static int port = -1;

/* Is port 0 of virtio device `index` the one? */
static int is_named(char index)
{
	static char path[] = "/sys/class/virtio-ports/vport?p0/name";
	char name[sizeof(port_name)];
	int fd, n;

	path[sizeof("/sys/class/virtio-ports/vport") - 1] = index;
	fd = sys_open(path, O_RDONLY);
	if (fd < 0)
		return 0;
	n = sys_read(fd, name, sizeof(name));
	sys_close(fd);
	return n == sizeof(name) && name[n - 1] == '\n' && begins(name, port_name);
}

int agent_open(void)
{
	static char path[] = "/dev/vport?p0";
	static const char digits[] = "0123456789"; /* plex86 has no more devices */

	for (int i = 0; port < 0 && digits[i]; i++) {
		if (!is_named(digits[i]))
			continue;
		path[sizeof("/dev/vport") - 1] = digits[i];
		port = sys_open(path, O_RDWR | O_CLOEXEC);
		if (port < 0)
			continue;
		syscall3(NR_FCNTL, port, F_SETOWN, 1);
		syscall3(NR_FCNTL, port, F_SETFL, O_RDWR | O_NONBLOCK | O_ASYNC);
	}
	return port < 0 ? -ENOENT : 0;
}

int agent_asked(void)
{
	static char text[256];
	int n = port < 0 ? port : sys_read(port, text, sizeof(text) - 1);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	for (char *p = text; *p; p++)
		if (begins(p, command))
			return 1;
	return 0;
}

/*
 * Loading modules; see modules.h.
 */
#include "modules.h"
#include "command.h"
#include "syscall.h"

static void load(const char *path)
{
	int fd = sys_open(path, O_RDONLY | O_CLOEXEC);
	int err = fd < 0 ? fd : syscall3(NR_FINIT_MODULE, fd, (long)"", 0);

	if (err < 0)
		complain("cannot load", path, err);
	if (fd >= 0)
		sys_close(fd);
}

int modules_load(void)
{
	static char text[4096];
	int fd = sys_open("/lib/modules/load", O_RDONLY), n;

	if (fd < 0)
		return 0;
	n = sys_read(fd, text, sizeof(text) - 1);
	sys_close(fd);
	for (char *line = text, *p = text; p < text + n; p++) {
		if (*p != '\n')
			continue;
		*p = '\0';
		load(line);
		line = p + 1;
	}
	return 1;
}

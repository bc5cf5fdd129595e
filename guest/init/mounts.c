/*
 * The end of file systems; see mounts.h.
 */
#include "mounts.h"
#include "syscall.h"

#include <stddef.h>

#define TEXT_SIZE 32768 /* what lies beyond is left mounted */

/* Undoes the octal escapes of /proc/mounts, in place, up to the next blank. */
static void unescape(char *path)
{
	char *to = path;

	for (; *path && *path != ' '; to++) {
		if (path[0] == '\\' && path[1] >= '0' && path[1] <= '3' && path[2] && path[3]) {
			*to = (char)((path[1] - '0') << 6 | (path[2] - '0') << 3 | (path[3] - '0'));
			path += 4;
		} else {
			*to = *path++;
		}
	}
	*to = '\0';
}

/* A line "DEVICE PATH ...". */
static void end_one(char *line)
{
	while (*line && *line != ' ')
		line++;
	if (!*line)
		return;
	unescape(++line);
	if (syscall3(NR_UMOUNT2, (long)line, 0, 0) < 0)
		syscall5(NR_MOUNT, 0, (long)line, 0, MS_REMOUNT | MS_RDONLY, 0);
}

void mounts_end(void)
{
	static char text[TEXT_SIZE];
	int fd = sys_open("/proc/mounts", O_RDONLY), len = 0, n;

	if (fd < 0)
		return;
	while ((n = sys_read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += n;
	sys_close(fd);
	/* From the last line to the first. */
	while (len > 0) {
		text[--len] = '\0';
		while (len > 0 && text[len - 1] != '\n')
			len--;
		end_one(text + len);
	}
}

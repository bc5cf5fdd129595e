/*
 * mkcpio: write a cpio archive ("newc", what Linux takes as initramfs) from a list.
 *
 * Owns: the archive format. Needs no privilege and gives the same bytes for the same list: all
 * entries belong to root, have no date, and keep the list's order. The list comes on standard
 * input, one entry a line, parents before children; the archive goes to standard output:
 *
 *   dir  NAME MODE              file NAME MODE SOURCE
 *   link NAME TARGET            char NAME MODE MAJOR MINOR
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NAME_MAX_LEN 256

struct entry {
	unsigned int mode;
	unsigned int major, minor;
	const char *data;
	size_t size;
};

_Noreturn static void die(int line, const char *what, const char *on, const char *why)
{
	fprintf(stderr, "mkcpio: line %d: %s '%s': %s\n", line, what, on, why);
	exit(1);
}

/* Pads what was written, of the given length, to a multiple of four. */
static void pad(size_t len)
{
	for (; len % 4; len++)
		putchar(0);
}

static void put_entry(const char *name, const struct entry *e)
{
	static unsigned int inode;
	size_t name_size = strlen(name) + 1;

	/* magic, ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor,
	 * rdevminor, namesize, check */
	printf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", inode++, e->mode, 0, 0,
	       S_ISDIR(e->mode) ? 2 : 1, 0, (unsigned int)e->size, 0, 0, e->major, e->minor,
	       (unsigned int)name_size, 0);
	fwrite(name, 1, name_size, stdout);
	pad(110 + name_size);
	fwrite(e->data, 1, e->size, stdout);
	pad(e->size);
}

static char *read_whole(int line, const char *path, size_t *size)
{
	FILE *f = fopen(path, "rb");
	struct stat st;

	if (!f || fstat(fileno(f), &st) < 0)
		die(line, "cannot read", path, strerror(errno));
	*size = (size_t)st.st_size;

	char *data = malloc(*size + 1);

	if (!data)
		die(line, "cannot read", path, "out of memory");
	if (fread(data, 1, *size, f) != *size)
		die(line, "cannot read", path, "it ended early");
	fclose(f);
	return data;
}

static void put_line(int number, const char *line)
{
	char type[8], name[NAME_MAX_LEN], arg[3][NAME_MAX_LEN * 4];
	int n = sscanf(line, "%7s %255s %1023s %1023s %1023s", type, name, arg[0], arg[1], arg[2]);
	struct entry e = {.data = ""};
	char *owned = NULL;

	if (n < 3 || name[0] != '/')
		die(number, "bad entry", line, "want TYPE /NAME ...");
	e.mode = (unsigned int)strtoul(arg[0], NULL, 8);
	if (!strcmp(type, "dir") && n == 3) {
		e.mode |= S_IFDIR;
	} else if (!strcmp(type, "file") && n == 4) {
		e.mode |= S_IFREG;
		e.data = owned = read_whole(number, arg[1], &e.size);
	} else if (!strcmp(type, "link") && n == 3) {
		e.mode = S_IFLNK | 0777;
		e.data = arg[0];
		e.size = strlen(arg[0]);
	} else if (!strcmp(type, "char") && n == 5) {
		e.mode |= S_IFCHR;
		e.major = (unsigned int)atoi(arg[1]);
		e.minor = (unsigned int)atoi(arg[2]);
	} else {
		die(number, "bad entry", line, "no such type, or not its number of words");
	}
	put_entry(name + 1, &e);
	free(owned);
}

int main(void)
{
	char line[NAME_MAX_LEN * 8];
	int number = 0;

	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		number++;
		if (line[0])
			put_line(number, line);
	}

	const struct entry end = {.data = ""};

	put_entry("TRAILER!!!", &end);
	if (fflush(stdout) || ferror(stdout))
		die(number, "cannot write", "standard output", strerror(errno));
	return 0;
}

/*
 * What can be seen of a host: see sample.h.
 *
 * Owns: what is looked at. Of every process what it is and may do; of those that run guest code, by
 * their program's name, also descriptors and memory maps: they have a handful of these, and never
 * any more.
 */
#define _GNU_SOURCE
#include "sample.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONTENT_MAX (1 << 20)
#define LOW_END	    (1ull << 32) /* the guest's, in a vcpu process */
#define PF_EXITING  0x4
#define RAM_FILE    "/memfd:plex86-ram"

/* ------------------------------------------------------------ lists ---- */

static void add(struct sample *s, char *value, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Takes `value`. */
static void add(struct sample *s, char *value, const char *format, ...)
{
	va_list args;

	if (s->count == s->room) {
		s->room = s->room ? s->room * 2 : 256;
		s->fact = realloc(s->fact, s->room * sizeof(*s->fact));
		if (!s->fact)
			abort();
	}
	va_start(args, format);
	if (vasprintf(&s->fact[s->count].key, format, args) < 0)
		abort();
	va_end(args);
	s->fact[s->count++].value = value;
}

static void cut_to(struct sample *s, size_t count)
{
	while (s->count > count) {
		s->count--;
		free(s->fact[s->count].key);
		free(s->fact[s->count].value);
	}
}

void sample_free(struct sample *s)
{
	cut_to(s, 0);
	free(s->fact);
	*s = (struct sample){0};
}

static int by_key(const void *a, const void *b)
{
	const struct fact *x = a, *y = b;
	const int order = strcmp(x->key, y->key);

	return order ? order : strcmp(x->value, y->value);
}

const char *sample_find(const struct sample *s, const char *key)
{
	for (size_t i = 0; i < s->count; i++)
		if (!strcmp(s->fact[i].key, key))
			return s->fact[i].value;
	return NULL;
}

void sample_compare(const struct sample *before, const struct sample *after, sample_fn *fn,
		    void *opaque)
{
	size_t b = 0, a = 0;

	while (b < before->count || a < after->count) {
		const struct fact *x = b < before->count ? &before->fact[b] : NULL;
		const struct fact *y = a < after->count ? &after->fact[a] : NULL;
		const int order = !x ? 1 : !y ? -1 : strcmp(x->key, y->key);

		if (order < 0)
			fn(opaque, x->key, x->value, NULL);
		else if (order > 0)
			fn(opaque, y->key, NULL, y->value);
		else if (strcmp(x->value, y->value))
			fn(opaque, x->key, x->value, y->value);
		b += order <= 0;
		a += order >= 0;
	}
}

/* ------------------------------------------------------------ files ---- */

char *read_text(const char *path)
{
	size_t used = 0, room = 4096;
	char *text = malloc(room);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n;

	if (!text)
		abort();
	while (fd >= 0 && (n = read(fd, text + used, room - used - 1)) > 0) {
		used += n;
		if (used + 1 < room)
			continue;
		room *= 2;
		text = realloc(text, room);
		if (!text)
			abort();
	}
	if (fd >= 0)
		close(fd);
	text[used] = '\0';
	return text;
}

static char *link_text(const char *path)
{
	char text[512];
	ssize_t n = readlink(path, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return strdup(text);
}

static uint64_t digest(const char *path)
{
	uint64_t h = 14695981039346656037ull;
	unsigned char block[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	ssize_t n;

	while (fd >= 0 && (n = read(fd, block, sizeof(block))) > 0)
		for (ssize_t i = 0; i < n; i++)
			h = (h ^ block[i]) * 1099511628211ull;
	if (fd >= 0)
		close(fd);
	return h;
}

static bool may_change(const struct sample_config *c, const char *path)
{
	for (size_t i = 0; i < 4 && c->changing[i]; i++)
		if (!strcmp(c->changing[i], path))
			return true;
	return false;
}

static void add_file(struct sample *s, const struct sample_config *c, const char *path,
		     const struct stat *st)
{
	const bool changing = may_change(c, path);
	char *value = NULL;
	uint64_t hash = 0;

	if (S_ISREG(st->st_mode) && st->st_size <= CONTENT_MAX && !changing)
		hash = digest(path);
	if (asprintf(&value,
		     "mode %o owner %u:%u links %lu inode %lu size %lld time %lld.%09ld/%ld %llx",
		     st->st_mode, st->st_uid, st->st_gid, (unsigned long)st->st_nlink,
		     (unsigned long)st->st_ino, (long long)st->st_size,
		     changing ? 0 : (long long)st->st_mtim.tv_sec,
		     changing ? 0 : st->st_mtim.tv_nsec, changing ? 0 : st->st_ctim.tv_nsec,
		     (unsigned long long)hash) < 0)
		abort();
	add(s, value, "file %s", path);
}

static void add_tree(struct sample *s, const struct sample_config *c, const char *path)
{
	struct stat st;
	struct dirent *d;
	char below[4096];
	DIR *dir;

	if (lstat(path, &st))
		return;
	add_file(s, c, path, &st);
	if (!S_ISDIR(st.st_mode))
		return;
	dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
			continue;
		if (snprintf(below, sizeof(below), "%s/%s", path, d->d_name) < (int)sizeof(below))
			add_tree(s, c, below);
	}
	if (dir)
		closedir(dir);
}

/* -------------------------------------------------------- processes ---- */

static void add_lines(struct sample *s, const char *text, const char *const *fields,
		      const char *prefix)
{
	for (const char *line = text; *line;) {
		const char *end = strchrnul(line, '\n');

		for (size_t i = 0; fields[i]; i++) {
			const size_t len = strlen(fields[i]);

			if (!strncmp(line, fields[i], len) && line[len] == ':')
				add(s, strndup(line + len + 1, end - line - len - 1), "%s %s",
				    prefix, fields[i]);
		}
		line = end + (*end == '\n');
	}
}

/* Above the guest's 4 GiB all that is mapped; below there is guest RAM and nothing else. Of a stack
 * its rights: it grows. */
static void add_maps(struct sample *s, const char *dir, const char *prefix, bool emulator)
{
	char path[64], *text, *save = NULL;

	snprintf(path, sizeof(path), "%s/maps", dir);
	text = read_text(path);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char rights[8] = "", name[256] = "";
		unsigned long long from = 0, to = 0, inode = 0;

		sscanf(line, "%llx-%llx %7s %*s %*s %llu %255[^\n]", &from, &to, rights, &inode,
		       name);
		if (strstr(name, "[stack]"))
			add(s, strdup(rights), "%s map [stack]", prefix);
		else if (emulator && !inode)
			continue; /* memory of its own, as it likes */
		else if (emulator)
			add(s, strdup(name), "%s map %llx %s", prefix, from, rights);
		else if (from >= LOW_END)
			add(s, strdup(line), "%s map %llx", prefix, from);
		else if (to > LOW_END || strncmp(name, RAM_FILE, strlen(RAM_FILE)))
			add(s, strdup(line), "%s map below 4 GiB %llx", prefix, from);
	}
	free(text);
}

static void add_descriptors(struct sample *s, const char *dir, const char *prefix)
{
	char path[512];
	struct dirent *d;
	DIR *list;

	snprintf(path, sizeof(path), "%s/fd", dir);
	list = opendir(path);
	while (list && (d = readdir(list))) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/fd/%s", dir, d->d_name);
		add(s, link_text(path), "%s fd %s", prefix, d->d_name);
	}
	if (list)
		closedir(list);
}

/* Fields of /proc/PID/stat, counted from 1 as in proc(5); those behind the name are 3 and up. */
static char *stat_fields(const char *dir, unsigned long *flags, char *state)
{
	char path[64], *text, *p, *value = NULL;
	long field[60] = {0};
	unsigned n = 3;

	snprintf(path, sizeof(path), "%s/stat", dir);
	text = read_text(path);
	p = strrchr(text, ')');
	*state = p && p[1] ? p[2] : 'X';
	for (p = p && p[1] ? p + 3 : NULL; p && *p && n < 59;)
		field[++n] = strtol(p, &p, 10), p += strspn(p, "\n");
	*flags = field[9];
	if (asprintf(&value, "group %ld session %ld nice %ld policy %ld priority %ld", field[5],
		     field[6], field[19], field[41], field[40]) < 0)
		abort();
	free(text);
	return value;
}

static void add_links(struct sample *s, const char *dir, const char *prefix)
{
	static const char *const links[] = {"cwd",    "root",	"exe",	  "ns/user", "ns/mnt",
					    "ns/net", "ns/pid", "ns/ipc", "ns/uts"};
	static const char *const texts[] = {"limits", "personality", "oom_score_adj",
					    "coredump_filter"};
	char path[128];

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, links[i]);
		add(s, link_text(path), "%s %s", prefix, links[i]);
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, texts[i]);
		add(s, read_text(path), "%s %s", prefix, texts[i]);
	}
}

static bool is_program(const struct sample *s, size_t from, const char *prefix, const char *name)
{
	char key[64];

	snprintf(key, sizeof(key), "%s exe", prefix);
	for (size_t i = from; i < s->count; i++)
		if (!strcmp(s->fact[i].key, key)) {
			const char *base = strrchr(s->fact[i].value, '/');

			return base && !strncmp(base + 1, name, strlen(name));
		}
	return false;
}

static void add_process(struct sample *s, const struct sample_config *c, int pid)
{
	static const char *const always[] = {
		"Name",	  "Umask",  "PPid",   "TracerPid",  "Uid",     "Gid", "Groups",
		"SigIgn", "CapEff", "CapPrm", "NoNewPrivs", "Seccomp", NULL};
	static const char *const of_engines[] = {"Threads", "VmLck", "SigCgt", NULL};
	const size_t before = s->count;
	char dir[32], path[64], prefix[40], state, *text;
	unsigned long flags;
	bool vcpu, emulator;

	snprintf(dir, sizeof(dir), "/proc/%d", pid);
	snprintf(prefix, sizeof(prefix), "process %d", pid);
	add(s, stat_fields(dir, &flags, &state), "%s stat", prefix);
	add_links(s, dir, prefix);
	vcpu = is_program(s, before, prefix, "plex86-vcpu");
	emulator = is_program(s, before, prefix, "plex86-emulator");
	snprintf(path, sizeof(path), "%s/status", dir);
	text = read_text(path);
	add_lines(s, text, always, prefix);
	if (vcpu || emulator) {
		add_lines(s, text, of_engines, prefix);
		add_descriptors(s, dir, prefix);
		snprintf(path, sizeof(path), "%s/timers", dir);
		add(s, read_text(path), "%s timers", prefix);
	}
	free(text);
	if ((vcpu || emulator) && !c->no_maps)
		add_maps(s, dir, prefix, emulator);
	/* One that is about to end has given things up already: it does not count any more. */
	free(stat_fields(dir, &flags, &state));
	if ((flags & PF_EXITING) || state == 'Z' || state == 'X')
		cut_to(s, before);
}

static void add_processes(struct sample *s, const struct sample_config *c)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;

	while (proc && (d = readdir(proc)))
		if (isdigit(d->d_name[0]) && atoi(d->d_name) != c->self)
			add_process(s, c, atoi(d->d_name));
	if (proc)
		closedir(proc);
}

/* ------------------------------------------------- sockets and such ---- */

static unsigned lines_of(const char *path)
{
	char *text = read_text(path);
	unsigned n = 0;

	for (const char *p = text; *p; p++)
		n += *p == '\n';
	free(text);
	return n;
}

static void add_net(struct sample *s)
{
	static const char *const kinds[] = {"unix", "tcp",    "tcp6",	 "udp", "udp6",
					    "raw",  "packet", "netlink", "icmp"};
	char path[64], value[16];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		snprintf(path, sizeof(path), "/proc/self/net/%s", kinds[i]);
		snprintf(value, sizeof(value), "%u", lines_of(path));
		add(s, strdup(value), "net %s", kinds[i]);
	}
}

static void add_ipc(struct sample *s)
{
	static const char *const kinds[] = {"shm", "sem", "msg"};
	char path[64], value[16];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		snprintf(path, sizeof(path), "/proc/sysvipc/%s", kinds[i]);
		snprintf(value, sizeof(value), "%u", lines_of(path));
		add(s, strdup(value), "ipc %s", kinds[i]);
	}
}

void sample_take(struct sample *s, const struct sample_config *config)
{
	cut_to(s, 0);
	for (size_t i = 0; i < 4 && config->dir[i]; i++)
		add_tree(s, config, config->dir[i]);
	add_processes(s, config);
	if (!config->no_net)
		add_net(s);
	add_ipc(s);
	qsort(s->fact, s->count, sizeof(*s->fact), by_key);
}

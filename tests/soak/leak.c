/*
 * A library for LD_PRELOAD by which a plex86 leaks, five times a second, what PLEX86_SOAK_LEAK
 * names: memory, shared (written pages of a memfd that is mapped), files, mappings, threads or
 * processes. By it tests/soak is seen to find each.
 *
 * Owns: what it leaks, until the process ends.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

#define PERIOD_US 200000
#define LUMP	  (512u << 10)

static void leak_memory(void)
{
	volatile char *p = malloc(LUMP); /* or the compiler would see that nobody uses it */

	for (size_t i = 0; p && i < LUMP; i += 4096)
		p[i] = 1;
}

static void leak_shared(void)
{
	int fd = memfd_create("soak-leak", MFD_CLOEXEC);
	void *p;

	if (fd < 0 || ftruncate(fd, 2 * LUMP))
		return;
	p = mmap(NULL, 2 * LUMP, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED)
		memset(p, 1, 2 * LUMP);
	close(fd);
}

static void leak_file(void)
{
	(void)!dup(0);
}

/* Of every second page, so that they stay apart; and not so many that the host would have no more.
 */
static void leak_mappings(void)
{
	const size_t page = 4096, pages = 64;
	static unsigned lumps;
	char *p;

	if (lumps++ > 800)
		return;
	p = mmap(NULL, pages * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return;
	for (size_t i = 0; i < pages; i += 2)
		mprotect(p + i * page, page, PROT_NONE);
}

static void *sleeper(void *unused)
{
	(void)unused;
	for (;;)
		pause();
	return NULL;
}

static void leak_thread(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, sleeper, NULL);
}

static void leak_process(void)
{
	if (fork())
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sleeper(NULL);
}

static const struct {
	const char *name;
	void (*leak)(void);
	unsigned each; /* so many periods */
} kinds[] = {
	{"memory", leak_memory, 1},  {"shared", leak_shared, 1},
	{"files", leak_file, 2},     {"mappings", leak_mappings, 1},
	{"threads", leak_thread, 5}, {"processes", leak_process, 25},
};

static void *leak(void *kind)
{
	const unsigned k = *(const unsigned *)kind;

	for (unsigned i = 0;; i++) {
		usleep(PERIOD_US);
		if (i % kinds[k].each == 0)
			kinds[k].leak();
	}
	return NULL;
}

/* In plex86 run alone: other programs see the same environment. */
static bool is_plex86(void)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	return n > 7 && !memcmp(path + n - 7, "/plex86", 7);
}

static __attribute__((constructor)) void begin(void)
{
	static unsigned kind;
	const char *name = getenv("PLEX86_SOAK_LEAK");
	sigset_t all, before;
	pthread_t thread;

	if (!name || !is_plex86())
		return;
	for (kind = 0; kind < sizeof(kinds) / sizeof(*kinds); kind++)
		if (!strcmp(name, kinds[kind].name))
			break;
	if (kind == sizeof(kinds) / sizeof(*kinds))
		exit(99);
	/* plex86's signals are for its own threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_create(&thread, NULL, leak, &kind);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

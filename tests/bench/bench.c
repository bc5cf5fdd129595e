/*
 * The benchmark program: small loops, each printed as one line `bench NAME NANOSECONDS`.
 *
 * Owns: what is measured. The same static binary runs natively and, as the only program of an
 * initramfs (so as init), in a guest. It knows nothing of the machine under it but how to end one:
 * medians, ratios and the peers belong to `run` beside it.
 *
 * Environment (a guest's kernel hands unknown NAME=VALUE words of its command line to init):
 *   BENCH_MODE  "all" (default) or "boot": print `bench init` and end at once
 *   BENCH_MS    shortest time in milliseconds a measured batch may take (default 200)
 *   BENCH_ONLY  names of benchmarks, with commas between them: these alone
 *   BENCH_END   as init only: "f4" ends the machine by a write to port 0xF4, else power-off
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sha256.h"

#define PAGE	  4096u
#define COPY_SIZE (8u << 20)
#define HASH_SIZE (64u << 10)
#define MAX_PAGES 4096u /* of one mapping: 16 MiB, little enough for any guest */

static const char *self; /* what fork_exec executes */

/* Results go here so that the compiler must compute them. */
static volatile uint32_t sink_int;
static volatile double sink_fp;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_MONOTONIC, &t) < 0)
		die("bench: clock_gettime");
	return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}

/* Each benchmark does `n` operations and returns the nanoseconds they took: most are timed by
 * timed() around them, the mapping ones leave their set-up out. */

static void do_integer(uint32_t n)
{
	uint32_t x = n | 1;

	while (n--) {
		x = x * 1664525u + 1013904223u;
		x ^= x >> 13;
	}
	sink_int = x;
}

static void do_fp(uint32_t n)
{
	double x[4] = {1.0, 1.1, 1.2, 1.3};

	/* Four chains side by side, so that throughput counts and not only latency. */
	for (; n >= 4; n -= 4)
		for (int i = 0; i < 4; i++)
			x[i] = x[i] * 0.999999 + 0.000001;
	sink_fp = x[0] + x[1] + x[2] + x[3];
}

/* Are large pages what is measured, if the kernel makes any? */
static int large_pages;

static void *map_pages(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("bench: mmap");
	/* A kernel without large pages refuses, rightly. */
	if (!large_pages)
		madvise(p, size, MADV_NOHUGEPAGE);
	return p;
}

static void touch_pages(volatile char *p, uint32_t pages)
{
	for (uint32_t i = 0; i < pages; i++)
		p[(size_t)i * PAGE] = 1;
}

/* The two buffers of memcpy stay: fork_exit and fork_exec fork a process of 16 MiB, not a toy. */
static char *copy_from, *copy_to;

static void do_memcpy(uint32_t n)
{
	while (n--) {
		memcpy(copy_to, copy_from, COPY_SIZE);
		/* The copy is observed, so no pass may be dropped. */
		__asm__ volatile("" : : "r"(copy_from), "r"(copy_to) : "memory");
	}
}

/* A page between the two, as malloc would leave one: 8 MiB apart to the byte they would fall on the
 * same entry of an emulator's direct-mapped TLB, and the figure would be that collision. */
static void make_buffers(void)
{
	copy_from = map_pages(2 * COPY_SIZE + PAGE);
	copy_to = copy_from + COPY_SIZE + PAGE;
	memset(copy_from, 1, COPY_SIZE);
	memset(copy_to, 2, COPY_SIZE);
}

static void do_sha256(uint32_t n)
{
	static uint8_t data[HASH_SIZE], digest[SHA256_SIZE];

	while (n--) {
		sha256(data, sizeof(data), digest);
		memcpy(data, digest, sizeof(digest));
	}
	sink_int = digest[0];
}

static void do_getppid(uint32_t n)
{
	while (n--)
		getppid();
}

static void do_clock_gettime(uint32_t n)
{
	struct timespec t;

	while (n--)
		clock_gettime(CLOCK_MONOTONIC, &t);
}

static int open_zero(void)
{
	int fd = open("/dev/zero", O_RDONLY);

	if (fd < 0)
		die("bench: /dev/zero");
	return fd;
}

static void do_read_zero(uint32_t n)
{
	static char page[PAGE];
	int fd = open_zero();

	while (n--)
		if (read(fd, page, sizeof(page)) != (ssize_t)sizeof(page))
			die("bench: read of /dev/zero");
	close(fd);
}

/* Shared by page_touch and munmap: which of the two is timed is the only difference. */
static uint64_t time_mapping(uint32_t n, int time_touch)
{
	uint64_t ns = 0;

	while (n) {
		uint32_t pages = n < MAX_PAGES ? n : MAX_PAGES;
		void *p = map_pages((size_t)pages * PAGE);
		uint64_t start = now_ns(), touched;

		touch_pages(p, pages);
		touched = now_ns();
		if (munmap(p, (size_t)pages * PAGE) < 0)
			die("bench: munmap");
		ns += time_touch ? touched - start : now_ns() - touched;
		n -= pages;
	}
	return ns;
}

static uint64_t time_page_touch(uint32_t n)
{
	return time_mapping(n, 1);
}

static uint64_t time_page_touch_thp(uint32_t n)
{
	uint64_t ns;

	large_pages = 1;
	ns = time_mapping(n, 1);
	large_pages = 0;
	return ns;
}

static uint64_t time_munmap(uint32_t n)
{
	return time_mapping(n, 0);
}

static pid_t checked_fork(void)
{
	pid_t pid = fork();

	if (pid < 0)
		die("bench: fork");
	return pid;
}

static void reap(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || status) {
		fprintf(stderr, "bench: child: wait status %#x\n", status);
		exit(1);
	}
}

static void echo_bytes(int in, int out, uint32_t n)
{
	char c;

	while (n--)
		if (read(in, &c, 1) != 1 || write(out, &c, 1) != 1)
			_exit(1);
	_exit(0);
}

static uint64_t time_pipe(uint32_t n)
{
	int there[2], back[2];
	uint64_t start, ns;
	pid_t child;
	char c = 1;

	if (pipe(there) < 0 || pipe(back) < 0)
		die("bench: pipe");
	child = checked_fork();
	if (!child)
		echo_bytes(there[0], back[1], n);
	start = now_ns();
	for (uint32_t i = 0; i < n; i++)
		if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1)
			die("bench: pipe");
	ns = now_ns() - start;
	reap(child);
	for (int i = 0; i < 2; i++) {
		close(there[i]);
		close(back[i]);
	}
	return ns;
}

static void do_fork_exit(uint32_t n)
{
	while (n--) {
		pid_t child = checked_fork();

		if (!child)
			_exit(0);
		reap(child);
	}
}

static void do_fork_exec(uint32_t n)
{
	while (n--) {
		pid_t child = checked_fork();

		if (!child) {
			execl(self, self, "exit", NULL);
			_exit(127);
		}
		reap(child);
	}
}

struct bench {
	const char *name;
	uint32_t first; /* operations in the first batch; later ones double */
	void (*run)(uint32_t n);
	uint64_t (*timed)(uint32_t n); /* instead of run, when it times itself */
};

/* clang-format off */
static const struct bench benches[] = {
	{ "integer",       100000, do_integer,       NULL },
	{ "fp",            100000, do_fp,            NULL },
	{ "memcpy_8m",     1,      do_memcpy,        NULL },
	{ "sha256_64k",    1,      do_sha256,        NULL },
	{ "getppid",       100,    do_getppid,       NULL },
	{ "read_zero_4k",  100,    do_read_zero,     NULL },
	{ "page_touch",    256,    NULL,             time_page_touch },
	{ "munmap_page",   256,    NULL,             time_munmap },
	{ "pipe_pingpong", 100,    NULL,             time_pipe },
	{ "fork_exit",     4,      do_fork_exit,     NULL },
	{ "fork_exec",     4,      do_fork_exec,     NULL },
	{ "clock_gettime", 1000,   do_clock_gettime, NULL },
};

/* Where the kernel may choose the size of pages: for one with transparent huge pages. */
static const struct bench thp[] = {
	{ "page_touch_thp", MAX_PAGES, NULL,         time_page_touch_thp },
};
/* clang-format on */

static uint64_t time_batch(const struct bench *b, uint32_t n)
{
	uint64_t start;

	if (b->timed)
		return b->timed(n);
	start = now_ns();
	b->run(n);
	return now_ns() - start;
}

/* Double the batch until it takes long enough; the earlier ones warm caches and translators up.
 * What counts is the time the whole batch took, set-up included, or munmap would never end. */
static double measure(const struct bench *b, uint64_t min_ns)
{
	for (uint32_t n = b->first;; n *= 2) {
		uint64_t start = now_ns();
		uint64_t ns = time_batch(b, n);

		if (now_ns() - start >= min_ns || n > UINT32_MAX / 2)
			return (double)ns / n;
	}
}

/* Is it one of those asked for? */
static int is_wanted(const char *name)
{
	const char *at = getenv("BENCH_ONLY");
	size_t length = strlen(name);

	if (!at)
		return 1;
	for (; *at; at += strcspn(at, ","), at += *at == ',')
		if (strcspn(at, ",") == length && !strncmp(at, name, length))
			return 1;
	return 0;
}

static int bench_list(const struct bench *list, size_t n)
{
	const char *ms = getenv("BENCH_MS");
	uint64_t min_ns = (ms ? strtoull(ms, NULL, 10) : 200) * 1000000u;
	uint64_t start;

	if (!sha256_works()) {
		fprintf(stderr, "bench: sha256 of a known text is wrong on this machine\n");
		return 1;
	}
	make_buffers();
	printf("bench begin\n");
	start = now_ns();
	for (size_t i = 0; i < n; i++)
		if (is_wanted(list[i].name))
			printf("bench %s %.3f\n", list[i].name, measure(&list[i], min_ns));
	/* The runner holds this against its own clock: a guest whose clock lies is found out. */
	printf("bench end %llu\n", (unsigned long long)(now_ns() - start));
	return 0;
}

static void make_node(const char *path, unsigned minor)
{
	if (mknod(path, S_IFCHR | 0600, makedev(1, minor)) < 0)
		perror(path);
}

/* As init: the console is open (the kernel's own initramfs carries /dev/console), no more. */
static void init_setup(void)
{
	mkdir("/dev", 0755);
	make_node("/dev/zero", 5);
	make_node("/dev/port", 4);
	self = "/bench";
}

static void init_end(int status)
{
	const char *end = getenv("BENCH_END");
	unsigned char byte = status;
	int port;

	fflush(stdout);
	if (end && !strcmp(end, "f4")) {
		port = open("/dev/port", O_WRONLY);
		/* It returns only where nothing listens at that port. */
		if (port < 0 || pwrite(port, &byte, 1, 0xf4) != 1)
			perror("bench: /dev/port");
	}
	reboot(RB_POWER_OFF);
}

int main(int argc, char **argv)
{
	const char *mode = getenv("BENCH_MODE");
	int status = 0;

	if (argc > 1 && !strcmp(argv[1], "exit"))
		return 0;
	setvbuf(stdout, NULL, _IOLBF, 0);
	self = "/proc/self/exe";
	if (getpid() == 1)
		init_setup();
	if (mode && !strcmp(mode, "boot"))
		printf("bench init\n");
	else if (mode && !strcmp(mode, "thp"))
		status = bench_list(thp, sizeof(thp) / sizeof(thp[0]));
	else
		status = bench_list(benches, sizeof(benches) / sizeof(benches[0]));
	if (getpid() == 1)
		init_end(status);
	return status;
}

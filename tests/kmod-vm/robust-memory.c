/*
 * Cases of robust.c: the guest's memory, what it counts as, and what becomes of it.
 */
#define _GNU_SOURCE
#include "robust.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Everything a process can do to memory of its own that a guest is running in. It is pinned: the
 * guest must not notice. */
static bool spoil(struct kmod_guest *g, unsigned how)
{
	const int hole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	void *p;

	switch (how) {
	case 0:
		return !madvise(g->ram, GUEST_RAM_BYTES, MADV_DONTNEED);
	case 1:
		return !mprotect(g->ram, GUEST_RAM_BYTES, PROT_NONE);
	case 2:
		return !fallocate(g->memory, hole, 0, GUEST_RAM_BYTES);
	case 3:
		return !ftruncate(g->memory, 0) && !ftruncate(g->memory, GUEST_RAM_BYTES);
	case 4:
		p = mremap(g->ram, GUEST_RAM_BYTES, 2 * GUEST_RAM_BYTES, MREMAP_MAYMOVE);
		if (p != MAP_FAILED)
			g->ram = p;
		return p != MAP_FAILED;
	case 5:
		p = mmap(g->ram, GUEST_RAM_BYTES, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		return p != MAP_FAILED;
	case 6:
		return !munmap(g->ram, 2 * GUEST_RAM_BYTES);
	case 7:
		return !ftruncate(g->memory, 0) && !close(g->memory);
	}
	return false;
}

enum verdict case_memory(void)
{
	struct runner r = {.watch = shared_memory(sizeof(struct watch))};
	pthread_t thread;

	r.watch->status = -1;
	REQUIRE(!kmod_guest_create(&r.guest, settings.guest));
	REQUIRE(!pthread_create(&thread, NULL, run_thread, &r));
	REQUIRE(guest_goes_on(r.watch, 1));
	for (unsigned how = 0; how < 8; how++) {
		REQUIRE(spoil(&r.guest, how));
		REQUIRE(guest_goes_on(r.watch, 2));
	}
	r.watch->enough = true;
	pthread_join(thread, NULL);
	REQUIRE(!r.watch->status && !r.watch->host_fpu_wrong);
	r.guest.ram = MAP_FAILED;
	r.guest.memory = -1;
	kmod_guest_close(&r.guest);
	return PASSED;
}

/* -------------------------------------------------------- arguments ---- */

static int set_memory(int fd, u64 address, u64 size, u32 layout)
{
	const struct plex86_memory mem = {.address = address, .ram_size = size, .layout = layout};

	return ioctl(fd, PLEX86_SET_MEMORY, &mem) ? errno : 0;
}

/* Every refusal, and that it leaves nothing behind: the same machine then takes what is right. */
enum verdict case_arguments(void)
{
	u8 *ram = mmap(NULL, GUEST_RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	void *readable = mmap(NULL, GUEST_RAM_BYTES, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const u64 good = (u64)ram;
	struct plex86_irq irq = {.irq = 16};
	struct kmod_guest g;
	struct vcpu cpu;

	REQUIRE(ram != MAP_FAILED && readable != MAP_FAILED);
	REQUIRE(!kmod_guest_open(&g));
	REQUIRE(ioctl(g.fd, PLEX86_RUN) && errno == EINVAL);
	REQUIRE(!kmod_guest_get_cpu(&g, &cpu));
	REQUIRE(ioctl(g.fd, PLEX86_SET_CPU, &cpu) && errno == EINVAL); /* no memory yet */
	REQUIRE(ioctl(g.fd, PLEX86_SET_MEMORY, NULL) && errno == EFAULT);
	REQUIRE(set_memory(g.fd, good, GUEST_RAM, PLEX86_LAYOUT + 1) == EINVAL);
	REQUIRE(set_memory(g.fd, good, 0, PLEX86_LAYOUT) == EINVAL);
	REQUIRE(set_memory(g.fd, good, 4095, PLEX86_LAYOUT) == EINVAL);
	REQUIRE(set_memory(g.fd, good, ~0xfffull, PLEX86_LAYOUT) == EINVAL);
	REQUIRE(set_memory(g.fd, good, 1ull << 32, PLEX86_LAYOUT) == EINVAL);
	REQUIRE(set_memory(g.fd, good + 1, GUEST_RAM, PLEX86_LAYOUT) == EINVAL);
	REQUIRE(set_memory(g.fd, 0, GUEST_RAM, PLEX86_LAYOUT) == EFAULT);
	REQUIRE(set_memory(g.fd, (u64)readable, GUEST_RAM, PLEX86_LAYOUT) == EFAULT);
	REQUIRE(set_memory(g.fd, ~0xfffull, GUEST_RAM, PLEX86_LAYOUT));
	REQUIRE(set_memory(g.fd, 0xffff888000000000ull, GUEST_RAM, PLEX86_LAYOUT));
	REQUIRE(set_memory(g.fd, 0x7fffffff0000ull, GUEST_RAM, PLEX86_LAYOUT) == EFAULT);
	munmap(ram + GUEST_RAM, 4096); /* a hole where the PV page is to be */
	REQUIRE(set_memory(g.fd, good, GUEST_RAM, PLEX86_LAYOUT) == EFAULT);
	REQUIRE(mmap(ram, GUEST_RAM_BYTES, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == ram);
	REQUIRE(!set_memory(g.fd, good, GUEST_RAM, PLEX86_LAYOUT));
	REQUIRE(set_memory(g.fd, good, GUEST_RAM, PLEX86_LAYOUT) == EINVAL); /* once */
	REQUIRE(ioctl(g.fd, PLEX86_SET_CPU, NULL) && errno == EFAULT);
	REQUIRE(ioctl(g.fd, PLEX86_RUN) && errno == EINVAL); /* no vcpu yet */
	REQUIRE(ioctl(g.fd, PLEX86_SET_IRQ, &irq) && errno == EINVAL);
	irq.irq = ~0u;
	REQUIRE(ioctl(g.fd, PLEX86_SET_IRQ, &irq) && errno == EINVAL);
	REQUIRE(ioctl(g.fd, PLEX86_SET_IRQ, NULL) && errno == EFAULT);
	REQUIRE(ioctl(g.fd, _IO('x', 0x7f)) && errno == ENOTTY);
	REQUIRE(mmap(NULL, sizeof(*g.run) + 4096, PROT_READ, MAP_SHARED, g.fd, 0) == MAP_FAILED);
	REQUIRE(mmap(NULL, 4096, PROT_READ, MAP_SHARED, g.fd, 4096ull << 32) == MAP_FAILED);
	kmod_guest_close(&g);
	munmap(ram, GUEST_RAM_BYTES);
	munmap(readable, GUEST_RAM_BYTES);
	return PASSED;
}

/* ---------------------------------------------------------- memlock ---- */

static long locked_kb(void)
{
	return file_number("/proc/self/status", "VmLck");
}

/* Nobody in particular, who may lock `bytes`. */
static bool become_nobody(size_t bytes)
{
	const struct rlimit limit = {bytes, bytes};

	return !setrlimit(RLIMIT_MEMLOCK, &limit) && !setgid(65534) && !setuid(65534);
}

static enum verdict as_nobody(void)
{
	const long kb = GUEST_RAM_BYTES / 1024, before = locked_kb();
	struct kmod_guest one, two;

	REQUIRE(!kmod_guest_open(&one) && !kmod_guest_memory(&one));
	REQUIRE(locked_kb() - before >= kb);
	REQUIRE(!kmod_guest_open(&two));
	REQUIRE(kmod_guest_memory(&two) && errno == ENOMEM);
	REQUIRE(locked_kb() - before < 2 * kb);
	kmod_guest_close(&one);
	REQUIRE(!kmod_guest_load(&two, settings.guest) || errno == EINVAL);
	kmod_guest_close(&two);
	REQUIRE(locked_kb() == before);
	REQUIRE(!kmod_guest_create(&one, settings.guest));
	kmod_guest_close(&one);
	REQUIRE(locked_kb() == before);
	return PASSED;
}

static enum verdict in_child(enum verdict (*fn)(void), size_t lock)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		if (!become_nobody(lock))
			_exit(failed("cannot become nobody"));
		status = fn();
		fflush(NULL);
		_exit(status);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? (enum verdict)WEXITSTATUS(status) : FAILED;
}

static enum verdict too_little(void)
{
	struct kmod_guest g;

	REQUIRE(!kmod_guest_open(&g));
	REQUIRE(kmod_guest_memory(&g) && errno == ENOMEM);
	REQUIRE(locked_kb() == 0);
	kmod_guest_close(&g);
	return PASSED;
}

enum verdict case_memlock(void)
{
	enum verdict v;

	REQUIRE(!chmod("/dev/plex86", 0666));
	v = in_child(too_little, GUEST_RAM_BYTES - 4096);
	if (v == PASSED)
		v = in_child(as_nobody, GUEST_RAM_BYTES + 4096);
	return v;
}

/* -------------------------------------------------------------- leak ---- */

struct usage {
	long free, slab, vmalloc, page_tables, pinned, locked;
};

/* kB that are free but for being kept by a CPU: /proc/meminfo leaves them out. */
static long kept_free(void)
{
	static char text[65536];
	long pages = 0;

	if (!file_read("/proc/zoneinfo", text, sizeof(text)))
		return 0;
	for (const char *at = text; (at = strstr(at, " count:")); at++)
		pages += atol(at + strlen(" count:"));
	return pages * 4;
}

static struct usage usage(void)
{
	file_write("/proc/sys/vm/drop_caches", "3");
	sleep_ms(500);
	/* What each CPU has counted by itself goes into the sums that can be read. */
	file_write("/proc/sys/vm/stat_refresh", "1");
	return (struct usage){
		.free = file_number("/proc/meminfo", "MemFree") + kept_free(),
		.slab = file_number("/proc/meminfo", "SUnreclaim"),
		.vmalloc = file_number("/proc/meminfo", "VmallocUsed"),
		.page_tables = file_number("/proc/meminfo", "PageTables"),
		.pinned = file_number("/proc/vmstat", "nr_foll_pin_acquired") -
			  file_number("/proc/vmstat", "nr_foll_pin_released"),
		.locked = locked_kb(),
	};
}

static bool one_life(bool run)
{
	struct watch w = {.status = -1, .enough = true};
	struct kmod_guest g;

	if (kmod_guest_create(&g, settings.guest))
		return false;
	if (run)
		w.status = guest_run(&g, &w, false);
	kmod_guest_close(&g);
	return !run || !w.status;
}

/* 100 machines later all memory is back. kB; a page a machine would show. */
enum verdict case_leak(void)
{
	struct usage before, after;

	for (unsigned i = 0; i < 10; i++)
		REQUIRE(one_life(true));
	before = usage();
	for (unsigned i = 0; i < 100; i++)
		REQUIRE(one_life(i % 4));
	after = usage();
	printf("  kB: free %+ld, slab %+ld, vmalloc %+ld, page tables %+ld; pins %+ld\n",
	       after.free - before.free, after.slab - before.slab, after.vmalloc - before.vmalloc,
	       after.page_tables - before.page_tables, after.pinned - before.pinned);
	REQUIRE(after.pinned == before.pinned);
	REQUIRE(after.locked == before.locked);
	REQUIRE(after.vmalloc - before.vmalloc < 300);
	REQUIRE(after.slab - before.slab < 300);
	REQUIRE(after.page_tables - before.page_tables < 300);
	REQUIRE(before.free - after.free < 300);
	return PASSED;
}

/* -------------------------------------------------------------- fail ---- */

#define FAIL_NTH "/proc/thread-self/fail-nth"

static bool prepare_failures(void)
{
	static const char *const settings[][2] = {
		{"failslab/ignore-gfp-wait", "N"},
		{"failslab/verbose", "0"},
		{"fail_page_alloc/ignore-gfp-wait", "N"},
		{"fail_page_alloc/ignore-gfp-highmem", "N"},
		{"fail_page_alloc/min-order", "0"},
		{"fail_page_alloc/verbose", "0"},
	};
	bool ok = true;

	file_write("/sys/kernel/debug/fail_usercopy/verbose",
		   "0"); /* where there is such a thing */
	for (unsigned i = 0; i < ARRAY_SIZE(settings); i++) {
		char path[128];

		snprintf(path, sizeof(path), "/sys/kernel/debug/%s", settings[i][0]);
		ok &= file_write(path, settings[i][1]);
	}
	return ok;
}

static int step(struct kmod_guest *g, struct watch *w, unsigned n)
{
	switch (n) {
	case 0:
		return kmod_guest_open(g);
	case 1:
		return kmod_guest_memory(g);
	case 2:
		return kmod_guest_load(g, settings.guest);
	default:
		return guest_run(g, w, true);
	}
}

/* The nth allocation of step `which` fails. *more: there was one to fail. */
static enum verdict fail_at(unsigned which, unsigned nth, bool *more)
{
	struct watch w = {.status = -1, .enough = true};
	struct kmod_guest g;
	char text[32];
	int result = 0;

	for (unsigned n = 0; n < which; n++)
		REQUIRE(step(&g, &w, n) >= 0);
	snprintf(text, sizeof(text), "%u", nth);
	REQUIRE(file_write(FAIL_NTH, text));
	result = step(&g, &w, which);
	REQUIRE(file_read(FAIL_NTH, text, sizeof(text)));
	file_write(FAIL_NTH, "0");
	*more = text[0] == '0';
	if (result == -1)
		REQUIRE(*more || which == 3);
	kmod_guest_close(&g);
	return PASSED;
}

enum verdict case_fail(void)
{
	struct usage before, after;

	if (access(FAIL_NTH, W_OK) || !prepare_failures())
		return skipped("this kernel cannot have allocations fail");
	before = usage();
	for (unsigned which = 0; which < 4; which++) {
		unsigned nth = 0, tried = 0;
		bool more = true;

		/* A machine's records are thousands of pages: of these some. */
		for (; more; tried++) {
			enum verdict v;

			nth += nth < 16 ? 1 : nth;
			v = fail_at(which, nth, &more);
			if (v != PASSED)
				return v;
		}
		printf("  step %u: %u of about %u allocations failed\n", which, tried - 1, nth);
		fflush(stdout);
	}
	after = usage();
	REQUIRE(after.pinned == before.pinned && after.locked == before.locked);
	REQUIRE(after.vmalloc - before.vmalloc < 300);
	return PASSED;
}

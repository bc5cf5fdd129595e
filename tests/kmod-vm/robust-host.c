/*
 * Cases of robust.c: what the host does by itself while guests run.
 */
#define _GNU_SOURCE
#include "robust.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int unload(void)
{
	return syscall(SYS_delete_module, "plex86", O_NONBLOCK) ? -errno : 0;
}

static bool load(void)
{
	int fd = open(settings.module, O_RDONLY | O_CLOEXEC);
	bool ok = fd >= 0 && !syscall(SYS_finit_module, fd, "", 0);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* Refused while there is a machine or what is left of one; afterwards as good as new. */
enum verdict case_unload(void)
{
	struct kmod_guest g;
	struct vmm v;

	if (!settings.module)
		return skipped("no --module");
	for (unsigned i = 0; i < 3; i++) {
		REQUIRE(vmm_start(&v));
		REQUIRE(unload() == -EAGAIN);
		REQUIRE(guest_goes_on(v.watch, 2));
		REQUIRE(vmm_end(&v));
		REQUIRE(!kmod_guest_open(&g));
		close(g.fd);
		g.fd = -1;
		REQUIRE(unload() == -EAGAIN); /* mapped */
		kmod_guest_close(&g);
		REQUIRE(module_idle());
		REQUIRE(!unload());
		REQUIRE(kmod_guest_open(&g));
		REQUIRE(load());
	}
	return PASSED;
}

static time_t later(unsigned seconds)
{
	return time(NULL) + seconds;
}

enum verdict case_migrate(void)
{
	const time_t end = later(settings.seconds);
	const unsigned n = cpus();
	struct vmm v[2];

	if (n < 2)
		return skipped("one CPU");
	REQUIRE(vmms_start(v, 2));
	for (unsigned i = 0; time(NULL) < end; i++) {
		REQUIRE(bind_to_cpu(v[i / 2 % 2].pid, i % n));
		sleep_ms(i % 3 == 0);
	}
	for (unsigned i = 0; i < 2; i++)
		REQUIRE(guest_goes_on(v[i].watch, 1));
	REQUIRE(vmms_end(v, 2));
	return PASSED;
}

#define CPU1_ONLINE "/sys/devices/system/cpu/cpu1/online"

enum verdict case_hotplug(void)
{
	struct vmm v[2];

	if (cpus() < 2)
		return skipped("one CPU");
	REQUIRE(vmms_start(v, 2));
	for (unsigned i = 0; i < 6; i++) {
		REQUIRE(bind_to_cpu(v[i % 2].pid, 1));
		sleep_ms(50);
		REQUIRE(file_write(CPU1_ONLINE, "0"));
		for (unsigned k = 0; k < 2; k++)
			REQUIRE(guest_goes_on(v[k].watch, 1));
		REQUIRE(file_write(CPU1_ONLINE, "1"));
		for (unsigned k = 0; k < 2; k++)
			REQUIRE(guest_goes_on(v[k].watch, 1));
	}
	REQUIRE(vmms_end(v, 2));
	return PASSED;
}

static long nmis(void)
{
	char text[16384], *line;
	long total = 0;

	if (!file_read("/proc/interrupts", text, sizeof(text)) || !(line = strstr(text, "NMI:")))
		return -1;
	line += 4;
	for (char *end;; line = end) {
		long n = strtol(line, &end, 10);

		if (end == line)
			return total;
		total += n;
	}
}

/* sysrq l has every other CPU say by NMI what it does. What it says is not to be printed, or it
 * would take longer than all else. */
enum verdict case_nmi(void)
{
	const time_t end = later(settings.seconds);
	long before, count;
	struct vmm v[2];

	if (cpus() < 2)
		return skipped("one CPU");
	before = nmis();
	REQUIRE(vmms_start(v, 2));
	REQUIRE(bind_to_cpu(v[0].pid, 1) && bind_to_cpu(v[1].pid, 1) && bind_to_cpu(0, 0));
	REQUIRE(file_write("/proc/sys/kernel/printk", "1"));
	while (time(NULL) < end)
		REQUIRE(file_write("/proc/sysrq-trigger", "l"));
	file_write("/proc/sys/kernel/printk", "7");
	count = nmis() - before;
	for (unsigned i = 0; i < 2; i++)
		REQUIRE(guest_goes_on(v[i].watch, 3));
	REQUIRE(vmms_end(v, 2));
	if (count < 20)
		return skipped("only %ld NMIs came", count);
	printf("  %ld NMIs\n", count);
	return PASSED;
}

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
#include "nmi.h"

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
	const unsigned n = cpus();
	struct vmm v[2];
	time_t end;

	if (n < 2)
		return skipped("one CPU");
	REQUIRE(vmms_start(v, 2));
	end = later(settings.seconds);
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

/* They come at any moment: after all kinds of pauses, while two guests take turns on that CPU. */
enum verdict case_nmi(void)
{
	volatile u32 *apic = nmi_map_apic();
	long before, count;
	struct vmm v[2];
	time_t end;

	if (cpus() < 2)
		return skipped("one CPU");
	before = nmi_count();
	REQUIRE(vmms_start(v, 2));
	REQUIRE(bind_to_cpu(v[0].pid, 1) && bind_to_cpu(v[1].pid, 1) && bind_to_cpu(0, 0));
	/* What the kernel says of each would take longer than all else. */
	REQUIRE(file_write("/proc/sys/kernel/printk", "1"));
	end = later(settings.seconds);
	for (unsigned i = 0; time(NULL) < end; i++) {
		REQUIRE(nmi_send(apic));
		for (volatile unsigned pause = i * 7919 % 3000; pause; pause--)
			;
	}
	file_write("/proc/sys/kernel/printk", "7");
	count = nmi_count() - before;
	for (unsigned i = 0; i < 2; i++)
		REQUIRE(guest_goes_on(v[i].watch, 3));
	REQUIRE(vmms_end(v, 2));
	if (count < 20)
		return skipped("only %ld NMIs came", count);
	printf("  %ld NMIs by %s\n", count, apic ? "the APIC" : "sysrq l");
	return PASSED;
}

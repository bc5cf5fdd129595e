/*
 * Cases of robust.c: what the host does by itself while guests run.
 */
#define _GNU_SOURCE
#include "robust.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

#define APIC	       0xfee00000
#define APIC_ICR       0x300
#define ICR_NMI_OTHERS 0xc4400 /* NMI to all but the sender */

/* The sender: a local APIC's registers, where the kernel lets us have them (iomem=relaxed). */
static volatile u32 *map_apic(void)
{
	int fd = open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC);
	void *apic = fd < 0 ? MAP_FAILED
			    : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, APIC);

	if (fd >= 0)
		close(fd);
	return apic == MAP_FAILED ? NULL : apic;
}

/* An NMI to every other CPU: by the APIC, or by sysrq l, for which each says what it does. */
static bool send_nmi(volatile u32 *apic)
{
	if (!apic)
		return file_write("/proc/sysrq-trigger", "l");
	apic[APIC_ICR / 4] = ICR_NMI_OTHERS;
	return true;
}

/* They come at any moment: after all kinds of pauses, while two guests take turns on that CPU. */
enum verdict case_nmi(void)
{
	volatile u32 *apic = map_apic();
	long before, count;
	struct vmm v[2];
	time_t end;

	if (cpus() < 2)
		return skipped("one CPU");
	before = nmis();
	REQUIRE(vmms_start(v, 2));
	REQUIRE(bind_to_cpu(v[0].pid, 1) && bind_to_cpu(v[1].pid, 1) && bind_to_cpu(0, 0));
	/* What the kernel says of each would take longer than all else. */
	REQUIRE(file_write("/proc/sys/kernel/printk", "1"));
	end = later(settings.seconds);
	for (unsigned i = 0; time(NULL) < end; i++) {
		REQUIRE(send_nmi(apic));
		for (volatile unsigned pause = i * 7919 % 3000; pause; pause--)
			;
	}
	file_write("/proc/sys/kernel/printk", "7");
	count = nmis() - before;
	for (unsigned i = 0; i < 2; i++)
		REQUIRE(guest_goes_on(v[i].watch, 3));
	REQUIRE(vmms_end(v, 2));
	if (count < 20)
		return skipped("only %ld NMIs came", count);
	printf("  %ld NMIs by %s\n", count, apic ? "the APIC" : "sysrq l");
	return PASSED;
}

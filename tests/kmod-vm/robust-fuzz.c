/*
 * Cases of robust.c: arguments without sense.
 */
#define _GNU_SOURCE
#include "robust.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static _Thread_local u64 random_state = 88172645463325252ull;

static u32 any(u32 below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (u32)(random_state >> 20) % below;
}

/* --------------------------------------------------------------- cpu ---- */

static void spoil(struct vcpu *cpu, unsigned bytes)
{
	while (bytes--)
		((u8 *)cpu)[any(sizeof(*cpu))] ^= 1u << any(8);
}

/* vcpus of no guest, and if they are taken, runs of these. */
static enum verdict run_spoilt(unsigned bytes, unsigned *taken)
{
	struct watch w = {.status = -1, .enough = true};
	struct kmod_guest g;
	struct vcpu cpu;

	REQUIRE(!kmod_guest_create(&g, settings.guest));
	REQUIRE(!kmod_guest_get_cpu(&g, &cpu));
	/* Of what is in RAM the vcpu now finds something else. */
	if (any(4) == 0)
		for (unsigned i = 0; i < GUEST_RAM_BYTES / 4; i += 1 + any(64))
			((u32 *)g.ram)[i] = any(~0u);
	spoil(&cpu, bytes);
	if (!ioctl(g.fd, PLEX86_SET_CPU, &cpu)) {
		++*taken;
		for (unsigned i = 0; i < 50; i++) {
			struct plex86_irq irq = {any(16), any(2)};

			ioctl(g.fd, PLEX86_SET_IRQ, &irq);
			ioctl(g.fd, PLEX86_KICK);
			guest_run(&g, &w, true);
			g.run->exit.io.value = any(~0u);
		}
	} else {
		REQUIRE(errno == EINVAL);
	}
	kmod_guest_close(&g);
	return PASSED;
}

static void nothing(int sig)
{
	(void)sig;
}

/* Have PLEX86_RUN come back from wherever the guest loops. */
void start_interrupting(void)
{
	const struct itimerspec often = {{0, 20000000}, {0, 20000000}};
	struct sigevent by_signal = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	timer_t timer;

	signal(SIGUSR1, nothing);
	if (timer_create(CLOCK_MONOTONIC, &by_signal, &timer) ||
	    timer_settime(timer, 0, &often, NULL))
		abort();
}

enum verdict case_cpu(void)
{
	const time_t end = time(NULL) + settings.seconds;
	unsigned taken = 0, tried = 0;

	start_interrupting();
	while (time(NULL) < end) {
		enum verdict v = run_spoilt(any(4), &taken);

		if (v != PASSED)
			return v;
		tried++;
	}
	printf("  %u of %u taken\n", taken, tried);
	return PASSED;
}

/* -------------------------------------------------------------- fuzz ---- */

#define THREADS	 4
#define MACHINES 3

/* What the threads share, without any lock: they close each other's files, too. */
static struct kmod_guest machine[MACHINES];
static volatile bool over;
static volatile u32 calls;

static unsigned long any_command(void)
{
	static const unsigned long known[] = {
		PLEX86_GET_VERSION, PLEX86_SET_MEMORY, PLEX86_SET_CPU,	 PLEX86_GET_STATE,
		PLEX86_RUN,	    PLEX86_RUN,	       PLEX86_SET_IRQ,	 PLEX86_KICK,
		PLEX86_ADD_DEVICE,  PLEX86_NEWS,       PLEX86_GET_STATS, PLEX86_GET_SPACES,
		PLEX86_CREATE,	    PLEX86_USER_MAP,   PLEX86_USER_RUN,
	};

	if (any(4))
		return known[any(ARRAY_SIZE(known))];
	if (any(2))
		return _IOC(any(4), 'x', 0x60 + any(32), any(512));
	return any(~0u);
}

/* A pointer that is none, or to what is of use for something. */
static void *any_argument(struct kmod_guest *g, u8 *buffer, size_t size)
{
	struct plex86_memory mem = {.address = (u64)g->ram,
				    .ram_size = GUEST_RAM,
				    .flags = any(4),
				    .layout = PLEX86_LAYOUT,
				    .level_irqs = any(0x10000)};

	switch (any(8)) {
	case 0:
		return NULL;
	case 1:
		return (void *)(0xffff800000000000ull + any(~0u));
	case 2:
		return (void *)(u64)any(~0u);
	case 3:
		return g->run;
	case 4:
		memcpy(buffer, &mem, sizeof(mem));
		if (any(2))
			((u64 *)buffer)[any(sizeof(mem) / 8)] ^= 1ull << any(64);
		return buffer;
	case 5:
		return buffer + size - any(64); /* and beyond: nothing is mapped there */
	default:
		for (unsigned i = 0; i < 16; i++)
			buffer[any(64)] = any(256);
		return buffer;
	}
}

static void *fuzz(void *opaque)
{
	const size_t size = 8192;
	u8 *buffer =
		mmap(NULL, size + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	random_state ^= (u64)opaque * 0x9e3779b97f4a7c15ull;
	munmap(buffer + size, 4096);
	while (!over) {
		struct kmod_guest *g = &machine[any(MACHINES)];
		struct kmod_guest fresh;

		ioctl(g->fd, any_command(), any_argument(g, buffer, size));
		calls++;
		if (any(2000))
			continue;
		/* Another machine in its place; dup2() closes the old one under everybody's feet.
		 */
		if (kmod_guest_create(&fresh, settings.guest))
			continue;
		dup2(fresh.fd, g->fd);
		kmod_guest_close(&fresh);
	}
	munmap(buffer, size);
	return NULL;
}

enum verdict case_fuzz(void)
{
	pthread_t thread[THREADS];

	for (unsigned i = 0; i < MACHINES; i++)
		REQUIRE(!kmod_guest_create(&machine[i], settings.guest));
	start_interrupting();
	for (unsigned i = 0; i < THREADS; i++)
		REQUIRE(!pthread_create(&thread[i], NULL, fuzz, (void *)(u64)(i + 1)));
	for (unsigned ms = 0; ms < settings.seconds * 1000; ms += 20) {
		sleep_ms(20);
		pthread_kill(thread[any(THREADS)], SIGUSR1);
	}
	over = true;
	for (unsigned i = 0; i < THREADS; i++) {
		for (unsigned tries = 0; pthread_tryjoin_np(thread[i], NULL); tries++) {
			REQUIRE(tries < 2000);
			pthread_kill(thread[i], SIGUSR1);
			sleep_ms(5);
		}
	}
	for (unsigned i = 0; i < MACHINES; i++)
		kmod_guest_close(&machine[i]);
	printf("  %u calls\n", calls);
	return PASSED;
}

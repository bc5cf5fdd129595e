/*
 * Cases of robust.c: what befalls a process that runs a guest, and its file.
 */
#define _GNU_SOURCE
#include "robust.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum verdict case_run(void)
{
	struct vmm v;

	REQUIRE(vmm_start(&v));
	REQUIRE(guest_goes_on(v.watch, 20));
	REQUIRE(vmm_end(&v));
	return PASSED;
}

/* At any moment: while it is set up, while it runs, while it ends. */
enum verdict case_kill(void)
{
	for (unsigned i = 0; i < 20; i++) {
		struct watch *w = shared_memory(sizeof(*w));
		struct vmm v = {.watch = w};

		w->status = -1;
		v.pid = fork();
		if (!v.pid) {
			struct kmod_guest g;

			if (kmod_guest_create(&g, settings.guest))
				_exit(FAILED);
			guest_run(&g, w, false);
			_exit(PASSED);
		}
		sleep_ms(i * 20);
		vmm_kill(&v);
		REQUIRE(module_idle());
		munmap(w, sizeof(*w));
	}
	return PASSED;
}

enum verdict case_stop(void)
{
	struct vmm v;
	int status;

	REQUIRE(vmm_start(&v));
	for (unsigned i = 0; i < 50; i++) {
		u32 rounds;

		REQUIRE(!kill(v.pid, SIGSTOP));
		REQUIRE(waitpid(v.pid, &status, WUNTRACED) == v.pid && WIFSTOPPED(status));
		rounds = v.watch->rounds;
		sleep_ms(i % 5);
		REQUIRE(v.watch->rounds == rounds);
		REQUIRE(!kill(v.pid, SIGCONT));
		REQUIRE(guest_goes_on(v.watch, i % 3));
	}
	REQUIRE(vmm_end(&v));
	return PASSED;
}

/* A debugger comes, looks at all registers, writes them back as they are, and goes. */
static bool inspect(pid_t pid)
{
	struct user_regs_struct regs;
	struct user_fpregs_struct fpu;
	int status;

	if (ptrace(PTRACE_INTERRUPT, pid, 0, 0) || waitpid(pid, &status, 0) != pid ||
	    !WIFSTOPPED(status))
		return false;
	return !ptrace(PTRACE_GETREGS, pid, 0, &regs) && !ptrace(PTRACE_SETREGS, pid, 0, &regs) &&
	       !ptrace(PTRACE_GETFPREGS, pid, 0, &fpu) && !ptrace(PTRACE_SETFPREGS, pid, 0, &fpu);
}

enum verdict case_ptrace(void)
{
	struct vmm v;

	REQUIRE(vmm_start(&v));
	for (unsigned i = 0; i < 30; i++) {
		REQUIRE(!ptrace(PTRACE_SEIZE, v.pid, 0, 0));
		REQUIRE(inspect(v.pid));
		if (i % 2) {
			REQUIRE(!ptrace(PTRACE_CONT, v.pid, 0, 0));
			REQUIRE(guest_goes_on(v.watch, 1));
			REQUIRE(inspect(v.pid));
		}
		REQUIRE(!ptrace(PTRACE_DETACH, v.pid, 0, 0));
		REQUIRE(guest_goes_on(v.watch, 1));
	}
	REQUIRE(vmm_end(&v));
	return PASSED;
}

/* -------------------------------------------------------------- fork ---- */

/* The guest is made here and run by a child, while we wait or are no more. */
static enum verdict run_by_child(bool orphan)
{
	struct watch *w = shared_memory(sizeof(*w));
	pid_t maker, runner;

	w->status = -1;
	maker = fork();
	if (!maker) {
		struct kmod_guest g;

		if (kmod_guest_create(&g, settings.guest))
			_exit(FAILED);
		maker = getpid();
		runner = fork();
		if (!runner) {
			/* Without the maker: the memory is pinned, and accounted to it. */
			while (orphan && getppid() == maker)
				sleep_ms(1);
			w->status = guest_run(&g, w, false);
			_exit(PASSED);
		}
		if (!orphan)
			waitpid(runner, NULL, 0);
		_exit(PASSED);
	}
	REQUIRE(guest_goes_on(w, 3));
	w->enough = true;
	waitpid(maker, NULL, 0);
	for (unsigned i = 0; i < 2000 && w->status == -1; i++)
		sleep_ms(5);
	REQUIRE(w->status == 0);
	REQUIRE(module_idle());
	return PASSED;
}

/* What children do with a machine that another process is running. */
static void meddle(struct runner *r, unsigned how)
{
	struct plex86_irq irq = {.irq = 3, .level = how & 8};
	struct vcpu cpu;

	switch (how % 5) {
	case 0:
		_exit(0);
	case 1:
		kmod_guest_close(&r->guest);
		break;
	case 2:
		ioctl(r->guest.fd, PLEX86_KICK);
		ioctl(r->guest.fd, PLEX86_SET_IRQ, &irq);
		break;
	case 3:
		alarm(1); /* the machine is running: this waits */
		kmod_guest_get_cpu(&r->guest, &cpu);
		break;
	case 4:
		execl("/bin/true", "true", NULL);
	}
	_exit(0);
}

static enum verdict children_meddle(void)
{
	struct runner r = {.watch = shared_memory(sizeof(struct watch))};
	pthread_t thread;

	r.watch->status = -1;
	REQUIRE(!kmod_guest_create(&r.guest, settings.guest));
	REQUIRE(!pthread_create(&thread, NULL, run_thread, &r));
	for (unsigned i = 0; i < 30; i++) {
		pid_t pid = fork();

		if (!pid)
			meddle(&r, i);
		if (i % 2)
			waitpid(pid, NULL, 0);
		REQUIRE(guest_goes_on(r.watch, 1));
	}
	r.watch->enough = true;
	pthread_join(thread, NULL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	kmod_guest_close(&r.guest);
	REQUIRE(!r.watch->status && !r.watch->host_fpu_wrong);
	return PASSED;
}

enum verdict case_fork(void)
{
	enum verdict v = run_by_child(false);

	if (v == PASSED)
		v = run_by_child(true);
	return v == PASSED ? children_meddle() : v;
}

/* ------------------------------------------------------------- files ---- */

/* Copies of the descriptor, the mapping and the memory go in every order; the machine stays as long
 * as any of the first two does. */
enum verdict case_dup(void)
{
	for (unsigned order = 0; order < 6; order++) {
		struct watch *w = shared_memory(sizeof(*w));
		struct kmod_guest g;
		int copy;

		w->status = -1;
		REQUIRE(!kmod_guest_create(&g, settings.guest));
		copy = dup(g.fd);
		if (order & 1) {
			close(g.fd);
			g.fd = copy;
			copy = -1;
		}
		REQUIRE(guest_run(&g, w, true) == -2);
		if (order % 3 == 0) {
			munmap(g.ram, GUEST_RAM_BYTES);
			g.ram = MAP_FAILED;
		} else if (order % 3 == 1) {
			close(g.fd);
			close(copy);
			g.fd = copy = -1;
			REQUIRE(module_users() > 0);
			g.run->exit.kind = EXIT_KICKED; /* still ours to write */
		} else {
			munmap(g.run, sizeof(*g.run));
			g.run = MAP_FAILED;
			ioctl(g.fd, PLEX86_RUN);
		}
		REQUIRE(module_users() > 0);
		kmod_guest_close(&g);
		if (copy >= 0) {
			REQUIRE(module_users() > 0);
			ioctl(copy, PLEX86_RUN);
			close(copy);
		}
		REQUIRE(module_idle());
	}
	return PASSED;
}

/* --------------------------------------------------------------- two ---- */

static void *run_any(void *opaque)
{
	struct runner *r = opaque;
	struct watch w = {0};

	/* The answers of one thread are overwritten by the other's: the guest may end in any way.
	 */
	while (!r->watch->enough && guest_run(&r->guest, &w, true) != -1)
		r->watch->rounds++;
	return NULL;
}

/* Two processes with a machine each, one with two, and a machine run by two threads. */
enum verdict case_two(void)
{
	struct runner r[3];
	pthread_t thread[4];
	struct vmm v[2];

	REQUIRE(vmms_start(v, 2));
	for (unsigned i = 0; i < 3; i++) {
		r[i].watch = shared_memory(sizeof(struct watch));
		r[i].watch->status = -1;
		REQUIRE(!kmod_guest_create(&r[i].guest, settings.guest));
	}
	for (unsigned i = 0; i < 4; i++)
		REQUIRE(!pthread_create(&thread[i], NULL, i < 2 ? run_thread : run_any,
					&r[i < 2 ? i : 2]));
	for (unsigned i = 0; i < 200; i++) {
		ioctl(r[2].guest.fd, PLEX86_KICK);
		ioctl(r[i % 2].guest.fd, PLEX86_KICK);
		sleep_ms(5);
	}
	for (unsigned i = 0; i < 2; i++)
		REQUIRE(guest_goes_on(v[i].watch, 5) && guest_goes_on(r[i].watch, 5));
	for (unsigned i = 0; i < 3; i++)
		r[i].watch->enough = true;
	for (unsigned i = 0; i < 4; i++) {
		ioctl(r[2].guest.fd, PLEX86_KICK);
		pthread_join(thread[i], NULL);
	}
	REQUIRE(!r[0].watch->status && !r[1].watch->status);
	REQUIRE(vmms_end(v, 2));
	return PASSED;
}

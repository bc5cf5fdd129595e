/*
 * The first process of a plex86 guest: sets the system up, runs one command or a shell, and tells
 * the host how it went.
 *
 * Owns: first mounts, loopback, reaping, and the end of the machine. Freestanding i386: no C
 * library, so that it is small, quick to start and built by any gcc with -m32. Of a kernel whose
 * drivers are modules it loads those, and goes on to the disk that root= names (root.h).
 *
 * The end, as the host sees it:
 *   - a command given by the host (cmdline.h) ended: its status, as one byte written to I/O port
 *     0xF4 through /dev/port: 0..255 as the command exited, 128 + N if signal N killed it, 127 if
 *     it was not found, 126 if it could not be run, 125 if the init could not understand it. All
 *     output has left the console before.
 *   - the shell ended, or SIGUSR2 (poweroff), SIGUSR1 (halt), SIGTERM (reboot) came, or the host
 *     asked for a power-off (agent.h): power off, halt or reset by the kernel, with file systems
 *     unmounted. Without ACPI, power off is hlt with interrupts off.
 *   - port 0xF4 did not end the machine: power off.
 */
#include "agent.h"
#include "command.h"
#include "modules.h"
#include "mounts.h"
#include "root.h"
#include "syscall.h"

#include <stddef.h>

static const char *const mounts[][3] = {
	/* type, where, options */
	{"proc", "/proc", ""},
	{"sysfs", "/sys", ""},
	{"devtmpfs", "/dev", "mode=0755"},
	{"devpts", "/dev/pts", "mode=0620,ptmxmode=0666"},
	{"tmpfs", "/dev/shm", "mode=1777"},
	{"tmpfs", "/tmp", "mode=1777"},
	{"tmpfs", "/run", "mode=0755"},
};
#define EARLY_MOUNTS 3 /* of them, before modules */

static const struct sigset all_signals = {{~0u, ~0u}};
static const struct sigset awaited = {{
	1u << (SIGCHLD - 1) | 1u << (SIGUSR1 - 1) | 1u << (SIGUSR2 - 1) | 1u << (SIGTERM - 1) |
		1u << (SIGIO - 1),
	0,
}};

static void mount_some(unsigned int from, unsigned int to)
{
	for (unsigned int i = from; i < to; i++) {
		const char *const *m = mounts[i];

		syscall3(NR_MKDIR, (long)m[1], 0755, 0);
		int err = syscall5(NR_MOUNT, (long)m[0], (long)m[1], (long)m[0], 0, (long)m[2]);

		/* The kernel may have mounted devtmpfs already. */
		if (err < 0 && err != -EBUSY)
			complain("cannot mount", m[1], err);
	}
}

/* The kernel gives lo its address when it comes up. A kernel without network is no error. */
static void loopback_up(void)
{
	static struct ifreq lo = {.name = "lo"};
	int fd = syscall3(NR_SOCKET, AF_INET, SOCK_DGRAM, 0);

	if (fd < 0)
		return;
	if (sys_ioctl(fd, SIOCGIFFLAGS, &lo) == 0) {
		lo.flags |= IFF_UP;
		sys_ioctl(fd, SIOCSIFFLAGS, &lo);
	}
	sys_close(fd);
}

/* The kernel hands over the VARIABLE=value words of its command line, so the host can set what the
 * command sees. Only what is then still missing is added here. */
static char **environment(char **envp)
{
	static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	static char home[] = "HOME=/root";
	static char *env[64];
	unsigned int n = 0, room = sizeof(env) / sizeof(env[0]) - 3;
	int has_path = 0;

	for (; *envp && n < room; envp++) {
		if (begins(*envp, "HOME="))
			continue;
		has_path |= begins(*envp, "PATH=");
		env[n++] = *envp;
	}
	env[n++] = home;
	if (!has_path)
		env[n++] = path;
	env[n] = NULL;
	return env;
}

/* Reaps whatever has ended. Returns 1, with the status, once pid is among it. */
static int reap(int pid, int *status)
{
	int found = 0, one, got;

	while ((got = sys_wait4(-1, &one, WNOHANG)) > 0) {
		if (got != pid)
			continue;
		*status = one;
		found = 1;
	}
	return found;
}

/* Waits for one of the awaited signals. A request of the host's counts as SIGUSR2. */
static int wait_for_signal(void)
{
	static const struct timespec moment = {0, 100 * 1000 * 1000};
	static int looks = 20; /* for the port, which the kernel may be slow to name */
	int sig;

	do {
		if (looks && (--looks, agent_open() == 0))
			looks = 0;
		if (agent_asked())
			return SIGUSR2;
		sig = sys_sigwait(&awaited, looks ? &moment : NULL);
	} while (sig < 0 || sig == SIGIO);
	return sig;
}

/* Runs a program to its end and returns its status as a shell would give it. If somebody asks for
 * the machine to be stopped before, returns minus that signal. */
static int run(const char *path, char **argv, char **env)
{
	int status = 0;
	int pid = syscall3(NR_FORK, 0, 0, 0);

	if (pid == 0)
		command_exec(path, argv, env);
	if (pid < 0) {
		complain("cannot fork for", path, pid);
		return STATUS_CANNOT_RUN;
	}
	for (;;) {
		int sig = wait_for_signal();

		if (sig == SIGUSR1 || sig == SIGUSR2 || sig == SIGTERM)
			return -sig;
		if (reap(pid, &status))
			break;
	}
	return command_status(status);
}

/* Sends sig to all processes and gives them half a second to end. */
static void end_processes(int sig)
{
	const struct timespec moment = {0, 20 * 1000 * 1000};
	int status;

	syscall3(NR_KILL, -1, sig, 0);
	for (int i = 0; i < 25; i++) {
		reap(0, &status);
		if (sys_wait4(-1, &status, WNOHANG) == -ECHILD)
			break;
		syscall3(NR_NANOSLEEP, (long)&moment, 0, 0);
	}
}

_Noreturn static void end(int how)
{
	end_processes(SIGTERM);
	end_processes(SIGKILL);
	flush();
	mounts_end();
	for (;;)
		syscall3(NR_REBOOT, REBOOT_MAGIC1, REBOOT_MAGIC2, how);
}

_Noreturn static void end_by_signal(int sig)
{
	if (sig == SIGTERM)
		end(REBOOT_RESTART);
	end(sig == SIGUSR1 ? REBOOT_HALT : REBOOT_POWER_OFF);
}

/* With a kernel whose drivers are modules. Then a root= is ours to bring up as well. */
static void bring_up_drivers(char **envp)
{
	if (!modules_load() || root_switch(envp) == 0)
		return;
	report(STATUS_CANNOT_RUN);
	end(REBOOT_POWER_OFF);
}

_Noreturn void start(long *stack)
{
	static char sh[] = "-sh"; /* the dash makes it read /etc/profile */
	static char *shell[] = {sh, NULL};
	char **envp = (char **)(stack + 1 + stack[0] + 1);
	struct cmdline cl;

	/* Elsewhere than in a guest all this would do harm: to a whole host, if started by root. */
	if (syscall3(NR_GETPID, 0, 0, 0) != 1) {
		say("plex86-init: not the first process: nothing done\n");
		sys_exit(STATUS_CANNOT_RUN);
	}
	sys_sigmask(&all_signals);
	mount_some(0, EARLY_MOUNTS);
	bring_up_drivers(envp);
	mount_some(EARLY_MOUNTS, sizeof(mounts) / sizeof(mounts[0]));
	/* The kernel opened that of the initramfs; devtmpfs brings the real one. */
	console_open();
	syscall3(NR_SETHOSTNAME, (long)"plex86", 6, 0);
	loopback_up();
	syscall3(NR_CHDIR, (long)"/root", 0, 0);

	if (command_read(&cl) < 0) {
		say("plex86-init: cannot decode plex86.exec= on the kernel command line\n");
		report(STATUS_BAD_COMMAND);
		end(REBOOT_POWER_OFF);
	}
	console_set(&cl);

	char **env = environment(envp);
	int status = cl.argv[0] ? run(cl.argv[0], cl.argv, env) : run("/bin/sh", shell, env);

	if (status < 0)
		end_by_signal(-status);
	if (cl.argv[0])
		report(status);
	end(REBOOT_POWER_OFF);
}

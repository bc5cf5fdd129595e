/*
 * A virtiofsd of our own: see virtiofsd.h.
 *
 * There are two programs of that name with different options: the one written in C that came with
 * QEMU until 7.2, and its successor in Rust. Both lock themselves in when they start: into
 * namespaces with the directory as their root or, where a container forbids that, by chroot. Both
 * ways need privileges. A user who has none gets them within a user namespace, where root is that
 * user: then the guest's root owns what is the user's, and can do there what the user can.
 */
#include "virtiofsd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LISTEN_FD 3 /* the daemon's */
#define STOP_MS	  2000
#define ARGS_MAX  12
#define PATHS_MAX 4096

/* What our part of the child ends with; of no virtiofsd. */
enum { EXIT_NO_USER_NAMESPACE = 111, EXIT_NO_PROGRAM = 112 };

/* A way to lock it in. */
struct way {
	bool user_namespace; /* of our making, before it starts */
	const char *sandbox; /* what it does itself */
};

static const struct way ways_of_root[] = {
	{false, "namespace"}, {false, "chroot"}, {true, "namespace"}};
static const struct way ways_of_user[] = {{true, "namespace"}, {true, "chroot"}};

struct command {
	const char *program;
	bool rust;
	char dir[2 * PATHS_MAX + 16], sandbox[32];
	char *argv[ARGS_MAX];
};

/* -------------------------------------------------------- the program ---- */

static const char *find_program(struct error *e)
{
	static const char *const places[] = {"/usr/libexec/virtiofsd", "/usr/lib/virtiofsd",
					     "/usr/lib/qemu/virtiofsd"};
	const char *wanted = getenv("PLEX86_VIRTIOFSD");

	if (wanted && !access(wanted, X_OK))
		return wanted;
	if (wanted) {
		error_set(e, "PLEX86_VIRTIOFSD '%s': %s", wanted, strerror(errno));
		return NULL;
	}
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (!access(places[i], X_OK))
			return places[i];
	error_set(e, "no virtiofsd here (as root: apt-get install qemu-system-common, or virtiofsd "
		     "where Debian is newer than 12; elsewhere: set PLEX86_VIRTIOFSD to its path)");
	return NULL;
}

static void add(struct command *c, unsigned *n, const char *arg)
{
	c->argv[(*n)++] = (char *)arg; /* exec takes them so and does not write them */
}

/* "source=DIR", with commas and backslashes escaped: they mean something in a list of options. */
static void source_option(char *to, const char *dir)
{
	to += sprintf(to, "source=");
	for (; *dir; dir++) {
		if (*dir == ',' || *dir == '\\')
			*to++ = '\\';
		*to++ = *dir;
	}
	*to = '\0';
}

/* Device files would be the host's devices: nobody may make them. */
static void compose(struct command *c, const char *dir, const struct way *way)
{
	unsigned n = 0;

	add(c, &n, c->program);
	add(c, &n, "--fd=3");
	/* Each file the guest knows of is a descriptor; our child has as many as there can be. */
	add(c, &n, "--rlimit-nofile=0");
	if (c->rust) {
		snprintf(c->dir, sizeof(c->dir), "--shared-dir=%s", dir);
		snprintf(c->sandbox, sizeof(c->sandbox), "--sandbox=%s", way->sandbox);
		add(c, &n, c->dir);
		add(c, &n, c->sandbox);
		add(c, &n, "--cache=auto");
		add(c, &n, "--modcaps=-mknod");
		add(c, &n, "--log-level=error");
	} else {
		source_option(c->dir, dir);
		snprintf(c->sandbox, sizeof(c->sandbox), "sandbox=%s", way->sandbox);
		add(c, &n, "-o");
		add(c, &n, c->dir);
		add(c, &n, "-o");
		add(c, &n, c->sandbox);
		add(c, &n, "-o");
		add(c, &n, "cache=auto,modcaps=-mknod,log_level=err");
	}
	add(c, &n, NULL);
}

/* ---------------------------------------------------------- the child ---- */

static _Noreturn void child_failed(int status, const char *what)
{
	dprintf(STDERR_FILENO, "%s: %s\n", what, strerror(errno));
	_exit(status);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		child_failed(EXIT_NO_USER_NAMESPACE, path);
	close(fd);
}

/* The C program insists on giving up its supplementary groups, which nobody can in such a
 * namespace. Let it believe that it has: they open to it nothing but what is the user's anyway. */
static void keep_groups(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setgroups, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		child_failed(EXIT_NO_USER_NAMESPACE, "seccomp filter");
}

static void enter_user_namespace(void)
{
	const unsigned uid = geteuid(), gid = getegid();
	char map[32];

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
		child_failed(EXIT_NO_USER_NAMESPACE, "user namespace");
	write_file("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %u 1", uid);
	write_file("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "0 %u 1", gid);
	write_file("/proc/self/gid_map", map);
	keep_groups();
}

static void raise_limit(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files))
		return;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

/* It has its socket and its log, both moved out of the way first, and nothing else of ours. */
static void arrange_descriptors(int listen_fd, int log_fd)
{
	const int high = 100;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	listen_fd = fcntl(listen_fd, F_DUPFD, high);
	log_fd = fcntl(log_fd, F_DUPFD, high);
	if (null < 0 || listen_fd < 0 || log_fd < 0 || dup2(log_fd, STDERR_FILENO) < 0 ||
	    dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
	    dup2(listen_fd, LISTEN_FD) < 0)
		_exit(EXIT_NO_PROGRAM);
	syscall(SYS_close_range, LISTEN_FD + 1, ~0u, 0);
}

/* The C program tells whose it is: "... QEMU Project developers". */
static bool is_rust(const char *program)
{
	char *const argv[] = {(char *)program, "--version", NULL};
	char text[512];
	size_t len = 0;
	ssize_t n;
	int out[2];
	pid_t pid;

	if (pipe2(out, O_CLOEXEC))
		return false;
	pid = fork();
	if (pid == 0) {
		arrange_descriptors(out[1], out[1]);
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		keep_groups();
		dup2(LISTEN_FD, STDOUT_FILENO);
		execv(program, argv);
		_exit(EXIT_NO_PROGRAM);
	}
	close(out[1]);
	while (len < sizeof(text) - 1 && (n = read(out[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += n;
	close(out[0]);
	text[len] = '\0';
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return !strstr(text, "QEMU");
}

static _Noreturn void child(const struct command *c, const struct way *way, int listen_fd,
			    int log_fd, pid_t parent)
{
	sigset_t none;

	arrange_descriptors(listen_fd, log_fd);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setpgid(0, 0); /* the terminal's signals are for plex86 */
	raise_limit();
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (way->user_namespace)
		enter_user_namespace();
	/* It ends with its connection; this is for one that hangs. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent)
		execv(c->program, c->argv);
	child_failed(EXIT_NO_PROGRAM, "starting it");
}

/* ---------------------------------------------------------- the start ---- */

/* A socket for it to accept one connection from, and that connection: ours is the first, and there
 * is no room for another. The address is one that the host makes up; no file. */
static bool make_sockets(int *listen_fd, int *fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(sa_family_t);

	*listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*listen_fd < 0 || *fd < 0 || bind(*listen_fd, (struct sockaddr *)&address, len))
		return false;
	len = sizeof(address);
	return !listen(*listen_fd, 0) &&
	       !getsockname(*listen_fd, (struct sockaddr *)&address, &len) &&
	       !connect(*fd, (struct sockaddr *)&address, len);
}

static void close_all(const int *fd, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (fd[i] >= 0)
			close(fd[i]);
}

static bool launch(struct virtiofsd *d, const struct command *c, const struct way *way, int *socket,
		   struct error *e)
{
	enum { LISTEN, SOCKET, LOG, LOG_OF_CHILD, COUNT };
	int fd[COUNT] = {-1, -1, -1, -1};
	const pid_t parent = getpid();

	if (!make_sockets(&fd[LISTEN], &fd[SOCKET]) || pipe2(&fd[LOG], O_CLOEXEC | O_NONBLOCK)) {
		error_set(e, "starting virtiofsd: %s", strerror(errno));
		close_all(fd, COUNT);
		return false;
	}
	d->pid = fork();
	if (d->pid == 0)
		child(c, way, fd[LISTEN], fd[LOG_OF_CHILD], parent);
	close(fd[LISTEN]);
	close(fd[LOG_OF_CHILD]);
	if (d->pid < 0) {
		error_set(e, "starting virtiofsd: %s", strerror(errno));
		close_all(&fd[SOCKET], 2);
		return false;
	}
	d->log_fd = fd[LOG];
	*socket = fd[SOCKET];
	return true;
}

/* Why it did not come up, now that the connection is lost. */
static void explain(struct virtiofsd *d, const struct vhost_user *u, struct error *e)
{
	int status = 0;

	for (unsigned i = 0; i < STOP_MS / 10 && waitpid(d->pid, &status, WNOHANG) != d->pid; i++)
		nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
	virtiofsd_listen(d);
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_USER_NAMESPACE)
		error_set(
			e,
			"virtiofsd cannot be locked in: %s (run plex86 as root with all its "
			"capabilities, or let users have user namespaces: sysctl "
			"user.max_user_namespaces and, where there is one, "
			"kernel.unprivileged_userns_clone; a container's profile may forbid "
			"them)",
			d->said.text);
	else if (d->said.text[0])
		error_set(e, "virtiofsd does not start: %s", d->said.text);
	else
		error_set(e, "virtiofsd does not start: %s", u->error.text);
}

static bool start_in_way(struct virtiofsd *d, struct vhost_user *u, struct command *c,
			 const char *dir, const struct way *way, struct error *e)
{
	int socket;

	compose(c, dir, way);
	*d = (struct virtiofsd){.pid = -1, .log_fd = -1};
	if (!launch(d, c, way, &socket, e))
		return false;
	if (vhost_user_open(u, socket, 2))
		return true;
	explain(d, u, e);
	virtiofsd_stop(d);
	return false;
}

bool virtiofsd_start(struct virtiofsd *d, struct vhost_user *u, const char *dir, struct error *e)
{
	const bool root = geteuid() == 0;
	const struct way *way = root ? ways_of_root : ways_of_user;
	unsigned count =
		root ? sizeof(ways_of_root) / sizeof(*way) : sizeof(ways_of_user) / sizeof(*way);
	struct command c = {.program = find_program(e)};

	if (!c.program)
		return false;
	if (strlen(dir) >= PATHS_MAX)
		return error_set(e, "the path is too long");
	c.rust = is_rust(c.program);
	for (; count; way++, count--)
		if (start_in_way(d, u, &c, dir, way, e))
			return true;
	return false;
}

/* ------------------------------------------------------------ the end ---- */

void virtiofsd_listen(struct virtiofsd *d)
{
	char text[sizeof(d->said.text)];
	ssize_t n;

	/* One that the guest has taken over might never stop talking. */
	for (unsigned i = 0; i < 16 && (n = read(d->log_fd, text, sizeof(text) - 1)) > 0; i++) {
		char *line;

		text[n] = '\0';
		while (n && text[n - 1] == '\n')
			text[--n] = '\0';
		line = strrchr(text, '\n');
		if (n)
			error_set(&d->said, "%s", line ? line + 1 : text);
	}
}

/* Has it ended before `ms` have passed? */
static bool ends_within(const struct virtiofsd *d, unsigned ms)
{
	for (unsigned i = 0; i <= ms; i++) {
		if (waitpid(d->pid, NULL, WNOHANG))
			return true; /* or there is none to wait for */
		nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
	}
	return false;
}

void virtiofsd_stop(struct virtiofsd *d)
{
	if (d->log_fd >= 0)
		close(d->log_fd);
	d->log_fd = -1;
	if (d->pid > 0 && !ends_within(d, STOP_MS / 4)) {
		kill(d->pid, SIGTERM);
		if (!ends_within(d, STOP_MS)) {
			kill(d->pid, SIGKILL);
			waitpid(d->pid, NULL, 0);
		}
	}
	d->pid = -1;
}

/*
 * inject NR N ERRNO FILE COMMAND...: run COMMAND, and have the Nth of all 64-bit system calls NR
 * that it and its children make fail with ERRNO; N is 0: none.
 *
 * Owns: a seccomp filter that asks this program about each of them. FILE gets how many there were.
 * The exit status is COMMAND's (128 + signal); 98: processes of it were left behind, and killed;
 * 99: this could not be done.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAILED	    99
#define LEFT	    98
#define PATIENCE_MS 10000 /* for processes that are about to end */

static void die(const char *what)
{
	fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
	exit(FAILED);
}

static void send_fd(int socket, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(fd))] = {0};
	struct iovec io = {&byte, 1};
	struct msghdr message = {.msg_iov = &io,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (sendmsg(socket, &message, 0) != 1)
		_exit(FAILED);
}

static int receive_fd(int socket)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec io = {&byte, 1};
	struct msghdr message = {.msg_iov = &io,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	int fd;

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&message))
		die("no filter");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

/* In the child. What it calls from here to exec must not be NR: sendmsg, close, execve. */
static _Noreturn void begin(unsigned nr, int socket, char **command)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
	int listener;

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* should we be killed */
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	setpgid(0, 0);
	listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			   &program);
	if (listener < 0)
		_exit(FAILED);
	send_fd(socket, listener);
	close(listener);
	close(socket);
	execvp(command[0], command);
	_exit(FAILED);
}

/* Waking somebody is nothing a kernel can fail in; waiting is. */
static int can_fail(const struct seccomp_data *call)
{
	const int op = call->args[1] & FUTEX_CMD_MASK;

	return call->nr != SYS_futex || op == FUTEX_WAIT || op == FUTEX_WAIT_BITSET;
}

/* One question; a process that has died meanwhile needs no answer. */
static void answer(int listener, unsigned long *count, unsigned long n, int error)
{
	struct seccomp_notif question = {0};
	struct seccomp_notif_resp reply = {.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};

	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &question))
		return;
	reply.id = question.id;
	if (can_fail(&question.data) && ++*count == n) {
		reply.flags = 0;
		reply.error = -error;
	}
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply);
}

/* Until nobody is left who could ask. False: somebody is, long after the command itself has ended.
 */
static int serve(int listener, pid_t child, int *status, unsigned long *count, unsigned long n,
		 int error)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};
	int ended = 0, waited = 0;

	for (;;) {
		const int ready = poll(&p, 1, 100);

		if (ready > 0 && p.revents & POLLIN)
			answer(listener, count, n, error);
		else if (ready > 0) /* POLLHUP */
			return 1;
		else if (ended && (waited += 100) > PATIENCE_MS)
			return 0;
		if (!ended && waitpid(child, status, WNOHANG) == child)
			ended = 1;
	}
}

int main(int argc, char **argv)
{
	unsigned long count = 0;
	int sockets[2], status = 0, all;
	FILE *file;
	pid_t child;

	if (argc < 6) {
		fprintf(stderr, "usage: inject NR N ERRNO FILE COMMAND...\n");
		return FAILED;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets))
		die("socketpair");
	/* Whoever loses his parent becomes our child: those who are left can be found and killed.
	 */
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	child = fork();
	if (child == 0)
		begin(strtoul(argv[1], NULL, 0), sockets[1], argv + 5);
	close(sockets[1]);
	all = serve(receive_fd(sockets[0]), child, &status, &count, strtoul(argv[2], NULL, 0),
		    atoi(argv[3]));
	if (!all) {
		kill(-child, SIGKILL);
		return LEFT;
	}
	file = fopen(argv[4], "w");
	if (!file || fprintf(file, "%lu\n", count) < 0 || fclose(file))
		die(argv[4]);
	/* The last of them may be gone before we have waited for the first. */
	waitpid(child, &status, 0);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

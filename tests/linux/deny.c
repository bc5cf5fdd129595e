/*
 * deny NR ARG ERRNO COMMAND...: run COMMAND on a host that refuses one system call.
 *
 * Owns: a seccomp filter that makes 64-bit system call NR fail with ERRNO, if its first argument
 * is ARG ("any": whatever it is). May be nested. Exit status 125 if that cannot be done.
 */
#define _GNU_SOURCE
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define LOAD(field)	   BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define EQUAL(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)

int main(int argc, char **argv)
{
	if (argc < 5) {
		fprintf(stderr, "usage: deny NR ARG|any ERRNO COMMAND...\n");
		return 125;
	}
	const unsigned nr = atoi(argv[1]), error = atoi(argv[3]);
	const int any = !strcmp(argv[2], "any");
	const unsigned arg = any ? 0 : strtoul(argv[2], NULL, 0);
	const struct sock_filter filter[] = {
		LOAD(arch),
		EQUAL(AUDIT_ARCH_X86_64, 5),
		LOAD(nr),
		EQUAL(nr, 3),
		LOAD(args[0]),
		BPF_JUMP(BPF_JMP | (any ? BPF_JGE : BPF_JEQ) | BPF_K, arg, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {
		.len = sizeof(filter) / sizeof(filter[0]),
		.filter = (struct sock_filter *)filter,
	};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
		perror("deny: seccomp");
		return 125;
	}
	execvp(argv[4], argv + 4);
	perror("deny: exec");
	return 125;
}

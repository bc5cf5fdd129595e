/*
 * wall COMMAND [ARGUMENT...]: run a command, then print `bench wall NANOSECONDS` from the moment
 * before it is executed to its end; exit with its status. A shell's own forks are not in it.
 */
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}

int main(int argc, char **argv)
{
	uint64_t start = now_ns();
	int status;
	pid_t pid;

	if (argc < 2) {
		fprintf(stderr, "usage: wall COMMAND [ARGUMENT...]\n");
		return 2;
	}
	pid = fork();
	if (pid == 0) {
		execvp(argv[1], argv + 1);
		perror(argv[1]);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("wall");
		return 2;
	}
	printf("bench wall %llu\n", (unsigned long long)(now_ns() - start));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

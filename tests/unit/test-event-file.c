/*
 * Unit tests of phase1-user/control/event-file.c: what reaches a file, and that no reader holds up whoever
 * has something to tell.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../phase1-user/control/event-file.h"

static struct loop loop;
static struct events events;

static struct event_file *start(const char *where)
{
	struct error e;
	struct event_file *f = event_file_open(where, &e);

	events = (struct events){0};
	assert_non_null(f);
	event_file_start(f, &loop, &events);
	return f;
}

static struct event_file *start_pipe(int fd[2])
{
	char where[20];

	assert_int_equal(pipe(fd), 0);
	snprintf(where, sizeof(where), "fd:%d", fd[1]);
	return start(where);
}

static void emit(unsigned times)
{
	for (unsigned i = 0; i < times; i++) {
		loop_lock(&loop);
		events_emit(&events, "booted", NULL);
		loop_unlock(&loop);
	}
}

/* Lines up to the end of file. */
static unsigned count(int fd)
{
	FILE *file = fdopen(fd, "r");
	unsigned n = 0;
	char line[200];

	while (fgets(line, sizeof(line), file)) {
		assert_memory_equal(line, "{\"event\":\"booted\",", 18);
		assert_int_equal(line[strlen(line) - 1], '\n');
		n++;
	}
	fclose(file);
	return n;
}

static void test_file(void **state)
{
	char path[] = "/tmp/plex86-test-XXXXXX";
	const int fd = mkstemp(path);
	struct event_file *f = start(path);

	(void)state;
	emit(1000);
	assert_int_equal(event_file_finish(f, 0), 0);
	emit(1); /* too late */
	event_file_close(f);
	assert_int_equal(count(fd), 1000);
	unlink(path);
}

static void test_slow_reader(void **state)
{
	int fd[2], status;
	struct event_file *f = start_pipe(fd);

	(void)state;
	/* More than the pipe takes, less than pipe and buffer. */
	fcntl(fd[1], F_SETPIPE_SZ, 4096);
	emit(500);
	close(fd[1]);
	if (!fork()) {
		close(fd[1]);
		event_file_close(f);
		_exit(count(fd[0]) == 500 ? 0 : 1);
	}
	close(fd[0]);
	assert_int_equal(event_file_finish(f, 30000), 0);
	event_file_close(f);
	assert_true(wait(&status) > 0);
	assert_int_equal(status, 0);
}

/* Nobody reads: what does not fit is lost, and that is known. */
static void test_no_reader(void **state)
{
	int fd[2];
	struct event_file *f = start_pipe(fd);

	(void)state;
	emit(5000);
	assert_int_equal(event_file_finish(f, 0), ENOBUFS);
	event_file_close(f);
	close(fd[1]);
	assert_in_range(count(fd[0]), 500, 4999);

	f = start_pipe(fd);
	close(fd[0]);
	emit(2);
	assert_int_equal(event_file_finish(f, 0), EPIPE);
	event_file_close(f);
	close(fd[1]);
}

static void test_bad_places(void **state)
{
	static const char *const bad[] = {"",	    "fd:",	  "fd:x",
					  "fd:-1",  "fd:1x",	  "fd:999",
					  "/tmp/.", "/proc/none", "fd:99999999999"};
	struct error e;
	char where[20];
	int fd[2];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_null(event_file_open(bad[i], &e));
	assert_int_equal(pipe(fd), 0);
	snprintf(where, sizeof(where), "fd:%d", fd[0]);
	assert_null(event_file_open(where, &e));
	assert_non_null(strstr(e.text, "--json takes a file or fd:N"));
	close(fd[0]);
	close(fd[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_no_reader),
		cmocka_unit_test(test_bad_places),
	};
	struct error e;
	int status;

	signal(SIGPIPE, SIG_IGN);
	if (!loop_init(&loop, &e) || !loop_start(&loop, &e))
		return 1;
	status = cmocka_run_group_tests(tests, NULL, NULL);
	loop_destroy(&loop);
	return status;
}

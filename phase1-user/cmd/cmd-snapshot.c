/*
 * plex86 snapshot: save a running guest into a file.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cmd.h"
#include "../control/control-client.h"

#define PATIENCE_MS 600000 /* gigabytes, onto a slow disk */

const char snapshot_help[] =
	"usage: plex86 snapshot [OPTION...] NAME FILE\n"
	"\n"
	"Save the running guest NAME (plex86 ps lists them) into FILE, with its memory, programs and\n"
	"devices; plex86 resume goes on with it. The guest stands still meanwhile, some tenths of a\n"
	"second, and then goes on. FILE is as secret as the guest's memory, and yours alone (mode 0600);\n"
	"one of that name is replaced when all of the new one is there.\n"
	"\n"
	"Disks are not in it. Of one that the guest may write, plex86 resume wants that nothing has been\n"
	"written to it since: use --stop, or give the guest disks with ,ro. Guests with shared folders,\n"
	"vhost-user devices, ,cow disks or disks of NBD servers cannot be saved.\n"
	"\n"
	"Options:\n"
	"  -s, --stop  end the guest's run with it, as if its plug were pulled\n"
	"  -h, --help  show this text\n"
	"\n"
	"Exit status:\n"
	"  0  it is saved\n"
	"  1  it is not\n"
	"  2  bad usage, or there is no such guest\n";

static int failed(const struct error *e, int status)
{
	fprintf(stderr, "plex86: snapshot: %s\n", e->text);
	return status;
}

static int usage_error(const char *what, const char *word)
{
	fprintf(stderr, "plex86: snapshot: %s '%s' (see plex86 snapshot --help)\n", what, word);
	return STATUS_USAGE;
}

/* The guest's plex86 may be in another directory. */
static bool make_absolute(char *to, size_t size, const char *path, struct error *e)
{
	char dir[PATH_MAX];
	int n;

	if (path[0] == '/')
		n = snprintf(to, size, "%s", path);
	else if (getcwd(dir, sizeof(dir)))
		n = snprintf(to, size, "%s/%s", dir, path);
	else
		return error_set(e, "this directory: %s", strerror(errno));
	return (size_t)n < size || error_set(e, "'%s': its path is too long", path);
}

static bool send_request(struct guest *g, const char *path, bool stop, struct error *e)
{
	json_t *request = json_pack("{s:s, s:{s:s, s:b}}", "execute", "snapshot", "arguments",
				    "path", path, "stop", stop);
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	bool ok;

	if (!text)
		error_set(e, "'%s': not a name in UTF-8", path);
	ok = text &&
	     (guest_send(g, text) || error_set(e, "guest '%s': %s", g->name, strerror(errno)));
	free(text);
	json_decref(request);
	return ok;
}

/* Up to the answer: 0, -1: go on, 1: `e`. */
static int look_at(json_t *message, const char *path, struct error *e)
{
	json_t *result = json_object_get(message, "return"),
	       *error = json_object_get(message, "error");
	json_int_t bytes, ns;

	if (error) {
		const char *why = json_string_value(json_object_get(error, "desc"));

		error_set(e, "%s", why ? why : "refused");
		return 1;
	}
	if (!result)
		return -1;
	if (!json_unpack(result, "{s:I, s:I}", "bytes", &bytes, "ns", &ns))
		printf("%s: %.1f MB in %.2f s\n", path, bytes / 1e6, ns / 1e9);
	return 0;
}

static int snapshot(const char *name, const char *file, bool stop)
{
	char path[2 * PATH_MAX];
	struct guest g;
	struct error e;
	int status = 1;

	if (!make_absolute(path, sizeof(path), file, &e) || !guest_open(&g, name, &e))
		return failed(&e, STATUS_USAGE);
	if (send_request(&g, path, stop, &e))
		do {
			json_t *message = guest_next(&g, PATIENCE_MS);

			status = message ? look_at(message, file, &e) : 1;
			if (!message)
				error_set(&e, "guest '%s': %s", g.name,
					  errno == EAGAIN ? "no answer in time" : "it has ended");
			json_decref(message);
		} while (status < 0);
	guest_close(&g);
	return status ? failed(&e, status) : STATUS_OK;
}

int cmd_snapshot(int argc, char **argv)
{
	static const struct option options[] = {{"stop", no_argument, NULL, 's'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	bool stop = false;
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, ":sh", options, NULL)) != -1) {
		switch (option) {
		case 's':
			stop = true;
			break;
		case 'h':
			fputs(snapshot_help, stdout);
			return STATUS_OK;
		default:
			return usage_error("unknown option", argv[optind - 1]);
		}
	}
	if (argc - optind < 2) {
		fprintf(stderr, "plex86: snapshot: no %s named (see plex86 snapshot --help)\n",
			argc == optind ? "guest" : "file");
		return STATUS_USAGE;
	}
	if (argc - optind > 2)
		return usage_error("unexpected", argv[optind + 2]);
	return snapshot(argv[optind], argv[optind + 1], stop);
}

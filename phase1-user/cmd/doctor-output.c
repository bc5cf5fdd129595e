/*
 * The two forms of `plex86 doctor`'s output: see doctor.h.
 */
#include "doctor.h"

static const char *const status_names[] = {"ok", "limited", "missing"};

bool doctor_can_run(const struct check *checks, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (checks[i].status == CHECK_MISSING)
			return false;
	}
	return true;
}

void doctor_print(const struct check *checks, size_t n, FILE *out)
{
	for (size_t i = 0; i < n; i++) {
		const struct check *c = &checks[i];

		fprintf(out, "%-8s %-14s %s\n", status_names[c->status], c->id, c->found);
		if (c->cost[0])
			fprintf(out, "%23s cost: %s\n", "", c->cost);
		if (c->fix[0])
			fprintf(out, "%23s fix:  %s\n", "", c->fix);
	}
	fprintf(out, "%s\n",
		doctor_can_run(checks, n) ? "plex86 can run here."
					  : "plex86 cannot run here: see what is missing above.");
}

/* A JSON string (RFC 8259). Bytes above 0x7e may be no valid UTF-8: they become '?'. */
static void print_string(const char *text, FILE *out)
{
	fputc('"', out);
	for (; *text; text++) {
		unsigned char c = *text;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20)
			fprintf(out, "\\u%04x", c);
		else
			fputc(c < 0x7f ? c : '?', out);
	}
	fputc('"', out);
}

static void print_member(const char *name, const char *value, FILE *out)
{
	fprintf(out, ", \"%s\": ", name);
	print_string(value, out);
}

void doctor_print_json(const struct check *checks, size_t n, FILE *out)
{
	fprintf(out, "{\n  \"can_run\": %s,\n  \"checks\": [",
		doctor_can_run(checks, n) ? "true" : "false");
	for (size_t i = 0; i < n; i++) {
		const struct check *c = &checks[i];

		fprintf(out, "%s\n    {\"id\": ", i ? "," : "");
		print_string(c->id, out);
		print_member("status", status_names[c->status], out);
		print_member("found", c->found, out);
		print_member("cost", c->cost, out);
		print_member("fix", c->fix, out);
		fputc('}', out);
	}
	fprintf(out, "\n  ]\n}\n");
}

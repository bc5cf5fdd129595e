/*
 * The file of a recorded run: see record-file.h.
 */
#include "record-file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAGIC	      "plex86-record 1"
#define FILE_MAX_SIZE ((size_t)64 << 20)

/* ---- writing ---- */

static void put_word(FILE *file, const char *word)
{
	for (const u8 *p = (const u8 *)word; *p; p++)
		if (*p <= ' ' || *p == '%' || *p >= 0x7f)
			fprintf(file, "%%%02x", *p);
		else
			fputc(*p, file);
	fputc('\n', file);
}

static int flushed(FILE *file)
{
	errno = 0;
	if (!fflush(file) && !ferror(file))
		return 0;
	return errno ? errno : EIO;
}

int record_write_run(FILE *file, const struct record_run *run)
{
	fprintf(file, "%s\nkernel %016" PRIx64 " ", MAGIC, run->kernel_digest);
	put_word(file, run->kernel);
	if (run->initrd) {
		fprintf(file, "initrd %016" PRIx64 " ", run->initrd_digest);
		put_word(file, run->initrd);
	}
	fprintf(file, "memory %" PRIu64 "\n", run->memory);
	for (unsigned i = 0; i <= run->disks; i++) {
		if (run->network && i == run->network_place) {
			fprintf(file, "network ");
			put_word(file, run->network);
		}
		if (i == run->disks)
			break;
		fprintf(file, "disk %" PRIu64 " %" PRIu64 " ", run->disk[i].size,
			run->disk[i].changed_ns);
		put_word(file, run->disk[i].spec);
	}
	fprintf(file, "cmdline ");
	put_word(file, run->cmdline);
	for (char *const *word = run->command; *word; word++) {
		fprintf(file, "command ");
		put_word(file, *word);
	}
	return flushed(file);
}

int record_write_input(FILE *file, const struct record_input *input)
{
	fprintf(file, "%s %" PRIu64 " ", input->frame ? "frame" : "input", input->events);
	for (unsigned i = 0; i < input->length; i++)
		fprintf(file, "%02x", input->data[i]);
	fputc('\n', file);
	return flushed(file);
}

int record_write_end(FILE *file, u64 events, const char *how, u64 value)
{
	fprintf(file, "end %" PRIu64 " %s %" PRIu64 "\n", events, how, value);
	return flushed(file);
}

/* ---- reading ---- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Cut the next word off `*line`; NULL: there is none. */
static char *next_word(char **line)
{
	char *word = *line;

	if (!word)
		return NULL;
	*line = strchr(word, ' ');
	if (*line)
		*(*line)++ = '\0';
	return word;
}

static bool parse_number(const char *word, int base, u64 *value)
{
	const char *digits = base == 16 ? "0123456789abcdef" : "0123456789";
	char *end;

	if (!word || !*word || strspn(word, digits) != strlen(word) || strlen(word) > 20)
		return false;
	errno = 0;
	*value = strtoull(word, &end, base);
	return !errno && !*end;
}

/* The one word that is left, decoded; NULL: it is damaged, or no memory. */
static char *decoded(char *word)
{
	char *out = word, *copy;

	if (!word || strchr(word, ' '))
		return NULL;
	copy = out = strdup(word);
	for (const char *p = word; copy && *p; p++) {
		const int high = *p == '%' ? hex_digit(p[1]) : -1;
		const int low = high >= 0 ? hex_digit(p[2]) : -1;

		if (*p == '%' && (low < 0 || !(high | low))) {
			free(copy);
			return NULL;
		}
		*out++ = *p == '%' ? high << 4 | low : *p;
		p += *p == '%' ? 2 : 0;
	}
	if (copy)
		*out = '\0';
	return copy;
}

static bool parse_file(char *line, char **path, u64 *digest)
{
	if (*path || !parse_number(next_word(&line), 16, digest))
		return false;
	*path = decoded(line);
	return *path != NULL;
}

static bool parse_disk(struct record_run *run, char *line)
{
	struct record_disk *d = &run->disk[run->disks];

	if (run->disks == RECORD_DISKS_MAX || !parse_number(next_word(&line), 10, &d->size) ||
	    !parse_number(next_word(&line), 10, &d->changed_ns))
		return false;
	d->spec = decoded(line);
	run->disks += d->spec != NULL;
	return d->spec != NULL;
}

static bool parse_command(struct record_run *run, char *line)
{
	unsigned n = 0;

	while (n < RECORD_WORDS_MAX && run->command[n])
		n++;
	if (n == RECORD_WORDS_MAX)
		return false;
	run->command[n] = decoded(line);
	return run->command[n] != NULL;
}

static bool parse_network(struct record_run *run, char *line)
{
	if (run->network)
		return false;
	run->network_place = run->disks;
	run->network = decoded(line);
	return run->network != NULL;
}

static bool parse_bytes(struct record_input *input, const char *hex)
{
	const size_t length = hex ? strlen(hex) : 0;

	if (!length || length % 2 ||
	    length / 2 > (input->frame ? RECORD_FRAME_MAX : RECORD_INPUT_MAX))
		return false;
	input->data = malloc(length / 2);
	if (!input->data)
		return false;
	for (size_t i = 0; i < length; i += 2) {
		const int high = hex_digit(hex[i]), low = hex_digit(hex[i + 1]);

		if (high < 0 || low < 0)
			return false;
		input->data[input->length++] = high << 4 | low;
	}
	return true;
}

/* Room for one more, grown in powers of two. */
static bool grow_inputs(struct record_run *run)
{
	struct record_input *more;

	if (run->inputs & (run->inputs - 1))
		return true;
	more = realloc(run->input, (run->inputs ? run->inputs * 2 : 1) * sizeof(*more));
	if (more)
		run->input = more;
	return more;
}

static bool parse_input(struct record_run *run, char *line, bool frame)
{
	struct record_input input = {.frame = frame};

	if (!parse_number(next_word(&line), 10, &input.events))
		return false;
	if ((run->inputs && input.events < run->input[run->inputs - 1].events) ||
	    (frame && !run->network) || !grow_inputs(run) || !parse_bytes(&input, line)) {
		free(input.data);
		return false;
	}
	run->input[run->inputs++] = input;
	return true;
}

static bool parse_end(struct record_run *run, char *line)
{
	const char *how;

	if (!parse_number(next_word(&line), 10, &run->end_events))
		return false;
	how = next_word(&line);
	if (!how || strlen(how) >= sizeof(run->end_how) || !parse_number(line, 10, &run->end_value))
		return false;
	strcpy(run->end_how, how);
	run->ended = true;
	return !run->inputs || run->input[run->inputs - 1].events <= run->end_events;
}

static bool parse_line(struct record_run *run, char *line)
{
	const char *what = next_word(&line);

	if (run->ended)
		return false;
	if (!strcmp(what, "kernel"))
		return parse_file(line, &run->kernel, &run->kernel_digest);
	if (!strcmp(what, "initrd"))
		return parse_file(line, &run->initrd, &run->initrd_digest);
	if (!strcmp(what, "memory"))
		return parse_number(line, 10, &run->memory);
	if (!strcmp(what, "disk"))
		return parse_disk(run, line);
	if (!strcmp(what, "cmdline"))
		return !run->cmdline && (run->cmdline = decoded(line));
	if (!strcmp(what, "command"))
		return parse_command(run, line);
	if (!strcmp(what, "network"))
		return parse_network(run, line);
	if (!strcmp(what, "input") || !strcmp(what, "frame"))
		return parse_input(run, line, *what == 'f');
	return !strcmp(what, "end") && parse_end(run, line);
}

/* `text` is ours to cut up. A last line without its end was being written when the run was cut off.
 */
static bool parse_lines(struct record_run *run, char *text, struct error *e)
{
	char *line = text, *end;

	for (unsigned number = 1; (end = strchr(line, '\n')); number++, line = end + 1) {
		*end = '\0';
		if (number == 1 && strcmp(line, MAGIC))
			return error_set(e, "not a recorded run of this version");
		if (number > 1 && !parse_line(run, line))
			return error_set(e, "line %u is damaged", number);
	}
	if (!run->kernel || !run->cmdline || !run->memory)
		return error_set(e, "not a recorded run, or cut off in its beginning");
	return true;
}

bool record_parse(struct record_run *run, const char *text, size_t size, struct error *e)
{
	char *copy = malloc(size + 1);
	bool ok;

	memset(run, 0, sizeof(*run));
	if (!copy)
		return error_set(e, "out of memory");
	memcpy(copy, text, size);
	copy[size] = '\0';
	ok = parse_lines(run, copy, e);
	free(copy);
	if (!ok)
		record_free(run);
	return ok;
}

static char *read_all(FILE *file, size_t *size, struct error *e)
{
	char *text = NULL;
	struct stat st;

	if (fstat(fileno(file), &st) || !S_ISREG(st.st_mode) || (u64)st.st_size > FILE_MAX_SIZE) {
		error_set(e, "not a file, or too large to be a recorded run");
		return NULL;
	}
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		error_set(e, "out of memory");
	else
		*size = fread(text, 1, (size_t)st.st_size, file);
	return text;
}

bool record_read(struct record_run *run, const char *path, struct error *e)
{
	FILE *file = fopen(path, "re");
	struct error why = {""};
	size_t size = 0;
	char *text;
	bool ok;

	if (!file)
		return error_set(e, "recorded run '%s': %s", path, strerror(errno));
	text = read_all(file, &size, &why);
	fclose(file);
	ok = text && record_parse(run, text, size, &why);
	free(text);
	return ok || error_set(e, "recorded run '%s': %s", path, why.text);
}

void record_free(struct record_run *run)
{
	free(run->kernel);
	free(run->initrd);
	free(run->cmdline);
	for (unsigned i = 0; i < run->disks; i++)
		free(run->disk[i].spec);
	for (char **word = run->command; *word; word++)
		free(*word);
	free(run->network);
	for (size_t i = 0; i < run->inputs; i++)
		free(run->input[i].data);
	free(run->input);
	memset(run, 0, sizeof(*run));
}

/*
 * Fuzzing the files of recorded runs: what is taken is as the header promises, and writing it and
 * reading it again gives the same.
 */
#include <stdlib.h>
#include <string.h>
#include "../../phase1-user/record/record-file.h"
#include "fuzz-input.h"

static void write_again(const struct record_run *run)
{
	struct record_run again;
	struct error e;
	char *text;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	record_write_run(file, run);
	for (size_t i = 0; i < run->inputs; i++)
		record_write_input(file, &run->input[i]);
	if (run->ended)
		record_write_end(file, run->end_events, run->end_how, run->end_value);
	fclose(file);
	fuzz_require(record_parse(&again, text, size, &e));
	fuzz_require(!strcmp(again.kernel, run->kernel) && !strcmp(again.cmdline, run->cmdline));
	fuzz_require(again.inputs == run->inputs && again.ended == run->ended);
	record_free(&again);
	free(text);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct record_run run;
	struct error e = {""};

	if (!record_parse(&run, (const char *)data, size, &e)) {
		fuzz_require(e.text[0]);
		return 0;
	}
	for (size_t i = 0; i < run.inputs; i++) {
		const struct record_input *input = &run.input[i];

		fuzz_require(input->length &&
			     input->length <= (input->frame ? RECORD_FRAME_MAX : RECORD_INPUT_MAX));
		fuzz_require(run.network || !input->frame);
		fuzz_require(!i || input->events >= run.input[i - 1].events);
	}
	write_again(&run);
	record_free(&run);
	return 0;
}

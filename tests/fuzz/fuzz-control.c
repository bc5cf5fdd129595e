/*
 * Fuzzing the control protocol: lines of any bytes to a machine that only remembers.
 *
 * Every line has one answer, which is one line of JSON with a return or an error in it and never
 * both, and a line that is no request changes nothing.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "../../phase1-user/control/control-commands.h"
#include "../unit/mock-guest.h"
#include "fuzz-input.h"

static void check_answer(json_t *answer)
{
	json_t *again;
	size_t len;
	char *line;

	fuzz_require(answer);
	fuzz_require(!json_object_get(answer, "return") != !json_object_get(answer, "error"));
	line = json_line(answer, &len);
	fuzz_require(line && strlen(line) == len && strchr(line, '\n') == line + len - 1);
	again = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	fuzz_require(json_equal(again, answer));
	json_decref(again);
	free(line);
}

static void one_line(struct control_session *session, const char *line, size_t len)
{
	const struct mock_guest before = mock_guest;
	struct control_request q;
	json_t *answer;

	if (control_read(&q, line, len, &answer)) {
		fuzz_require(q.command);
		control_needs_still(&q);
		answer = control_run(&q, session);
	} else {
		fuzz_require(!memcmp(&before, &mock_guest, sizeof(before)));
	}
	fuzz_require(!q.id && !q.arguments);
	check_answer(answer);
	json_decref(answer);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct control_session session = {
		.machine = &mock_guest.m,
		.about = json_pack("{s:s}", "name", "guest"),
	};
	const char *line = (const char *)data, *all = line + size, *end;

	memset(&mock_guest, 0, sizeof(mock_guest));
	for (; line < all; line = end + 1) {
		size_t len = all - line;

		end = memchr(line, '\n', len);
		if (!end)
			end = all;
		len = end - line;
		one_line(&session, line, len < CONTROL_REQUEST_MAX ? len : CONTROL_REQUEST_MAX);
	}
	json_decref(session.about);
	return 0;
}

/*
 * The control protocol (docs/control.md): requests, commands and answers, without the socket.
 *
 * Owns: the table of commands, and what is a request. Lines come from another program and may be
 * anything; all functions are called with the loop's lock held.
 */
#ifndef PLEX86_CONTROL_COMMANDS_H
#define PLEX86_CONTROL_COMMANDS_H

#include <stddef.h>
#include "../../common/types.h"

#define CONTROL_PROTOCOL    1
#define CONTROL_REQUEST_MAX 4096 /* bytes of a line with its newline */

struct json_t; /* <jansson.h> */
struct machine;
struct control_command;

/* What a client talks about, and what it has asked for. */
struct control_session {
	struct machine *machine;
	struct json_t *about; /* what status says of the guest that never changes */
	bool subscribed;
};

struct control_request {
	const struct control_command *command;
	struct json_t *arguments, *id; /* an object; NULL: none */
};

struct json_t *control_greeting(void);
/* Understand a line of `len` bytes, its newline not among them. False: it is no request, there is
 * nothing to free, and `*answer` is what to say, or NULL if there is no memory. */
bool control_read(struct control_request *q, const char *line, size_t len, struct json_t **answer);
/* The answer to a line that is too long to be read. */
struct json_t *control_too_long(void);
/* Must the guest stand still for it? */
bool control_needs_still(const struct control_request *q);
/* Do it and free the request. Returns the answer, NULL if there is no memory. */
struct json_t *control_run(struct control_request *q, struct control_session *session);
void control_free(struct control_request *q);

#endif

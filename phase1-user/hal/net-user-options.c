/*
 * The words of `-n user,...`: see net-user-options.h.
 */
#include "net-user-options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MTU_DEFAULT 16000 /* see net-user-options.h */
#define MTU_MIN	    576
#define MTU_MAX	    65520
#define PREFIX_MIN  8
#define PREFIX_MAX  27 /* the guest is at .15 */

/* A whole decimal number within bounds. */
static bool number(const char *text, u32 min, u32 max, u32 *value)
{
	unsigned long n;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	n = strtoul(text, &end, 10);
	*value = n;
	return !errno && !*end && n >= min && n <= max;
}

static bool port(const char *text, u16 *value)
{
	u32 n;

	if (!number(text, 1, 65535, &n))
		return false;
	*value = n;
	return true;
}

static bool address(const char *text, struct in_addr *a, u32 if_empty)
{
	a->s_addr = htonl(if_empty);
	return !text[0] || inet_pton(AF_INET, text, a) == 1;
}

/* "ADDR:PORT", cut in place. */
static bool endpoint(char *text, struct in_addr *a, u32 if_empty, u16 *p)
{
	char *colon = strchr(text, ':');

	if (!colon)
		return false;
	*colon = '\0';
	return address(text, a, if_empty) && port(colon + 1, p);
}

/* "tcp:ADDR:PORT-ADDR:PORT", cut in place. */
static bool forward(char *text, struct net_user_forward *f)
{
	char *dash = strchr(text, '-');

	f->udp = !strncmp(text, "udp:", 4);
	if (!dash || (!f->udp && strncmp(text, "tcp:", 4)))
		return false;
	*dash = '\0';
	return endpoint(text + 4, &f->host, INADDR_LOOPBACK, &f->host_port) &&
	       endpoint(dash + 1, &f->guest, INADDR_ANY, &f->guest_port);
}

static bool add_forward(struct net_user_options *o, char *text, struct error *e)
{
	char copy[80] = "";

	if (o->forwards == NET_USER_FORWARDS)
		return error_set(e, "net 'user': more than %d forwards", NET_USER_FORWARDS);
	if (strlen(text) < sizeof(copy) && forward(strcpy(copy, text), &o->forward[o->forwards])) {
		o->forwards++;
		return true;
	}
	return error_set(e,
			 "net 'user': hostfwd '%s': write tcp:ADDR:PORT-:GUESTPORT, or udp:..., "
			 "with an IPv4 address (empty: 127.0.0.1) and ports from 1 to 65535",
			 text);
}

static bool parse_network(struct net_user_options *o, char *text, struct error *e)
{
	char copy[32] = "", *slash;
	struct in_addr a;
	u32 prefix;

	if (strlen(text) < sizeof(copy))
		strcpy(copy, text);
	slash = strchr(copy, '/');
	if (slash)
		*slash++ = '\0';
	if (!slash || inet_pton(AF_INET, copy, &a) != 1 ||
	    !number(slash, PREFIX_MIN, PREFIX_MAX, &prefix))
		return error_set(e,
				 "net 'user': net '%s': not a network like 10.0.2.0/24, with a "
				 "prefix of %d to %d",
				 text, PREFIX_MIN, PREFIX_MAX);
	o->mask = ~0u << (32 - prefix);
	o->network = ntohl(a.s_addr) & o->mask;
	return true;
}

static bool parse_mtu(struct net_user_options *o, const char *text, struct error *e)
{
	u32 mtu;

	if (!number(text, MTU_MIN, MTU_MAX, &mtu))
		return error_set(e, "net 'user': mtu '%s': not a number from %d to %d", text,
				 MTU_MIN, MTU_MAX);
	o->mtu = mtu;
	return true;
}

bool net_user_parse(struct net_user_options *o, char **word, unsigned words, struct error *e)
{
	*o = (struct net_user_options){
		.network = 0x0a000200, .mask = 0xffffff00, .mtu = MTU_DEFAULT};
	for (unsigned i = 1; i < words; i++) {
		bool ok;

		if (!strncmp(word[i], "hostfwd=", 8))
			ok = add_forward(o, word[i] + 8, e);
		else if (!strncmp(word[i], "net=", 4))
			ok = parse_network(o, word[i] + 4, e);
		else if (!strncmp(word[i], "mtu=", 4))
			ok = parse_mtu(o, word[i] + 4, e);
		else
			ok = error_set(e,
				       "net 'user': unknown option '%s' (there are hostfwd=, net=, "
				       "mtu= and mac=)",
				       word[i]);
		if (!ok)
			return false;
	}
	return true;
}

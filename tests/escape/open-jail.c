/*
 * No jail: in place of phase1-user/vcpu/jail.c in a plex86-vcpu that is built for one test and
 * never installed. With it a hostile guest gets out, and tests/escape must see that.
 */
#include "../../phase1-user/vcpu/vcpu.h"

long jail_setup(void)
{
	return 0;
}

long dispatch_setup(void)
{
	return 0;
}

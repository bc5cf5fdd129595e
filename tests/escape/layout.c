/*
 * Prints where the parts of the memory shared with a vcpu process lie, for an attacker to be told:
 * EXIT-OFFSET SIZE, the latter without the shadows at its end, which the VMM does not read.
 */
#include <stddef.h>
#include <stdio.h>
#include "../../phase1-user/vcpu/shared.h"

int main(void)
{
	printf("%zu %zu\n", offsetof(struct vcpu_shared, vm.exit), offsetof(struct vcpu_shared, vm.shadow));
	return 0;
}

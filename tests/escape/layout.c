/*
 * Prints where the parts of the memory shared with a vcpu process lie, for an attacker to be told:
 * EXIT-OFFSET SIZE BELLS-OFFSET RAM-OFFSET. SIZE is without the shadows at the end, which the VMM
 * does not read.
 */
#include <stddef.h>
#include <stdio.h>
#include "../../phase1-user/vcpu/shared.h"

int main(void)
{
	printf("%zu %zu %zu %zu\n", offsetof(struct vcpu_shared, vm.exit),
	       offsetof(struct vcpu_shared, vm.shadow),
	       offsetof(struct vcpu_shared, vm.devices.rung), offsetof(struct vcpu_shared, vm.ram));
	return 0;
}

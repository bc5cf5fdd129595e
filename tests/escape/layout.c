/*
 * Prints where the parts of the memory shared with a vcpu process lie, for an attacker to be told:
 * NAME=OFFSET words. SIZE is without the shadows at the end, which the VMM does not read.
 */
#include <stddef.h>
#include <stdio.h>
#include "../../phase1-user/vcpu/shared.h"

int main(void)
{
	printf("EXIT=%zu SIZE=%zu BELLS=%zu RAM=%zu FRAME=%zu CALL=%zu BATON=%zu\n",
	       offsetof(struct vcpu_shared, vm.exit), offsetof(struct vcpu_shared, vm.shadow),
	       offsetof(struct vcpu_shared, vm.devices.rung), offsetof(struct vcpu_shared, vm.ram),
	       offsetof(struct vcpu_shared, fpu.frame), offsetof(struct vcpu_shared, baton.call),
	       offsetof(struct vcpu_shared, baton));
	return 0;
}

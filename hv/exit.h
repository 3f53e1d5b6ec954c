/*
 * What happens after the CPU left the guest: one switch over neutral exits.
 */
#pragma once

#include "hv/virt.h"

void exit_handle(struct vcpu *v, const struct vm_exit *x);

/* Logs registers, mode, instruction bytes and the last exits of a vCPU. */
void exit_report(struct vcpu *v, const uint8_t *bytes, unsigned count);

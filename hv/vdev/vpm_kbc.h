/*
 * Between vpm.c and vpm_kbc.c only: the 8042's part of struct vpm.
 */
#pragma once

#include "hv/vdev/vpm.h"

void vpm_kbc_reset(struct vpm *p);
/* Tells the partition, the first time. */
void vpm_finish(struct vpm *p, enum vpm_end how, const char *by);

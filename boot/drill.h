/*
 * Faults on request, for whoever wants to see on a new machine where last words come out.
 */
#pragma once

#include "boot/boot_info.h"

/*
 * `drill=panic`, `drill=double-fault` or `drill=hang` on the command line: does it. Boot CPU, when
 * the other CPUs are up. Returns when there is no drill.
 */
void drill(const struct boot_info *b);

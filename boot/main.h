/*
 * What the bring-up list ends in, and what of it has no header of its own.
 */
#pragma once

#include "boot/boot_info.h"
#include "drivers/acpi.h"

/*
 * The machine is ours and every CPU waits for its vCPU: read the configuration, build the
 * partitions, run. Boot CPU; boot/partitions.c.
 */
void mullion_main(struct boot_info *b, struct acpi_info *a) NORETURN;

/* True when the loader's command line holds this word, or a word that begins so ("console="). */
bool boot_option(const struct boot_info *b, const char *word);
/* What follows the word, up to a blank or the end; NULL: the word is not there. */
const char *boot_option_value(const struct boot_info *b, const char *word);

/* Reads the machine's clock for host_epoch; after tsc_calibrate. */
void clock_init(void);
/*
 * `drill=panic`, `drill=double-fault` or `drill=hang` on the command line: does it, for whoever
 * wants to see on a new machine where last words come out. Boot CPU, when the other CPUs are up.
 */
void drill(const struct boot_info *b);

/*
 * Which configuration, and what comes with it. Included by main.c and chosen.c.
 */
#pragma once

#include "boot/efi/loader.h"

struct chosen {
	struct file file[BOOT_MODULES]; /* the configuration first, then what it names */
	unsigned files;
	char cmdline[MAX_CMDLINE]; /* the hypervisor's */
};

/* Reads and checks the configuration and reads its files. Refuses with file:line:col. */
bool chosen_read(struct chosen *c, struct refusal *r);

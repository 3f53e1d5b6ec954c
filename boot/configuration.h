/*
 * The configuration of this boot: which text, what of it holds, and whether this machine can do it.
 */
#pragma once

#include "boot/boot_info.h"
#include "drivers/acpi.h"
#include "hv/config.h"
#include "hv/load/load.h"

extern struct config
	config; /* configuration.c's; read by others once configuration_read was true */

/*
 * Reads mullion.conf, or the module that `config=NAME` on the loader's command line names, and what
 * [boot] in it names. False: r has file:line:col, or what is missing.
 */
bool configuration_read(const struct boot_info *b, struct refusal *r);
/* Of what the configuration says, the least that can run: one guest, no device of the machine. */
void configuration_make_safe(void);
/* `console =` in [system] holds unless the loader's command line said something. */
void configuration_use_consoles(const struct boot_info *b);
/* False: this machine cannot do what is asked for, or the TSC is not to be trusted. */
bool configuration_check(const struct boot_info *b, const struct acpi_info *a, struct refusal *r);
/* A file that the configuration names, or an empty one. */
struct load_file configuration_file(const struct boot_info *b, const struct config_file *f);

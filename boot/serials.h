/*
 * Serial ports beyond COM1 to COM4, for machines that have no other.
 */
#pragma once

#include "boot/boot_info.h"
#include "drivers/acpi.h"

/* Those that SPCR and DBG2 name; own page tables are in use. */
void serials_of_tables(const struct boot_info *b, const struct acpi_info *a);
/* Those on PCI; after pci_enumerate. */
void serials_of_pci(void);

/*
 * What drivers/pci.c needs from the machine besides pci_read and pci_write of hv/pci.h. Host tests
 * link tests/fake/fake_pci.c instead of pci_access.c.
 */
#pragma once

#include "drivers/acpi.h"

/* Boot CPU, once, before the others start: ECAM where MCFG tells it, else 0xcf8. */
void pci_access_init(const struct acpi_info *a);
/* Are there registers from 0x100 on? */
bool pci_access_extended(void);
/*
 * Do the ports of mechanism 1 show the same function there? MCFG may promise more buses than the
 * chipset decodes, and behind the last one lies somebody else's memory.
 */
bool pci_access_agrees(uint16_t bdf);
/* The last bus that ECAM reaches; 0 where there is none. */
unsigned pci_access_last_bus(void);
void pci_delay_us(unsigned microseconds);

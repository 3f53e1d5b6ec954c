/*
 * Physical PCI as the pure rooms see it: functions found at boot, and their config space.
 *
 * drivers/pci.c implements it through ECAM where MCFG tells it, else through 0xcf8 (PCI Local Bus
 * Specification 3.0; PCI Express Base "Configuration Space"). Host tests link a fake bus.
 */
#pragma once

#include "hv/refuse.h"
#include "hv/types.h"

enum { PCI_BARS = 6, PCI_FUNCTIONS = 256 };

static inline uint16_t pci_bdf(unsigned bus, unsigned device, unsigned function)
{
	return (uint16_t)(bus << 8 | device << 3 | function);
}

/* 1, 2 or 4 bytes, naturally aligned. A function that is not there reads ones. Any CPU. */
uint32_t pci_read(uint16_t bdf, unsigned offset, unsigned size);
void pci_write(uint16_t bdf, unsigned offset, unsigned size, uint32_t value);

struct pci_bar {
	uint64_t base, size; /* size 0: not there, or the upper half of a 64-bit BAR */
	bool io, wide /* 64-bit */, prefetchable;
};

struct pci_function {
	uint16_t bdf;
	uint16_t vendor, device;
	uint32_t class_revision;
	uint8_t header_type; /* 0 function, 1 bridge */
	uint8_t pin, line;   /* INTx: pin 1-4 (0: none), line as firmware left it */
	struct pci_bar bar[PCI_BARS];
	/* Offsets of capabilities in config space, 0: not there. */
	uint8_t cap_pm, cap_msi, cap_msix, cap_pcie;
	uint16_t cap_acs;
	uint8_t msi_vectors; /* 1-32 */
	bool msi_64, msi_maskable;
	uint16_t msix_entries;
	uint8_t msix_table_bar, msix_pba_bar;
	uint32_t msix_table_offset, msix_pba_offset;
	bool flr; /* function level reset, PCIe or AF capability */
	uint8_t secondary, subordinate; /* bridges: bus numbers behind */
};

extern struct pci_function pci_functions[PCI_FUNCTIONS];
extern unsigned pci_function_count;

/* Boot CPU, once: enumerates all buses, sizes BARs with decoding off, leaves everything as it was. */
struct acpi_info;
void pci_enumerate(const struct acpi_info *a);
const struct pci_function *pci_find(uint16_t bdf);

/*
 * Bus mastering off, then the strongest reset there is (FLR, AF FLR, D3hot, secondary bus), BARs and
 * header restored. False: the function does not answer or has none. Bounded waits.
 */
bool pci_reset_function(const struct pci_function *f);

/*
 * A PCI bus for host tests: functions with registers, write masks and, if asked, bad manners.
 */
#pragma once

#include "hv/pci.h"

struct fake_function {
	uint16_t bdf;
	uint8_t config[4096];
	uint8_t writable[4096]; /* bits that a write changes */
	unsigned writes;	/* of anything */
	unsigned flrs;		/* resets through PCIe or AF */
	unsigned d3s;		/* transitions to D3hot */
	bool keeps_d3;		/* and comes back as it was */
	unsigned dies_after;	/* accesses until it reads ones for ever; 0: never */
	unsigned accesses;
	uint32_t seen;		   /* bits of the command register that were ever set */
	unsigned watched, changes; /* a 16-bit register, and writes that changed it */
	uint16_t pcie, pm, af;	   /* where resets are noticed */
	uint16_t acs;		   /* its control register is cleared by them; 0: none */
};

enum { FAKE_FUNCTIONS = 300 };
extern struct fake_function fake_pci[FAKE_FUNCTIONS];
extern unsigned fake_pci_count;
extern unsigned fake_pci_waited_ms;
extern unsigned fake_pci_last_bus; /* that ECAM is said to reach */
extern unsigned fake_pci_deaf_bus; /* where ECAM shows what the ports do not */

void fake_pci_reset(void);
/* A function with ids and class; header fields writable as in hardware, no BARs. */
struct fake_function *fake_pci_add(uint16_t bdf, uint32_t id, uint32_t class_revision);
void fake_pci_set(struct fake_function *f, unsigned offset, unsigned size, uint32_t value);
uint32_t fake_pci_get(const struct fake_function *f, unsigned offset, unsigned size);
/* A BAR of `size` (a power of two) with the given low bits, at base. */
void fake_pci_bar(struct fake_function *f, unsigned bar, uint64_t size, uint32_t bits,
		  uint64_t base);
/* Puts a capability of len bytes at `at` in front of the list. */
void fake_pci_capability(struct fake_function *f, unsigned at, unsigned id, unsigned len);

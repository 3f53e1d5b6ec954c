/*
 * Addresses for BARs that firmware has left without one, and bridges that forward them.
 *
 * Only inside the windows of the bridges above a function, because what is there the bridges keep
 * to themselves. On the root bus nobody but firmware knows where there is room: a chipset decodes
 * ranges that no BAR tells of.
 */
#pragma once

#include "hv/pci.h"

/* What of the machine is at these addresses, in words; NULL: nothing. */
struct pci_machine {
	const char *(*taken)(void *ctx, uint64_t base, uint64_t size);
	void *ctx;
};

/*
 * Does [base, base + size) reach the function through the windows of all bridges above it? If not,
 * *bridge is the first that lets it not through.
 */
bool pci_reaches(const struct pci_function *f, bool io, uint64_t base, uint64_t size,
		 const struct pci_function **bridge);

/*
 * Gives BAR i of f, one of pci_functions, a free address, aligned to its size, and writes it into
 * the device. False: why says what is missing. Boot CPU, before any guest.
 */
bool pci_place_bar(struct pci_function *f, unsigned i, const struct pci_machine *m,
		   const char **why);

/*
 * Firmware leaves bridges off behind which it starts nothing. May those above f be opened for what
 * its BARs decode? If not, *bridge has windows that meet something else.
 */
bool pci_way_is_sound(const struct pci_function *f, const struct pci_machine *m,
		      const struct pci_function **bridge);
/* Opens them, also for its requests: whatever else is behind them must be silent. Boot CPU. */
void pci_open_way(const struct pci_function *f);

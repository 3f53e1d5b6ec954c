/*
 * The part of pci.c that reads base addresses and windows into struct pci_function.
 */
#pragma once

#include "hv/pci.h"

/* Sizes all BARs, with decoding off, and finds out whether the function can be a bus master. */
void pci_read_bars(struct pci_function *f);
/* The windows of a bridge, and those of its own BARs that have an address. */
void pci_read_bridge(struct pci_function *f);
